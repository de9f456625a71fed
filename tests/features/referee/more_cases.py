"""Cases beyond those that the specification states: keys, forms and edges, type by type, for the vectors.

Written without expected tensors; `python -m tests.features.referee write` asks the referee for them.
"""

from __future__ import annotations

from typing import Any

from tests.features.referee.spec_cases import COMBO, EXPR, HASH, ID, LOOKUP, MATCH, NESTED, RAW, Columns

NAN, INF = float("nan"), float("inf")

WORDS: Columns = {"x": ("string", ["a", "b\x1dc", "中文|a", "", None])}
NUMBERS: Columns = {"x": ("float64", [0.1, -2.5, 100.0, None, NAN, INF, -0.0, 1e39])}
TEXT_NUMBERS: Columns = {"x": ("string", ["0.1", " 2.5 ", "1e2", "-.5", "abc", ""])}
USER_WORDS: Columns = {"u": ("string", ["ua\x1dub"]), "x": ("list<string>", [["ia", "ib"], ["", None], []])}
NUMBER_MAP: Columns = {"m": ("map<string,float32>", [(("a", 1.5), ("b", -2.0), ("1", 7.0))])}
TEXT_MAP: Columns = {"m": ("string", ["a:1.5\x1db:-2\x1d1:7\x1da:2"])}
KEYS: Columns = {"x": ("string", ["a", "b\x1da", "1\x1da\x1dz", "z", ""])}
DISCRETE = {"needDiscrete": True}
NUMERIC = {"needDiscrete": False}
SEQUENCE = {"default_value": "0", "value_dim": 1}
CLICKS: Columns = {"x": ("string", ["a;b;;c", "", "b\x1da", ";"])}

ID_CASES: dict[str, tuple[Any, Columns]] = {
    "words": ({**ID, **HASH}, WORDS),
    "words cut at a separator": ({**ID, **HASH, "separator": "|"}, WORDS),
    "the first word": ({**ID, **HASH, "separator": "|", "value_dim": 1}, WORDS),
    "prefixed words": ({**ID, **HASH, "need_prefix": True}, WORDS),
    "a default": ({**ID, **HASH, "default_value": "none"}, WORDS),
    "one bucket": ({**ID, "hash_bucket_size": 1}, WORDS),
    "a wide hash": ({**ID, "hash_bucket_size": 2**63 - 1}, WORDS),
    "int32": ({**ID, **HASH}, {"x": ("int32", [7, -1, None])}),
    "int64": ({**ID, **HASH}, {"x": ("int64", [2**63 - 1, -(2**63), 0])}),
    "float32 as text": ({**ID, **HASH}, {"x": ("float32", [5.2, 3.0, 0.1, 1e6, 16777216.0])}),
    "float64 as text": ({**ID, **HASH}, {"x": ("float64", [5.25, 1234567.0, 1e-7, -0.0, None])}),
    "integer arrays": ({**ID, **HASH}, {"x": ("list<int64>", [[1, 2], [], None, [3]])}),
    "text arrays are not split": ({**ID, **HASH}, {"x": ("list<string>", [["a\x1db", "c"], [""], []])}),
    "the keys of a map": ({**ID, **HASH}, {"x": ("map<int64,float32>", [((5, 1.0), (6, 2.0)), ()])}),
    "num_buckets of integers": ({**ID, "num_buckets": 10}, {"x": ("int64", [0, 9, 10, -1, 2**40, None])}),
    "num_buckets of text": ({**ID, "num_buckets": 10}, {"x": ("string", [" 7 ", "+3", "-0", "x", "1.5"])}),
    "num_buckets with default": (
        {**ID, "num_buckets": 10, "default_value": "4"},
        {"x": ("int32", [None, 3])},
    ),
    "vocab_list": ({**ID, "vocab_list": ["a", "b", "中文"], "default_bucketize_value": 9}, WORDS),
    "vocab_list without default": ({**ID, "vocab_list": ["b", "c"]}, WORDS),
    "vocab_dict": ({**ID, "vocab_dict": {"a": 5, "c": 7}, "default_bucketize_value": 1}, WORDS),
    "vocab of prefixed words": ({**ID, "vocab_dict": {"f_a": 5}, "need_prefix": True}, WORDS),
    "weighted text": (
        {**ID, **HASH, "weighted": True, "separator": "|"},
        {"x": ("string", ["a:0.1|b:2", "c", "d:-1\x1de:1e2", None])},
    ),
    "weighted text array": ({**ID, **HASH, "weighted": True}, {"x": ("list<string>", [["a:0.1", "b"], []])}),
    "weighted, first id": (
        {**ID, **HASH, "weighted": True, "value_dim": 1, "default_value": "none"},
        {"x": ("map<string,float64>", [(("b", 0.1), ("a", 2.0)), ()])},
    ),
    "a const": ({**ID, **HASH, "expression": "const:a"}, {"x": ("string", ["", ""])}),
}

