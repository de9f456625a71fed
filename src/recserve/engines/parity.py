"""How far two answers to one request are from each other, and how far they may be.

The same sums in another order give other last bits: a model's own answers move by some 1e-7 when the same
rows come in another batch. What a model is rewritten or compiled into has to stay within

| output                              | allowed                               |
|-------------------------------------|---------------------------------------|
| a probability (its name says probs) | 2e-6                                  |
| any other: logits, regressions      | 1e-5, of its size where it is above 1 |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

PROBABILITY = 2e-6
RELATIVE = 1e-5


@dataclass(frozen=True, slots=True)
class Difference:
    """The largest differences of two answers; infinite where shapes, types, NaN or infinities differ."""

    probability: float = 0.0  # of probabilities
    relative: float = 0.0  # of all other outputs
    output: str = ""  # the first one that is further away than it may be

    @property
    def is_allowed(self) -> bool:
        """Whether no output is further away than it may be."""
        return not self.output

    def or_larger(self, other: Difference) -> Difference:
        """The larger of each."""
        return Difference(
            max(self.probability, other.probability),
            max(self.relative, other.relative),
            self.output or other.output,
        )


NO_DIFFERENCE = Difference()


def difference(expected: Mapping[str, NDArray[Any]], found: Mapping[str, NDArray[Any]]) -> Difference:
    """Compare two answers; outputs that only one of them has are further away than any may be."""
    largest = {True: 0.0, False: 0.0}
    wrong = sorted(expected.keys() ^ found.keys())
    for name in expected.keys() & found.keys():
        is_probability = name.startswith("probs")
        away = _largest(expected[name], found[name], relative=not is_probability)
        largest[is_probability] = max(largest[is_probability], away)
        if away > (PROBABILITY if is_probability else RELATIVE):
            wrong.append(name)
    return Difference(largest[True], largest[False], wrong[0] if wrong else "")


def _largest(expected: NDArray[Any], found: NDArray[Any], *, relative: bool) -> float:
    if expected.shape != found.shape or expected.dtype != found.dtype:
        return np.inf
    finite = np.isfinite(expected)
    same = np.array_equal(expected[~finite], found[~finite], equal_nan=True)
    if not same or not np.isfinite(found[finite]).all():
        return np.inf
    wanted = expected[finite].astype(np.float64)
    away = np.abs(wanted - found[finite])
    if relative:
        away /= np.maximum(1.0, np.abs(wanted))
    return float(away.max(initial=0.0))
