"""Normalizers (5.1): float32 arithmetic for numbers, double for text with the float32 parameters widened."""

from __future__ import annotations

import numpy as np
from tests.features.referee.cells import float32
from tests.features.referee.formula import Formula, libm

Real = np.float32 | np.float64


class Normalizer:
    """`method=NAME,key=value,...`; for `expression`, everything after `expr=` is the formula."""

    def __init__(self, text: str) -> None:
        head, _, formula = text.partition("expr=")
        pairs = dict(part.split("=", 1) for part in head.split(",") if "=" in part)
        self.method = pairs.pop("method").strip()
        self.parameters = {key.strip(): float32(float(value)) for key, value in pairs.items()}
        self.formula = Formula(formula, ["x"]) if self.method == "expression" else None

    def __call__(self, value: int | float, *, text: bool) -> np.float32:
        """The normalized value; `text` tells that it was parsed from text."""
        x: Real = np.float64(value) if text else float32(value)
        with np.errstate(all="ignore"):
            return np.float32(self._run(x, self.parameters))

    def _run(self, x: Real, parameters: dict[str, np.float32]) -> Real:
        if self.formula is not None:
            result = self.formula({"x": float(x)}, float("nan"))
            assert isinstance(result, float)
            return np.float64(result)
        if self.method == "log10":
            threshold = parameters.get("threshold", np.float32(1))
            if x > threshold:
                return np.float64(libm("log10", float(x)))
            return parameters.get("default", np.float32(0))
        if self.method == "zscore":
            return (x - parameters["mean"]) / parameters["standard_deviation"]
        assert self.method == "minmax"
        return (x - parameters["min"]) / (parameters["max"] - parameters["min"])
