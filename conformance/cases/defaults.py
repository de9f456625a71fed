"""What is missing, and what takes its place."""

from conformance.cases.case import EXPR, HASH, ID, LOOKUP, RAW, Case, rule
from tests.features.referee.hashing import hashed

CASES: list[Case] = [
    *rule(
        '2.1 Null, the empty text, the empty array and the empty map are missing; "0", 0 and 0.0 are values.',
        "test",
        {
            "null and empty text": (
                {**ID, **HASH},
                {"x": ("string", [None, "", "0"])},
                {"values": hashed("0"), "lengths": [0, 0, 1]},
            ),
            "null and empty array": (
                {**ID, **HASH},
                {"x": ("list<string>", [None, [], ["0"]])},
                {"values": hashed("0"), "lengths": [0, 0, 1]},
            ),
            "null and empty map": (
                {**ID, **HASH, "weighted": True},
                {"x": ("map<string,float32>", [None, (), (("0", 0.0),)])},
                {"values": hashed("0"), "lengths": [0, 0, 1], "weights": [0.0]},
            ),
            "zero is a value": (
                {**ID, **HASH, "default_value": "d"},
                {"x": ("int64", [None, 0])},
                {"values": hashed("d", "0"), "lengths": [1, 1]},
            ),
            "the number 0.0 is a value": (
                {**RAW, "default_value": "5"},
                {"x": ("float32", [None, 0.0])},
                {"values": [[5.0], [0.0]]},
            ),
            "the text 0 is a value": (
                {**RAW, "default_value": "5"},
                {"x": ("string", ["", "0"])},
                {"values": [[5.0], [0.0]]},
            ),
        },
    ),
    *rule(
        "2.1, 2.2 Null and empty entries of an array are no tokens; an array of nothing else is missing.",
        "ours",
        {
            "null and empty entries": (
                {**ID, **HASH, "default_value": "d"},
                {"x": ("list<string>", [["a", "", None], ["", None]])},
                {"values": hashed("a", "d"), "lengths": [1, 1]},
            ),
        },
    ),
    *rule(
        "4 Without default a missing id has length 0.",
        "test",
        {
            "an id": (
                {**ID, **HASH},
                {"x": ("list<string>", [[], None, ["a"]])},
                {"values": hashed("a"), "lengths": [0, 0, 1]},
            ),
            "a whole column": (
                {**ID, **HASH},
                {"x": ("string", [None, None])},
                {"values": [], "lengths": [0, 0]},
            ),
            "a formula": (
                {**EXPR, "boundaries": [0.5]},
                {"x": ("float64", [None, 0.7])},
                {"values": [1], "lengths": [0, 1]},
            ),
            "a lookup": (
                {**LOOKUP, "boundaries": [0.5]},
                {"m": ("string", ["a:1"]), "x": ("string", ["a", "b", ""])},
                {"values": [1], "lengths": [1, 0, 0]},
            ),
        },
    ),
    *rule(
        "4.1 The default of tokens is one token: not cut, not prefixed, but bucketized.",
        "test",
        {
            "a discrete default is one token": (
                {**ID, **HASH, "default_value": "1|2", "separator": "|", "need_prefix": True},
                {"x": ("string", ["a", None, "b\x1da"])},
                {"values": hashed("f_a", "1|2", "f_b", "f_a"), "lengths": [1, 1, 2]},
            ),
            "a default is looked up in the vocabulary": (
                {**ID, "vocab_list": ["b", "<OOV>", "a"], "default_bucketize_value": 1, "default_value": "a"},
                {"x": ("string", ["", "b", "z"])},
                {"values": [2, 0, 1], "lengths": [1, 1, 1]},
            ),
            "a default with num_buckets": (
                {**ID, "num_buckets": 10, "default_value": "4"},
                {"x": ("int32", [None, 3])},
                {"values": [4, 3], "lengths": [1, 1]},
            ),
            "a default out of num_buckets is 0": (
                {**ID, "num_buckets": 10, "default_value": "10"},
                {"x": ("int64", [None, 9])},
                {"values": [0, 9], "lengths": [1, 1]},
            ),
        },
    ),
    *rule(
        "4.2 The default of numbers is cut and parsed; one number is repeated value_dim times; it is never "
        "normalized.",
        "test",
        {
            "a numeric default is repeated and never normalized": (
                {**RAW, "value_dim": 2, "default_value": "0.5", "normalizer": "method=log10"},
                {"x": ("string", ["10\x1d100", ""])},
                {"values": [[1.0, 2.0], [0.5, 0.5]]},
            ),
            "a numeric default is cut at the separator": (
                {**RAW, "value_dim": 2, "default_value": "1|2", "separator": "|"},
                {"x": ("list<float32>", [[3.0, 4.0], []])},
                {"values": [[3.0, 4.0], [1.0, 2.0]]},
            ),
            "a numeric default is bucketized": (
                {**RAW, "boundaries": [0, 1, 2], "default_value": "1.5"},
                {"x": ("string", ["", "0.5", "9"])},
                {"values": [2, 1, 3], "lengths": [1, 1, 1]},
            ),
            "a default with num_buckets, truncated": (
                {**RAW, "num_buckets": 5, "default_value": "3.9"},
                {"x": ("string", ["", "2"])},
                {"values": [3, 2], "lengths": [1, 1]},
            ),
        },
    ),
    *rule(
        "1.1 A default that JSON has as a number is its text.",
        "ours",
        {"a number as default": ({**RAW, "default_value": 7}, {"x": ("string", [""])}, {"values": [[7.0]]})},
    ),
    *rule(
        "1, 1.2 Keys that do not change values are ignored, and so are unknown ones.",
        "ours",
        {
            "keys without effect": (
                {
                    **ID,
                    **HASH,
                    "group": "g",
                    "embedding_dim": 8,
                    "is_multi": True,
                    "needWeighting": True,
                    "unheard_of": {"a": 1},
                },
                {"x": ("string", ["a"])},
                {"values": hashed("a"), "lengths": [1]},
            ),
        },
    ),
    *rule(
        "3 An empty batch keeps the shapes: no values, no rows, and the width of dense results.",
        "test",
        {
            "no rows": (
                [{**ID, **HASH, "feature_name": "f"}, {**RAW, "feature_name": "g", "value_dim": 3}],
                {"x": ("string", [])},
            ),
        },
    ),
]
