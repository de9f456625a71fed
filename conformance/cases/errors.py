"""What is refused: a config when it is loaded, and text that is no number when rows are read strictly."""

from conformance.cases.case import (
    COMBO,
    DISTANCE,
    EXPR,
    HASH,
    ID,
    KV,
    LOOKUP,
    MASK,
    MATCH,
    OVERLAP,
    RAW,
    REGEX,
    SEQ_EXPR,
    SLICE,
    Case,
    rule,
    sequence,
)

TWICE = [{"feature_name": "f", **ID, **HASH}, {"feature_name": "f", **RAW}]
CIRCLE = [
    {"feature_name": "a", **ID, "expression": "feature:b", "stub_type": True},
    {"feature_name": "b", **ID, "expression": "feature:a", "stub_type": True},
]
ITSELF = [{"feature_name": "a", **ID, **HASH, "expression": "feature:a"}]
GROUP = [
    {
        "sequence_name": "s",
        "features": [
            {"feature_name": "f", **COMBO, **HASH, "default_value": "0", "expression": ["user:u", "user:w"]}
        ],
    }
]

CASES: list[Case] = [
    *rule(
        "1, 1.3 Names of outputs are unique; a circle, an unknown side and an unknown feature are refused.",
        "ours",
        {
            "a name twice": (TWICE,),
            "a circle": (CIRCLE,),
            "a feature that reads itself": (ITSELF,),
            "an unknown side": ({**ID, **HASH, "expression": "query:x"},),
            "no side": ({**ID, **HASH, "expression": "x"},),
            "an unknown feature": ({**ID, **HASH, "expression": "feature:nobody"},),
            "an unknown feature_type": ({**ID, **HASH, "feature_type": "idd_feature"},),
            "no feature_type": ({**HASH, "expression": "item:x"},),
            "an unknown value_type": ({**RAW, "value_type": "decimal"},),
        },
        error=True,
    ),
    *rule(
        "6 A key without which the type means nothing is missing.",
        "ours",
        {
            "id without expression": ({"feature_type": "id_feature", **HASH},),
            "lookup without key": ({"feature_type": "lookup_feature", "map": "user:m"},),
            "match without item": (
                {"feature_type": "match_feature", "user": "user:m", "category": "item:c"},
            ),
            "expr without variables": ({"feature_type": "expr_feature", "expression": "x"},),
            "overlap without method": (OVERLAP,),
            "kv_dot_product without document": ({"feature_type": "kv_dot_product", "query": "user:u"},),
            "custom without operator_name": ({"feature_type": "custom_feature", "expression": ["item:x"]},),
        },
        error=True,
    ),
    *rule(
        "1.2 The separator is exactly one byte.",
        "test",
        {
            "a separator of two characters": ({**ID, **HASH, "separator": "||"},),
            "a separator that is no ASCII": ({**ID, **HASH, "separator": "，"},),
            "an empty separator": ({**ID, **HASH, "separator": ""},),
        },
        error=True,
    ),
    *rule(
        "1.2 At most one bucketizer.",
        "ours",
        {
            "two bucketizers": ({**ID, **HASH, "num_buckets": 10},),
            "a vocabulary and a hash": ({**ID, **HASH, "vocab_list": ["a"]},),
        },
        error=True,
    ),
    *rule(
        "5.2 What a bucketizer cannot be.",
        "ours",
        {
            "no buckets": ({**ID, "hash_bucket_size": 0},),
            "negative buckets": ({**ID, "num_buckets": -1},),
            "boundaries that fall": ({**RAW, "boundaries": [2, 1]},),
            "boundaries that are equal as float32": ({**RAW, "boundaries": [1.0, 1.0]},),
            "a default that is no integer, with num_buckets": (
                {**ID, "num_buckets": 10, "default_value": "1|2"},
            ),
            "a vocab_file that is not there": ({**ID, "vocab_file": "nobody.txt"},),
        },
        error=True,
    ),
    *rule(
        "5.1 A normalizer that cannot be read.",
        "ours",
        {
            "an unknown method": ({**RAW, "normalizer": "method=square"},),
            "no method": ({**RAW, "normalizer": "mean=1"},),
            "a parameter that is no number": (
                {**RAW, "normalizer": "method=zscore,mean=x,standard_deviation=1"},
            ),
            "a formula that cannot be read": ({**RAW, "normalizer": "method=expression,expr=x +"},),
        },
        error=True,
    ),
    *rule(
        "8 A formula with an unknown name or function, or that cannot be read.",
        "ours",
        {
            "an unknown name": ({**EXPR, "expression": "x + y"},),
            "an unknown function": ({**EXPR, "expression": "cbrt(x)"},),
            "an open parenthesis": ({**EXPR, "expression": "(x + 1"},),
            "an empty formula": ({**EXPR, "expression": ""},),
            "two operators": ({**EXPR, "expression": "x * / 2"},),
        },
        error=True,
    ),
    *rule(
        "6 What a type cannot be.",
        "ours",
        {
            "combo of one input": ({**COMBO, **HASH, "expression": ["item:x"]},),
            "combo with num_buckets": ({**COMBO, "num_buckets": 10},),
            "combo with boundaries": ({**COMBO, "boundaries": [1]},),
            "an unknown combiner": ({**LOOKUP, "combiner": "median"},),
            "an unknown matchType": ({**MATCH, **HASH, "matchType": "all"},),
            "an unknown method of overlap": ({**OVERLAP, "method": "jaccard"},),
            "a kv_delimiter of two characters": ({**KV, "kv_delimiter": "=="},),
            "bool_mask of one input": ({**MASK, **HASH, "expression": ["item:x"]},),
            "slice with step 0": ({**SLICE, **HASH, "step": 0},),
            "an empty list of patterns": ({**REGEX, **HASH, "regex_pattern": [], "replacement": ""},),
            "a pattern that cannot be read": ({**REGEX, **HASH, "regex_pattern": "(", "replacement": ""},),
            "a group that the pattern lacks": (
                {**REGEX, **HASH, "regex_pattern": "a", "replacement": r"\1"},
            ),
            "an unknown operator": ({**DISTANCE, "operator_name": "Nobody"},),
            "an edit distance of three inputs": ({**DISTANCE, "expression": ["user:u", "item:x", "item:y"]},),
            "an unknown encoding": ({**DISTANCE, "encoding": "utf-16"},),
            "a distance on the globe of three inputs": (
                {**SEQ_EXPR, "expression": ["item:a", "item:b", "item:c"], "formula": "spherical_distance"},
            ),
            "bm25_feature": ({"feature_type": "bm25_feature", "query": "user:u", "document": "item:x"},),
        },
        error=True,
    ),
    *rule(
        "6.5 needDiscrete and a numeric value_type contradict one another.",
        "seen",
        {"a discrete number": ({**MATCH, **HASH, "needDiscrete": True, "value_type": "float"},)},
        error=True,
    ),
    *rule(
        "4.3 A sequence needs a default.",
        "doc",
        {"a sequence without default": (sequence({**ID, **HASH}, default_value=""),)},
        error=True,
    ),
    *rule(
        "7.2 A feature of a group none of whose inputs is a sequence.",
        "ours",
        {"no sequence": (GROUP,)},
        error=True,
    ),
    *rule(
        "3 A sequence has no weights: there is no tensor for them.",
        "ours",
        {"a weighted sequence": (sequence({**ID, **HASH, "weighted": True}),)},
        error=True,
    ),
    *rule(
        "2.4 Offline, text that is no number stops the run.",
        "ours",
        {
            "a number, strictly": (RAW, {"x": ("string", ["1", "one"])}),
            "one of a vector, strictly": ({**RAW, "value_dim": 2}, {"x": ("string", ["1\x1dtwo"])}),
            "a formula, strictly": (EXPR, {"x": ("string", ["x1"])}),
            "num_buckets, strictly": ({**ID, "num_buckets": 10}, {"x": ("string", ["1.5"])}),
        },
        error=True,
        strict=True,
    ),
]