RAW_CASES: dict[str, tuple[Any, Columns]] = {
    "numbers": (RAW, NUMBERS),
    "text": (RAW, TEXT_NUMBERS),
    "numbers with default": ({**RAW, "default_value": "1.5"}, NUMBERS),
    "text with default": ({**RAW, "default_value": "1.5"}, TEXT_NUMBERS),
    "int64": (RAW, {"x": ("int64", [1, -5, 16777217, None])}),
    "the first of several": (RAW, {"x": ("list<int32>", [[7, 8], []])}),
    "a short vector is padded": (
        {**RAW, "value_dim": 3},
        {"x": ("string", ["1\x1d2", "1\x1d2\x1d3\x1d4", ""])},
    ),
    "a float array": ({**RAW, "value_dim": 2}, {"x": ("list<float64>", [[0.1, 0.2], [1e39, NAN]])}),
    "log10 of numbers": ({**RAW, "normalizer": "method=log10"}, NUMBERS),
    "log10 of text": ({**RAW, "normalizer": "method=log10,threshold=0.05,default=-3"}, TEXT_NUMBERS),
    "zscore of numbers": ({**RAW, "normalizer": "method=zscore,mean=0.1,standard_deviation=0.3"}, NUMBERS),
    "zscore of text": ({**RAW, "normalizer": "method=zscore,mean=0.1,standard_deviation=0.3"}, TEXT_NUMBERS),
    "minmax of numbers": ({**RAW, "normalizer": "method=minmax,min=0.1,max=7.3"}, NUMBERS),
    "minmax of text": ({**RAW, "normalizer": "method=minmax,min=0.1,max=7.3"}, TEXT_NUMBERS),
    "an expression of numbers": (
        {**RAW, "normalizer": "method=expression,expr=sign(x) * max(x, 0.1)"},
        NUMBERS,
    ),
    "an expression of text": ({**RAW, "normalizer": "method=expression,expr=x * x + 0.1"}, TEXT_NUMBERS),
    "boundaries of numbers": ({**RAW, "boundaries": [-1, 0.1, 99.5]}, NUMBERS),
    "boundaries of text": ({**RAW, "boundaries": [-1, 0.1, 99.5]}, TEXT_NUMBERS),
    "boundaries with default": ({**RAW, "boundaries": [0, 1, 2], "default_value": "1.5"}, TEXT_NUMBERS),
    "boundaries of normalized": ({**RAW, "boundaries": [0.5, 1], "normalizer": "method=log10"}, NUMBERS),
    "boundaries of a vector": (
        {**RAW, "boundaries": [1, 2], "value_dim": 2, "default_value": "1"},
        {"x": ("list<float32>", [[0.0, 5.0], [1.0], []])},
    ),
    "hash of numbers": ({**RAW, **HASH}, {"x": ("float32", [0.5, -0.0, None, 3.0])}),
    "hash of doubles": ({**RAW, **HASH, "value_type": "double"}, {"x": ("float64", [0.1, 0.0, 3.0])}),
    "num_buckets of numbers": ({**RAW, "num_buckets": 5}, {"x": ("float64", [1.9, -0.5, 5.0, None, NAN])}),
    "an integer value_type truncates": (
        {**RAW, "value_type": "int64"},
        {"x": ("float32", [1.9, -1.9, 0.5])},
    ),
}

