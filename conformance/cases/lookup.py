"""lookup_feature: a map and a key."""

from conformance.cases.case import HASH, LOOKUP, RAW, Case, Columns, rule
from tests.features.referee.hashing import hashed

PAIRS = ("string", ["k1:1\x1dk2:3\x1dk3:v:w,x"])
NATIVE: Columns = {"m": ("map<string,float32>", [(("a", 1.5), ("b", -2.0), ("1", 7.0))])}
TEXT: Columns = {"m": ("string", ["a:1.5\x1db:-2\x1d1:7\x1da:2"])}
KEYS: Columns = {"x": ("string", ["a", "b\x1da", "1\x1da\x1dz", "z", ""])}
DISCRETE = {"needDiscrete": True}
VECTOR = [
    {
        **LOOKUP,
        **DISCRETE,
        "feature_name": "f__lookup",
        "combiner": "",
        "stub_type": True,
        "default_value": "0,0",
    },
    {**RAW, "feature_name": "f", "expression": "feature:f__lookup", "separator": ",", "value_dim": 2},
]

CASES: list[Case] = [
    *rule(
        "6.4 The values of the keys that the map has, summed; keys compare as text.",
        "test",
        {
            "sum of the keys found": (
                {**LOOKUP, "needDiscrete": False},
                {"m": ("string", ["1:1.5\x1d2:3"]), "x": ("list<int64>", [[1, 2, 9], [9], []])},
                {"values": [[4.5], [0.0], [0.0]]},
            ),
            "integer keys of a native map": (
                LOOKUP,
                {"m": ("map<int64,int64>", [((1, 5), (2, 6))]), "x": ("list<int32>", [[2, 1], [3]])},
                {"values": [[11.0], [0.0]]},
            ),
            "a key column of integers": (
                LOOKUP,
                {**TEXT, "x": ("int32", [1, 2, None])},
                {"values": [[7.0], [0.0], [0.0]]},
            ),
            "an array of keys": (
                LOOKUP,
                {**NATIVE, "x": ("list<string>", [["a", "b"], ["z"], []])},
                {"values": [[-0.5], [0.0], [0.0]]},
            ),
        },
    ),
    *rule(
        "6.4 mean and avg divide by the keys found.",
        "test",
        {
            "mean over the found keys only": (
                {**LOOKUP, "combiner": "mean", "default_value": "7"},
                {
                    "m": ("map<string,float32>", [(("1", 1.0), ("2", 4.0))]),
                    "x": ("string", ["1\x1d2\x1d9", "9"]),
                },
                {"values": [[2.5], [7.0]]},
            ),
            "avg of a native map": ({**LOOKUP, "combiner": "avg"}, {**NATIVE, **KEYS}),
            "mean of a text map": ({**LOOKUP, "combiner": "mean"}, {**TEXT, **KEYS}),
        },
    ),
    *rule(
        "6.4 min and max are the extremes of the values found.",
        "doc",
        {
            f"{combiner} of a {kind} map": ({**LOOKUP, "combiner": combiner}, {**table, **KEYS})
            for combiner in ("min", "max")
            for kind, table in (("native", NATIVE), ("text", TEXT))
        },
    ),
    *rule(
        "6.4 count is the number of keys found; gap_min and gap_max are the least and the greatest "
        "difference of neighbours among the sorted values, 0 where there are not two.",
        "ours",
        {
            "gaps": (
                {**LOOKUP, "combiner": "gap_max"},
                {"m": ("string", ["a:1\x1db:4\x1dc:9"]), "x": ("string", ["c\x1da\x1db", "a", "z"])},
                {"values": [[5.0], [0.0], [0.0]]},
            ),
            **{
                f"{combiner} of a {kind} map": ({**LOOKUP, "combiner": combiner}, {**table, **KEYS})
                for combiner in ("count", "gap_min", "gap_max")
                for kind, table in (("native", NATIVE), ("text", TEXT))
            },
        },
    ),
    *rule(
        "6.4 Without combiner every hit is a value, in the order of the keys; value_dim does not cut them.",
        "test",
        {
            "every hit is bucketized": (
                {**LOOKUP, "combiner": "", "boundaries": [2], "value_dim": 1},
                {"m": PAIRS, "x": ("string", ["k2\x1dk1"])},
                {"values": [1, 0], "lengths": [2]},
            ),
            "value_dim does not cut a lookup": (
                {**LOOKUP, **HASH, **DISCRETE, "value_dim": 1},
                {"m": PAIRS, "x": ("string", ["k1\x1dk2"])},
                {"values": hashed("1", "3"), "lengths": [2]},
            ),
        },
    ),
    *rule(
        "6.4 A dense result has value_dim of the hits.",
        "ours",
        {"a dense vector of hits": ({**LOOKUP, "combiner": "", "value_dim": 2}, {**TEXT, **KEYS})},
    ),
    *rule(
        "6.4 A pair is cut at its first colon, one without colon is left out, of a repeated key the last "
        "counts; pairs part at \\x1d whatever the separator is.",
        "doc",
        {
            "values with colons and commas": (
                {**LOOKUP, **DISCRETE, **HASH},
                {"m": PAIRS, "x": ("string", ["k3", "k1"])},
                {"values": hashed("v:w,x", "1"), "lengths": [1, 1]},
            ),
            "the separator of the key alone": (
                {**LOOKUP, "separator": ","},
                {"m": ("string", ["a:1\x1db:2"]), "x": ("string", ["a,b", "b"])},
                {"values": [[3.0], [2.0]]},
            ),
            "a repeated key": (
                LOOKUP,
                {"m": ("string", ["a:1\x1da:2\x1db"]), "x": ("string", ["a", "b"])},
                {"values": [[2.0], [0.0]]},
            ),
            "an array of pairs": (
                {**LOOKUP, **DISCRETE, **HASH},
                {"m": ("list<string>", [["a:v:w", "b", "c:1", "a:last"]]), "x": ("string", ["a", "b\x1dc"])},
                {"values": hashed("last", "1"), "lengths": [1, 1]},
            ),
        },
    ),
    *rule(
        "6.4 A missing map, a missing key and a key that the map lacks are missing.",
        "test",
        {
            "a missing key, discrete": (
                {**LOOKUP, **HASH, **DISCRETE},
                {"m": PAIRS, "x": ("string", [None, "k1"])},
                {"values": hashed("1"), "lengths": [0, 1]},
            ),
            "a missing map": (
                {**LOOKUP, "default_value": "2"},
                {"m": ("string", [""]), "x": ("string", ["a", ""])},
                {"values": [[2.0], [2.0]]},
            ),
            "an empty native map": (
                {**LOOKUP, "default_value": "2"},
                {"m": ("map<string,float32>", [(), None]), "x": ("string", ["a"])},
                {"values": [[2.0], [2.0]]},
            ),
            "no hit with boundaries and default": (
                {**LOOKUP, "boundaries": [0, 2], "default_value": "1"},
                {**NATIVE, **KEYS},
                {"values": [1, 0, 2, 1, 1], "lengths": [1] * 5},
            ),
            "no hit with boundaries": (
                {**LOOKUP, "boundaries": [0, 2]},
                {**NATIVE, **KEYS},
                {"values": [1, 0, 2], "lengths": [1, 1, 1, 0, 0]},
            ),
        },
    ),
    *rule(
        "6.4 needKey writes key_value, where the value is a text; need_prefix stands before it.",
        "doc",
        {
            "needKey shows the key": (
                {**LOOKUP, **HASH, **DISCRETE, "needKey": True},
                {"m": PAIRS, "x": ("string", ["k3"])},
                {"values": hashed("k3_v:w,x"), "lengths": [1]},
            ),
            "the other spellings": (
                {**LOOKUP, **HASH, "need_discrete": True, "need_key": True},
                {"m": PAIRS, "x": ("string", ["k1"])},
                {"values": hashed("k1_1"), "lengths": [1]},
            ),
            "needKey of a numeric result does nothing": (
                {**LOOKUP, "needKey": True},
                {"m": PAIRS, "x": ("string", ["k1"])},
                {"values": [[1.0]]},
            ),
            "discrete by value_type": ({**LOOKUP, **HASH, "value_type": "String"}, {**TEXT, **KEYS}),
            "discrete numbers as text": ({**LOOKUP, **DISCRETE, **HASH}, {**NATIVE, **KEYS}),
            "a prefix": ({**LOOKUP, **DISCRETE, **HASH, "need_prefix": True}, {**TEXT, **KEYS}),
            "a discrete default": ({**LOOKUP, **DISCRETE, **HASH, "default_value": "none"}, {**TEXT, **KEYS}),
        },
    ),
    *rule(
        "6.4 A vector is a discrete stub without combiner, and a raw_feature that cuts its text.",
        "test",
        {
            "a vector lookup": (
                VECTOR,
                {"m": ("string", ["a:1,2\x1db:3,4"]), "x": ("string", ["b", "z"])},
                {"values": [[3.0, 4.0], [0.0, 0.0]]},
            ),
            "a vector lookup in a native map": (
                VECTOR,
                {"m": ("map<string,string>", [(("a", "1,2"), ("b", "3,4"))]), "x": ("string", ["a", ""])},
                {"values": [[1.0, 2.0], [0.0, 0.0]]},
            ),
        },
    ),
]
