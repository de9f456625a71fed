"""Normalizers, of every type that takes one. Single values are in ../normalize.json."""

from conformance.cases.bucketizers import NUMERIC
from conformance.cases.case import RAW, Case, rule

LOG10 = "method=log10"
METHODS = {
    "log10": "method=log10,threshold=0.05,default=-3",
    "zscore": "method=zscore,mean=0.1,standard_deviation=0.3",
    "minmax": "method=minmax,min=0.1,max=7.3",
    "expression": "method=expression,expr=x > 0.5 ? x * x + 0.1 : -1",
}

CASES: list[Case] = [
    *rule(
        "5.1 log10 of what is above the threshold (1), strictly; else the default (0).",
        "test",
        {
            "log10 compares strictly with its threshold": (
                {**RAW, "normalizer": LOG10},
                {"x": ("int64", [1, 10, 0, 1000])},
                {"values": [[0.0], [1.0], [0.0], [3.0]]},
            ),
            "log10 has a threshold and a default of its own": (
                {**RAW, "normalizer": "method=log10,threshold=1e-10,default=-10"},
                {"x": ("float32", [0.0, 0.1, 100.0])},
                {"values": [[-10.0], [-1.0], [2.0]]},
            ),
        },
    ),
    *rule(
        "5.1 zscore is (x - mean) / standard_deviation: of a number in float32, of a text in double with the "
        "float32 parameters widened.",
        "test",
        {
            "zscore of a number is float32": (
                {**RAW, "normalizer": METHODS["zscore"]},
                {"x": ("float64", [0.1])},
                {"values": [[0.0]]},
            ),
            "zscore of a text is double": (
                {**RAW, "normalizer": METHODS["zscore"]},
                {"x": ("string", ["0.1"])},
                {"values": [[float.fromhex("-0x1.555554p-28")]]},
            ),
        },
        recorded=True,
    ),
    *rule(
        "5.1 minmax is (x - min) / (max - min), and does not clip.",
        "test",
        {
            "minmax does not clip": (
                {**RAW, "normalizer": "method=minmax,min=0,max=10"},
                {"x": ("int64", [5, 20, -10])},
                {"values": [[0.5], [2.0], [-1.0]]},
            ),
        },
    ),
    *rule(
        "5.1 expression: a formula over x, and everything behind `expr=` is the formula. It is double for "
        "numbers and texts alike.",
        "ours",
        {
            "commas in a formula": (
                {**RAW, "normalizer": "method=expression,expr=min(x, 2, 3)"},
                {"x": ("float32", [1.0, 5.0])},
                {"values": [[1.0], [2.0]]},
            ),
        },
    ),
    *rule(
        "5 The order: operator, default if missing, normalizer (not on defaults), bucketizer.",
        "test",
        {
            "a default is not normalized": (
                {**RAW, "normalizer": "method=minmax,min=0,max=10", "default_value": "7"},
                {"x": ("string", ["", "5"])},
                {"values": [[7.0], [0.5]]},
            ),
            "normalized, then bucketized": (
                {**RAW, "normalizer": LOG10, "boundaries": [0.5, 1]},
                {"x": ("float64", [1.0, 5.0, 10.0])},
                {"values": [0, 1, 2], "lengths": [1, 1, 1]},
            ),
            "a vector": (
                {**RAW, "normalizer": "method=minmax,min=0,max=2", "value_dim": 2},
                {"x": ("list<float32>", [[1.0, 2.0], [4.0, 0.0]])},
                {"values": [[0.5, 1.0], [2.0, 0.0]]},
            ),
        },
    ),
    *rule(
        "5.1 Every method after every type. (What a formula made is a double, other results are numbers; a "
        "value of a text map is a text, and of a native map a number.)",
        "ours",
        {
            f"{method} of {kind}": ({**spec, "normalizer": text}, columns)
            for method, text in METHODS.items()
            for kind, (spec, columns) in NUMERIC.items()
        },
    ),
]