COMBO_CASES: dict[str, tuple[Any, Columns]] = {
    "product": ({**COMBO, **HASH}, USER_WORDS),
    "product with default": ({**COMBO, **HASH, "default_value": "none"}, USER_WORDS),
    "truncated product": ({**COMBO, **HASH, "value_dim": 3}, USER_WORDS),
    "prefixed product": ({**COMBO, **HASH, "need_prefix": True}, USER_WORDS),
    "product in a vocabulary": ({**COMBO, "vocab_dict": {"ua_ia": 3, "ub_ib": 4}}, USER_WORDS),
    "three inputs": (
        {**COMBO, **HASH, "expression": ["user:u", "item:x", "context:c"]},
        {**USER_WORDS, "c": ("int64", [1, 2, None])},
    ),
    "with a const": ({**COMBO, **HASH, "expression": ["item:x", "const:c"]}, USER_WORDS),
    "of numbers": (
        {**COMBO, **HASH},
        {"u": ("float32", [0.5]), "x": ("list<int64>", [[1, 2], []])},
    ),
}

COMBINERS = ("sum", "mean", "avg", "min", "max", "count", "gap_min", "gap_max")
LOOKUP_CASES: dict[str, tuple[Any, Columns]] = {
    **{
        f"{combiner} of a {kind} map": ({**LOOKUP, **NUMERIC, "combiner": combiner}, {**table, **KEYS})
        for combiner in COMBINERS
        for kind, table in (("native", NUMBER_MAP), ("text", TEXT_MAP))
    },
    "a default": ({**LOOKUP, "default_value": "-1"}, {**NUMBER_MAP, **KEYS}),
    "normalized native map": (
        {**LOOKUP, "normalizer": "method=zscore,mean=0.1,standard_deviation=0.3"},
        {**NUMBER_MAP, **KEYS},
    ),
    "normalized text map": (
        {**LOOKUP, "normalizer": "method=zscore,mean=0.1,standard_deviation=0.3"},
        {**TEXT_MAP, **KEYS},
    ),
    "boundaries": ({**LOOKUP, "boundaries": [0, 2]}, {**NUMBER_MAP, **KEYS}),
    "boundaries with default": (
        {**LOOKUP, "boundaries": [0, 2], "default_value": "1"},
        {**NUMBER_MAP, **KEYS},
    ),
    "boundaries of every hit": ({**LOOKUP, "boundaries": [0, 2], "combiner": ""}, {**TEXT_MAP, **KEYS}),
    "a dense vector of hits": ({**LOOKUP, "combiner": "", "value_dim": 2}, {**TEXT_MAP, **KEYS}),
    "discrete": ({**LOOKUP, **DISCRETE, **HASH}, {**TEXT_MAP, **KEYS}),
    "discrete with key": ({**LOOKUP, **DISCRETE, **HASH, "needKey": True}, {**TEXT_MAP, **KEYS}),
    "discrete with prefix": ({**LOOKUP, **DISCRETE, **HASH, "need_prefix": True}, {**TEXT_MAP, **KEYS}),
    "discrete by value_type": ({**LOOKUP, **HASH, "value_type": "String"}, {**TEXT_MAP, **KEYS}),
    "discrete numbers as text": ({**LOOKUP, **DISCRETE, **HASH}, {**NUMBER_MAP, **KEYS}),
    "discrete with default": ({**LOOKUP, **DISCRETE, **HASH, "default_value": "none"}, {**TEXT_MAP, **KEYS}),
    "an array of pairs": (
        {**LOOKUP, **DISCRETE, **HASH},
        {"m": ("list<string>", [["a:v:w", "b", ":c", "a:last"]]), **KEYS},
    ),
    "integer keys": (
        LOOKUP,
        {"m": ("map<int64,int64>", [((1, 5), (2, 6))]), "x": ("list<int32>", [[2, 1], [3]])},
    ),
    "a missing map": ({**LOOKUP, "default_value": "2"}, {"m": ("string", [""]), **KEYS}),
}

