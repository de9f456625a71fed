"""id_feature, and how cells become tokens."""

from conformance.cases.case import HASH, ID, Case, Columns, rule
from tests.features.referee.hashing import hashed

WORDS: Columns = {"x": ("string", ["a", "b\x1dc", "中文|a", "", None])}

CASES: list[Case] = [
    *rule(
        "2.3 An integer is its plain decimal text before it is hashed.",
        "test",
        {
            "integers as decimal text": (
                {**ID, **HASH},
                {"x": ("int64", [-5, 0, None])},
                {"values": hashed("-5", "0"), "lengths": [1, 1, 0]},
            ),
            "int32": ({**ID, **HASH}, {"x": ("int32", [7, -1, None])}),
            "int64 to its ends": ({**ID, **HASH}, {"x": ("int64", [2**63 - 1, -(2**63), 0])}),
            "arrays of integers": ({**ID, **HASH}, {"x": ("list<int64>", [[1, 2], [], None, [3]])}),
            "arrays of int32": ({**ID, **HASH}, {"x": ("list<int32>", [[7], [-7, 7]])}),
        },
    ),
    *rule(
        "2.3 A float is its shortest decimal text of at most six significant digits; -0.0 is 0.",
        "ours",
        {
            "float32 as text": (
                {**ID, **HASH},
                {"x": ("float32", [5.2, 3.0, 0.1, 1e6, 16777216.0])},
                {"values": hashed("5.2", "3", "0.1", "1e+06", "1.67772e+07"), "lengths": [1] * 5},
            ),
            "float64 as text": (
                {**ID, **HASH},
                {"x": ("float64", [5.25, 1234567.0, 1e-7, -0.0, None])},
                {"values": hashed("5.25", "1.23457e+06", "1e-07", "0"), "lengths": [1, 1, 1, 1, 0]},
            ),
            "arrays of float32": ({**ID, **HASH}, {"x": ("list<float32>", [[0.5, 2.0], []])}),
        },
    ),
    *rule(
        "2.2 Text is cut at every \\x1d and also at every `separator`; a separator never replaces \\x1d.",
        "seen",
        {
            "a configured separator never removes \\x1d": (
                {**ID, **HASH, "separator": "|"},
                {"x": ("string", ["a|b\x1dc", "中文|a", "d"])},
                {"values": hashed("a", "b", "c", "中文", "a", "d"), "lengths": [3, 2, 1]},
            ),
            "words": ({**ID, **HASH}, WORDS),
            "a comma as separator": ({**ID, **HASH, "separator": ","}, {"x": ("string", ["a,b|c", "a"])}),
        },
    ),
    *rule(
        "2.2 Empty pieces of a multi-value text are dropped; texts in a plain array are not cut again.",
        "ours",
        {
            "empty pieces": (
                {**ID, **HASH, "separator": "|"},
                {"x": ("string", ["|a||", "\x1d|", "a\x1d\x1db"])},
                {"values": hashed("a", "a", "b"), "lengths": [1, 0, 2]},
            ),
            "text arrays are not cut": (
                {**ID, **HASH},
                {"x": ("list<string>", [["a\x1db", "c"], [""], []])},
                {"values": hashed("a\x1db", "c"), "lengths": [2, 0, 0]},
            ),
        },
    ),
    *rule(
        "6.1 value_dim n keeps the first n tokens; 0 keeps all.",
        "test",
        {
            "value_dim keeps the first tokens": (
                {**ID, **HASH, "value_dim": 1},
                {"x": ("string", ["b\x1da", "c", ""])},
                {"values": hashed("b", "c"), "lengths": [1, 1, 0]},
            ),
            "two of three": (
                {**ID, **HASH, "value_dim": 2},
                {"x": ("list<int64>", [[3, 2, 1], [5]])},
                {"values": hashed("3", "2", "5"), "lengths": [2, 1]},
            ),
            "all of them": ({**ID, **HASH, "value_dim": 0}, {"x": ("string", ["c\x1db\x1da"])}),
            "the other spelling, value_dimension": (
                {**ID, **HASH, "value_dimension": 1},
                {"x": ("string", ["b\x1da"])},
                {"values": hashed("b"), "lengths": [1]},
            ),
        },
    ),
    *rule(
        "1.2, 6.1 need_prefix puts the feature's name and _ before every token.",
        "doc",
        {
            "a prefix": (
                {**ID, **HASH, "feature_name": "f", "need_prefix": True},
                {"x": ("string", ["abc", "a\x1db"])},
                {"values": hashed("f_abc", "f_a", "f_b"), "lengths": [1, 2]},
            ),
            "prefixed integers": ({**ID, **HASH, "need_prefix": True}, {"x": ("int64", [5, None])}),
            "no prefix unless asked for": ({**ID, **HASH, "need_prefix": False}, WORDS),
        },
    ),
    *rule(
        "6.1 A weighted token is `id:weight`; the weights run beside the ids, and a default weighs 1.",
        "inferred",
        {
            "weights run beside the values": (
                {**ID, **HASH, "weighted": True, "default_value": "d"},
                {"x": ("string", ["a:0.5\x1db:2", None])},
                {"values": hashed("a", "b", "d"), "lengths": [2, 1], "weights": [0.5, 2.0, 1.0]},
            ),
            "weights behind a separator": (
                {**ID, **HASH, "weighted": True, "separator": "|"},
                {"x": ("string", ["a:0.1|b:2", "d:-1\x1de:1e2", None])},
            ),
            "a native map is id to weight": (
                {**ID, **HASH, "weighted": True},
                {"x": ("map<string,float32>", [(("a", 0.5),), (), None])},
                {"values": hashed("a"), "lengths": [1, 0, 0], "weights": [0.5]},
            ),
            "an array of weighted tokens": (
                {**ID, **HASH, "weighted": True},
                {"x": ("list<string>", [["a:0.1", "b:3"], []])},
            ),
        },
    ),
    *rule(
        "6.1 A token without a weight weighs 1; it is cut at its last colon; a map keeps the order sent.",
        "ours",
        {
            "no weight, and two colons": (
                {**ID, **HASH, "weighted": True},
                {"x": ("string", ["a\x1db:3", "u:v:2"])},
                {"values": hashed("a", "b", "u:v"), "lengths": [2, 1], "weights": [1.0, 3.0, 2.0]},
            ),
            "a map in the order sent": (
                {**ID, **HASH, "weighted": True},
                {"x": ("map<int64,float32>", [((7, 0.5), (3, 2.0)), ()])},
                {"values": hashed("7", "3"), "lengths": [2, 0], "weights": [0.5, 2.0]},
            ),
            "the first of a map": (
                {**ID, **HASH, "weighted": True, "value_dim": 1, "default_value": "none"},
                {"x": ("map<string,float64>", [(("b", 0.1), ("a", 2.0)), ()])},
            ),
            "without `weighted` a map is its keys": (
                {**ID, **HASH},
                {"x": ("map<int64,float32>", [((5, 1.0), (6, 2.0)), ()])},
                {"values": hashed("5", "6"), "lengths": [2, 0]},
            ),
        },
    ),
    *rule(
        "1.3 An input `const:` is the text behind the colon, the same in every row.",
        "test",
        {
            "a constant": (
                {**ID, **HASH, "expression": "const:a"},
                {"x": ("string", ["", "b"])},
                {"values": hashed("a", "a"), "lengths": [1, 1]},
            ),
            "a constant of several values": (
                {**ID, **HASH, "expression": "const:a\x1db"},
                {"x": ("string", [""])},
            ),
        },
    ),
    *rule(
        "6.1 An id may be a number with boundaries, as for raw_feature.",
        "ours",
        {
            "boundaries of numbers": (
                {**ID, "boundaries": [0.5, 2]},
                {"x": ("float64", [0.0, 0.5, 3.0, None])},
                {"values": [0, 1, 2], "lengths": [1, 1, 1, 0]},
            ),
            "boundaries of text": ({**ID, "boundaries": [0.5, 2]}, {"x": ("string", ["0.1\x1d2", "7", ""])}),
        },
    ),
]
