"""Normalizers in plain Python: doubles rounded to float32 wherever the native one computes in float32.

Rounding the double result of one +, -, * or / of two float32 gives the float32 result (a double has more
than twice its digits), so `float32(x - y)` is the float32 difference.
"""

from __future__ import annotations

import math

from conformance.plain.bucketize import float32
from conformance.plain.expression import divide, evaluate


def normalize(config: str, kind: str, x: float) -> float:
    """The normalized number as float32; `kind` is "float32" or "text" (x parsed to a double)."""
    step = float32 if kind == "float32" else float
    method, _, rest = config.removeprefix("method=").partition(",")
    if method == "expression":
        return float32(evaluate(rest.removeprefix("expr="), {"x": [x]}, math.nan)[0])
    given = {
        key: float32(float(value)) for key, value in (pair.split("=") for pair in rest.split(",") if pair)
    }
    if method == "log10":
        return float32(
            evaluate("log10(x)", {"x": [x]}, math.nan)[0]
            if x > given.get("threshold", 1.0)
            else given.get("default", 0.0)
        )
    if method == "zscore":
        return float32(divide(step(x - given["mean"]), given["standard_deviation"]))
    return float32(divide(step(x - given["min"]), float32(given["max"] - given["min"])))