MATCH_KEYS: Columns = {"c": ("string", ["k1", "k2", "k1\x1dk2", "z", ""]), "x": ("string", ["a\x1db"])}
MATCH_CASES: dict[str, tuple[Any, Columns]] = {
    "bare defaults": ({**MATCH, **HASH}, {"m": NESTED, **MATCH_KEYS}),
    "numeric": ({**MATCH, **NUMERIC}, {"m": NESTED, **MATCH_KEYS}),
    "numeric with default": ({**MATCH, **NUMERIC, "default_value": "-1"}, {"m": NESTED, **MATCH_KEYS}),
    "numeric boundaries": ({**MATCH, **NUMERIC, "boundaries": [2, 3]}, {"m": NESTED, **MATCH_KEYS}),
    "numeric normalized": ({**MATCH, **NUMERIC, "normalizer": "method=log10"}, {"m": NESTED, **MATCH_KEYS}),
    "without prefix": (
        {**MATCH, **HASH, "need_prefix": False, "show_category": False, "show_item": False},
        {"m": NESTED, **MATCH_KEYS},
    ),
    "with keys shown": (
        {**MATCH, **HASH, "need_prefix": False, "show_category": True, "show_item": True},
        {"m": NESTED, **MATCH_KEYS},
    ),
    "multihit shows nothing by itself": (
        {**MATCH, **HASH, "matchType": "multihit"},
        {"m": NESTED, **MATCH_KEYS},
    ),
    "any category": (
        {**MATCH, **HASH, "category": "ALL", "matchType": "multihit"},
        {"m": NESTED, **MATCH_KEYS},
    ),
    "any item": ({**MATCH, **HASH, "item": "ALL", "matchType": "multihit"}, {"m": NESTED, **MATCH_KEYS}),
    "the literal key ALL": (
        {**MATCH, **NUMERIC, "item": "ALL"},
        {"m": ("string", ["k1^ALL:4,a:5"]), "c": ("string", ["k1", "k2"])},
    ),
    "num_buckets": ({**MATCH, "num_buckets": 3}, {"m": NESTED, **MATCH_KEYS}),
    "a vocabulary of full tokens": (
        {**MATCH, "vocab_dict": {"f_k1_a_1": 5, "3": 6}, "default_bucketize_value": 9},
        {"m": NESTED, **MATCH_KEYS},
    ),
    "value_dim": ({**MATCH, **HASH, "value_dim": 1}, {"m": NESTED, **MATCH_KEYS}),
    "a native map": (
        {**MATCH, **NUMERIC},
        {"m": ("map<string,string>", [(("k1", "a:1,b:2"), ("k2", "a:3"))]), **MATCH_KEYS},
    ),
}

