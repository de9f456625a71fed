"""custom_feature: the operators that are built in."""

from conformance.cases.case import DISTANCE, HASH, REGEX, SEQ_EXPR, Case, rule
from tests.features.referee.hashing import hashed

UTF8 = {**DISTANCE, "encoding": "utf-8"}
REPLACE = {
    "feature_type": "custom_feature",
    "operator_name": "RegexReplace",
    "expression": ["item:x"],
    "value_type": "string",
    "regex_pattern": "a(.)",
    "replacement": r"\1",
    **HASH,
}
WAY = {
    **SEQ_EXPR,
    "expression": ["user:lng", "user:lat", "item:lngs", "item:lats"],
    "formula": "spherical_distance",
    "sequence_fields": ["lngs", "lats"],
}

CASES: list[Case] = [
    *rule(
        "6.13 EditDistance with encoding utf-8 counts characters.",
        "test",
        {"characters": (UTF8, {"u": ("string", ["裙子"]), "x": ("string", ["连衣裙"])}, {"values": [[3.0]]})},
        recorded=True,
    ),
    *rule(
        "6.13 EditDistance is Levenshtein's: of characters, or with encoding latin, the default, of bytes.",
        "test",
        {
            "letters": (
                UTF8,
                {"u": ("string", ["kitten"]), "x": ("string", ["sitting", "kitten", "k"])},
                {"values": [[3.0], [0.0], [5.0]]},
            ),
            "bytes": (
                DISTANCE,
                {"u": ("string", ["中"]), "x": ("string", ["文", "中a"])},
                {"values": [[3.0], [1.0]]},
            ),
            "latin": (
                {**DISTANCE, "encoding": "latin"},
                {"u": ("string", ["é"]), "x": ("string", ["e", "é"])},
                {"values": [[2.0], [0.0]]},
            ),
            "boundaries": (
                {**UTF8, "boundaries": [1, 3]},
                {"u": ("string", ["abc"]), "x": ("string", ["abc", "ab", "xyz"])},
                {"values": [0, 1, 2], "lengths": [1, 1, 1]},
            ),
        },
    ),
    *rule(
        "6.13 EditDistance of a missing text is missing.",
        "ours",
        {
            "missing": (
                UTF8,
                {"u": ("string", ["a", ""]), "x": ("string", ["", "a"])},
                {"values": [[0.0], [0.0]]},
            ),
            "missing with default": (
                {**UTF8, "default_value": "9"},
                {"u": ("string", [None]), "x": ("string", ["a"])},
                {"values": [[9.0]]},
            ),
            "missing with boundaries": (
                {**UTF8, "boundaries": [1]},
                {"u": ("string", ["ab"]), "x": ("string", [None, "ab", "x"])},
                {"values": [0, 1], "lengths": [0, 1, 1]},
            ),
            "numbers are their text": (
                UTF8,
                {"u": ("int64", [123]), "x": ("string", ["12", "124"])},
                {"values": [[1.0], [1.0]]},
            ),
        },
    ),
    *rule(
        "6.13 EditDistance element by element.",
        "ours",
        {
            "a sequence": (
                {**UTF8, "is_sequence": True, "default_value": "9", "value_type": "float"},
                {"u": ("string", ["ab"]), "x": ("string", ["ab;;b", ""])},
                {"values": [[0.0], [9.0], [1.0], [9.0]], "lengths": [3, 1]},
            ),
        },
    ),
    *rule(
        "6.13 RegexReplace is regex_replace_feature.",
        "doc",
        {
            "replaced": (
                REPLACE,
                {"x": ("string", ["abac", "b", ""])},
                {"values": hashed("bc", "b"), "lengths": [1, 1, 0]},
            ),
            "each token": (
                {**REPLACE, "value_dim": 0},
                {"x": ("string", ["ab\x1dac"])},
                {"values": hashed("b", "c"), "lengths": [2]},
            ),
            "beside the type itself": (
                [
                    {**REGEX, "feature_name": "g", "regex_pattern": "a(.)", "replacement": r"\1", **HASH},
                    {**REPLACE, "feature_name": "f"},
                ],
                {"x": ("string", ["abac"])},
            ),
        },
    ),
    *rule(
        "6.13 SeqExpr: spherical_distance of lng1, lat1, lng2, lat2 in km; a single element stands for all, "
        "whatever its side.",
        "test",
        {
            "a way in buckets": (
                {**WAY, "boundaries": [150, 1500]},
                {
                    "lng": ("float64", [116.4]),
                    "lat": ("float64", [39.9]),
                    "lngs": ("string", ["117.2;121.47;103.8"]),
                    "lats": ("string", ["39.1;31.23;1.35"]),
                },
                {"values": [0, 1, 2], "lengths": [3]},
            ),
            "the same place": (
                WAY,
                {
                    "lng": ("float64", [116.5]),
                    "lat": ("float64", [39.5]),
                    "lngs": ("list<float64>", [[116.5]]),
                    "lats": ("list<float64>", [[39.5]]),
                },
                {"values": [[0.0]], "lengths": [1]},
            ),
        },
    ),
    *rule(
        "6.13 SeqExpr cuts every input; an element of which an input is missing is the default, a sequence "
        "without any element is one default element.",
        "test",
        {
            "a formula": (
                {**SEQ_EXPR, "expression": ["item:x", "user:u"], "formula": "x * u + 1"},
                {"u": ("float32", [2.0]), "x": ("string", ["1;;3", ""])},
                {"values": [[3.0], [0.0], [7.0], [0.0]], "lengths": [3, 1]},
            ),
            "a missing input of all elements": (
                {**SEQ_EXPR, "expression": ["item:x", "user:u"], "formula": "x * u", "default_value": "-1"},
                {"u": ("float32", [None]), "x": ("string", ["1;2", ""])},
                {"values": [[-1.0], [-1.0], [-1.0]], "lengths": [2, 1]},
            ),
            "user inputs that are sequences": (
                {**SEQ_EXPR, "expression": ["user:u", "user:w"], "formula": "u - w"},
                {"u": ("string", ["5;7"]), "w": ("string", ["1;2"])},
                {"values": [[4.0], [5.0]], "lengths": [2]},
            ),
            "a length": (
                {**SEQ_EXPR, "expression": ["item:x"], "formula": "x", "sequence_length": 2},
                {"x": ("list<int64>", [[1, 2, 3], []])},
                {"values": [[1.0], [2.0], [0.0]], "lengths": [2, 1]},
            ),
        },
    ),
]
