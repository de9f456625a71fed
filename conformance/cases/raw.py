"""raw_feature: numbers, vectors of them, and what a null is."""

from conformance.cases.case import HASH, INF, NAN, RAW, Case, Columns, rule

NUMBERS: Columns = {"x": ("float64", [0.1, -2.5, 100.0, None, -0.0, 1e39])}
TEXTS: Columns = {"x": ("string", ["0.1", " 2.5 ", "1e2", "-.5", ""])}

CASES: list[Case] = [
    *rule(
        "3, 6.2 The number as float32; a missing one without default is 0.0 where the result is dense.",
        "ours",
        {
            "floats": (
                RAW,
                NUMBERS,
                {"values": [[float.fromhex("0x1.99999ap-4")], [-2.5], [100.0], [0.0], [-0.0], [INF]]},
            ),
            "integers": (
                RAW,
                {"x": ("int64", [1, -5, 16777217, None])},
                {"values": [[1.0], [-5.0], [16777216.0], [0.0]]},
            ),
            "int32": (RAW, {"x": ("int32", [7, -(2**31), None])}),
            "float32": (RAW, {"x": ("float32", [0.1, 1e-40, None])}),
            "text": (RAW, TEXTS),
            "a default": ({**RAW, "default_value": "1.5"}, NUMBERS),
            "a default for text": ({**RAW, "default_value": "1.5"}, TEXTS),
        },
    ),
    *rule(
        "2.4 Text that is no number makes the cell missing online.",
        "ours",
        {
            "no number": (
                {**RAW, "default_value": "7"},
                {"x": ("string", ["abc", "1,5", "0x10", "1e", "--1", "", "2"])},
                {"values": [[7.0]] * 6 + [[2.0]]},
            ),
            "one of several is no number": (
                {**RAW, "value_dim": 2, "default_value": "7"},
                {"x": ("string", ["1\x1db", "1\x1d2\x1db"])},
                {"values": [[7.0, 7.0], [1.0, 2.0]]},
            ),
            "signs, blanks and exponents": (
                RAW,
                {"x": ("string", ["+1.25", " 3.", ".5 ", "-7.5E1", "1e400"])},
                {"values": [[1.25], [3.0], [0.5], [-75.0], [INF]]},
            ),
        },
    ),
    *rule(
        "10 NaN and the infinities pass through; in boundaries NaN is in the last bucket.",
        "ours",
        {
            "NaN and infinities": (
                RAW,
                {"x": ("float32", [NAN, INF, -INF])},
                {"values": [[NAN], [INF], [-INF]]},
            ),
            "NaN in boundaries": (
                {**RAW, "boundaries": [0, 1]},
                {"x": ("float64", [NAN, INF, -INF])},
                {"values": [2, 2, 0], "lengths": [1, 1, 1]},
            ),
        },
    ),
    *rule(
        "6.2 Of an array, value_dim 1 takes the first entry.",
        "test",
        {
            "a one-entry array is its number": (
                RAW,
                {"x": ("list<float64>", [[2.5], [1.0]])},
                {"values": [[2.5], [1.0]]},
            ),
        },
    ),
    *rule(
        "6.2 Of longer arrays the first numbers count; too few are padded by 0.0; value_dim 0 is 1.",
        "ours",
        {
            "the first of several": (RAW, {"x": ("list<int32>", [[7, 8], []])}, {"values": [[7.0], [0.0]]}),
            "a short vector is padded": (
                {**RAW, "value_dim": 3},
                {"x": ("string", ["1\x1d2", "1\x1d2\x1d3\x1d4", ""])},
                {"values": [[1.0, 2.0, 0.0], [1.0, 2.0, 3.0], [0.0, 0.0, 0.0]]},
            ),
            "value_dim 0": (
                {**RAW, "value_dim": 0},
                {"x": ("float32", [1.5, None])},
                {"values": [[1.5], [0.0]]},
            ),
            "a short vector in boundaries": (
                {**RAW, "boundaries": [1, 2], "value_dim": 2, "default_value": "1"},
                {"x": ("list<float32>", [[0.0, 5.0], [1.0], []])},
            ),
        },
    ),
    *rule(
        "6.2 A vector of value_dim numbers is delimited text, an array of numbers or of numeric texts.",
        "test",
        {
            "a vector comes from text": (
                {**RAW, "value_dim": 3, "separator": ","},
                {"x": ("string", ["1,2.5,-3"])},
                {"values": [[1.0, 2.5, -3.0]]},
            ),
            "a vector comes from numeric texts": (
                {**RAW, "value_dim": 2},
                {"x": ("list<string>", [["1", "2.5"]])},
                {"values": [[1.0, 2.5]]},
            ),
            "a vector of doubles": (
                {**RAW, "value_dim": 2},
                {"x": ("list<float64>", [[0.1, 0.2], [3.0, 4.0]])},
            ),
            "a vector of integers": (
                {**RAW, "value_dim": 2},
                {"x": ("list<int64>", [[1, -2], [3, 4]])},
                {"values": [[1.0, -2.0], [3.0, 4.0]]},
            ),
            "each component is bucketized": (
                {**RAW, "value_dim": 2, "boundaries": [1, 2]},
                {"x": ("list<int64>", [[0, 2], [1, 5]])},
                {"values": [0, 2, 1, 2], "lengths": [2, 2]},
            ),
        },
    ),
    *rule(
        "4.2 Without default, a null of a numeric scalar column is 0.0: not normalized, but bucketized.",
        "test",
        {
            "null in a numeric column is 0.0": (
                {**RAW, "boundaries": [-0.5, 0.5], "normalizer": "method=zscore,mean=5,standard_deviation=1"},
                {"x": ("float32", [None, 5.0, 6.0])},
                {"values": [1, 1, 2], "lengths": [1, 1, 1]},
            ),
            "an all-null float column behaves the same": (
                {**RAW, "boundaries": [-0.5, 0.5]},
                {"x": ("float64", [None, None])},
                {"values": [1, 1], "lengths": [1, 1]},
            ),
            "null in an integer column": (
                {**RAW, "boundaries": [0.5]},
                {"x": ("int64", [None, 1])},
                {"values": [0, 1], "lengths": [1, 1]},
            ),
            "null in a text column has no bucket": (
                {**RAW, "boundaries": [0.5]},
                {"x": ("string", [None, "1", ""])},
                {"values": [1], "lengths": [0, 1, 0]},
            ),
            "null in an array column has no bucket": (
                {**RAW, "boundaries": [0.5]},
                {"x": ("list<float32>", [[], [1.0], None])},
                {"values": [1], "lengths": [0, 1, 0]},
            ),
            "a default wins over 0.0": (
                {**RAW, "boundaries": [-0.5, 0.5], "default_value": "1"},
                {"x": ("float32", [None, 0.0])},
                {"values": [2, 1], "lengths": [1, 1]},
            ),
        },
    ),
    *rule(
        "3 An integer value_type cuts a numeric result toward zero before it is used.",
        "test",
        {
            "truncated": (
                {**RAW, "value_type": "int64"},
                {"x": ("float32", [1.9, -1.9, 0.5])},
                {"values": [[1.0], [-1.0], [0.0]]},
            ),
            "truncated, then bucketized": (
                {**RAW, "value_type": "Integer", "boundaries": [1.5]},
                {"x": ("float64", [1.9, 2.0])},
                {"values": [0, 1], "lengths": [1, 1]},
            ),
            "value_type in other spellings": (
                {**RAW, "value_type": "BIGINT"},
                {"x": ("string", ["2.7"])},
                {"values": [[2.0]]},
            ),
            "a double is float32 in the tensor": ({**RAW, "value_type": "Double"}, {"x": ("float64", [0.1])}),
        },
    ),
    *rule(
        "5.2 The hash of a double result is that of its eight bytes.",
        "inferred",
        {
            "hash of doubles": ({**RAW, **HASH, "value_type": "double"}, {"x": ("float64", [0.1, 0.0, 3.0])}),
        },
    ),
]