TWO = {"variables": ["user:u", "item:x"]}
SCALARS: Columns = {"u": ("float32", [2.0]), "x": ("float64", [0.1, -3.5, None, NAN, 7.0])}
VECTORS: Columns = {
    "u": ("list<float32>", [[0.1, 0.2, 0.3]]),
    "x": ("string", ["1\x1d2\x1d3", "4", "5\x1d6"]),
}
FORMULAS = (
    "u + x * 2 - -x / u",
    "-x ^ 2 + u ^ -1",
    "x > 0 && u > 1 || x == -3.5",
    "(x > 0) & (u > 1) | (x <= -3.5)",
    "x > 0 ? log(x) : x < -1 ? exp(u) : 0",
    "min(x, u, 1) + max(x, u) + avg(x, u) + sum(x, u)",
    "round(x) + rint(x) * 10 + trunc(x) * 100 + floor(x) + ceil(x) + roundp(x / 3, 2)",
    "mod(x, u) + sign(x) + abs(x)",
    "sigmoid(x) + sqrt(abs(x)) + log10(u) + log2(u) + ln(u)",
    "sin(x) + cos(x) + tan(x) + atan(x) + sinh(u) + cosh(u) + tanh(x) + asinh(x) + acosh(u)",
    "isnan(x) + isnan(asin(u)) + isnan(x / 0)",
    "sphere_dist(x, u, 116.4, 39.9)",
    "_pi * x + _e",
)
EXPR_CASES: dict[str, tuple[Any, Columns]] = {
    **{text: ({**EXPR, **TWO, "expression": text}, SCALARS) for text in FORMULAS},
    **{
        call: ({**EXPR, **TWO, "expression": f"{call}(u, x)"}, VECTORS)
        for call in ("dot", "euclid_dist", "corr")
    },
    **{
        call: ({**EXPR, "expression": f"{call}(x)"}, {"x": VECTORS["x"]})
        for call in (
            *("len", "l2_norm", "squared_norm", "std_dev", "variance", "pop_std_dev", "pop_variance"),
            *("reduce_min", "reduce_max", "reduce_sum", "reduce_mean", "reduce_prod"),
        )
    },
    "vectors of equal length": ({**EXPR, **TWO, "expression": "u * x", "value_dim": 3}, VECTORS),
    "the shorter vector is padded": (
        {**EXPR, **TWO, "expression": "u + x", "value_dim": 3, "fill_missing": 0.5},
        VECTORS,
    ),
    "boundaries of every entry": ({**EXPR, **TWO, "expression": "u * x", "boundaries": [0.25, 1]}, VECTORS),
    "hash of the result": ({**EXPR, **TWO, **HASH, "expression": "u * x"}, SCALARS),
    "num_buckets of the result": ({**EXPR, **TWO, "num_buckets": 9, "expression": "u * x"}, SCALARS),
    "a mask": ({**EXPR, **TWO, "value_type": "int64", "num_buckets": 2, "expression": "x > u"}, SCALARS),
    "a default": ({**EXPR, **TWO, "default_value": "-9", "expression": "u * x"}, SCALARS),
}


def sequence(spec: dict[str, Any], **keys: Any) -> dict[str, Any]:
    """The stand-alone sequence form of a feature."""
    return {**spec, "feature_type": f"sequence_{spec['feature_type']}", **SEQUENCE, **keys}


SEQUENCE_CASES: dict[str, tuple[Any, Columns]] = {
    "ids": (sequence({**ID, **HASH}), CLICKS),
    "ids of many values": (sequence({**ID, **HASH}, value_dim=0), CLICKS),
    "ids cut to a length": (sequence({**ID, **HASH}, sequence_length=2), CLICKS),
    "ids with another delimiter": (
        sequence({**ID, **HASH}, sequence_delim="#", separator=";", value_dim=0),
        {"x": ("string", ["a;b#c##", "#"])},
    ),
    "ids of an int array": (sequence({**ID, "num_buckets": 10}), {"x": ("list<int64>", [[1, 12, 3], []])}),
    "ids of arrays": (
        sequence({**ID, **HASH}, value_dim=0),
        {"x": ("list<list<string>>", [[["a", "b"], []], []])},
    ),
    "numbers": (sequence(RAW), {"x": ("string", ["1;2.5;;abc", ""])}),
    "vectors": (sequence(RAW, value_dim=2), {"x": ("list<list<float32>>", [[[1.0, 2.0], [3.0]], None])}),
    "normalized numbers": (
        sequence(RAW, normalizer="method=log10,threshold=0,default=-1"),
        {"x": ("list<float32>", [[1.0, 100.0, 0.0], []])},
    ),
    "buckets": (sequence(RAW, boundaries=[1, 2]), {"x": ("string", ["0;1;;2", ""])}),
    "combos": (sequence({**COMBO, **HASH}), {"u": ("string", ["ua"]), **CLICKS}),
    "combos of two sequences": (
        sequence({**COMBO, **HASH}, sequence_fields=["u", "x"]),
        {"u": ("string", ["1;2"]), **CLICKS},
    ),
    "lookups": (sequence(LOOKUP), {**TEXT_MAP, **CLICKS}),
    "discrete lookups": (sequence({**LOOKUP, **DISCRETE, **HASH}, value_dim=0), {**TEXT_MAP, **CLICKS}),
    "matches": (
        sequence({**MATCH, **NUMERIC, "category": "user:c"}),
        {"m": NESTED, "c": ("string", ["k1"]), **CLICKS},
    ),
    "formulas": (
        sequence({**EXPR, **TWO, "expression": "x * u"}),
        {"u": ("float32", [0.5]), "x": ("list<float64>", [[1.0, 3.0], []])},
    ),
    "formulas of two sequences": (
        sequence({**EXPR, **TWO, "expression": "x > u", "boundaries": [0.5]}, sequence_fields=["u", "x"]),
        {"u": ("string", ["1;5;3"]), "x": ("string", ["2;2", ""])},
    ),
}

GROUP = {
    "sequence_name": "click",
    "sequence_length": 3,
    "sequence_pk": "user:clicked",
    "features": [
        {"feature_name": "cate", **ID, **HASH, "expression": "item:cate", **SEQUENCE},
        {
            "feature_name": "price",
            **RAW,
            "expression": "item:price",
            "default_value": "0",
            "boundaries": [1, 5],
        },
        {"feature_name": "time", **RAW, "expression": "user:time", "default_value": "-1"},
        {"feature_name": "cross", **COMBO, **HASH, **SEQUENCE, "sequence_fields": ["cate"]}
        | {"expression": ["feature:cate", "user:u"]},
    ],
}
JOINED: Columns = {
    "click__cate": ("list<string>", [["a", None, "b\x1dc", "d"], []]),
    "click__price": ("list<float32>", [[0.5, 1.0, 7.0, 9.0], None]),
    "click__time": ("string", ["3;2;1", ""]),
    "u": ("string", ["ua"]),
    "x": ("string", ["a", "b"]),
    "m": ("string", ["a:10\x1d1:20\x1d2:30"]),
    "p": ("float32", [0.5, 1.5]),
}
STUB = {"feature_name": "words", **ID, "expression": "user:u", "stub_type": True}
BUCKET = {"feature_name": "bucket", **RAW, "expression": "item:p", "boundaries": [0, 1]}
GRAPH_CASES: dict[str, tuple[Any, Columns]] = {
    "a group": ([GROUP], JOINED),
    "a sequence read by a plain feature": (
        [GROUP, {"feature_name": "f", **COMBO, **HASH, "expression": ["feature:click__cate", "item:x"]}],
        JOINED,
    ),
    "a stub": (
        [{"feature_name": "f", **COMBO, **HASH, "expression": ["feature:words", "item:x"]}, STUB],
        JOINED,
    ),
    "a bucket as a key": ([BUCKET, {"feature_name": "f", **LOOKUP, "key": "feature:bucket"}], JOINED),
    "a number as text": (
        [
            {"feature_name": "price", **RAW, "expression": "item:p", "stub_type": True},
            {"feature_name": "f", **ID, **HASH, "expression": "feature:price"},
        ],
        JOINED,
    ),
}

MORE_CASES: dict[str, dict[str, tuple[Any, Columns]]] = {
    "id_feature": ID_CASES,
    "raw_feature": RAW_CASES,
    "combo_feature": COMBO_CASES,
    "lookup_feature": LOOKUP_CASES,
    "match_feature": MATCH_CASES,
    "expr_feature": EXPR_CASES,
    "sequences": SEQUENCE_CASES,
    "groups and graphs": GRAPH_CASES,
}
