"""Scores that are no numbers: NaN and infinite ones, and what becomes of them (`not_finite`).

| not_finite | such a score is        |
|------------|------------------------|
| keep       | answered as it is      |
| replace    | item_empty_score       |
| fail       | a ModelError, HTTP 500 |

They are counted in any case. Rows of unknown items are not looked at: they get item_empty_score before.
"""

from __future__ import annotations

import math
from collections import Counter
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from recserve.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recserve.processors.processor import Gauges, Labels

#: Values above which BLAS may wake threads of its own.
_FEW = 8192


class NotFinite:
    """The policy of one service, and its counts. Many threads use it at once."""

    def __init__(self, policy: str = "keep", replacement: float = 0.0) -> None:
        self._policy = policy
        self._replacement = replacement
        self._counts: Counter[str] = Counter()
        self._lock = Lock()

    def settled(self, outputs: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """The outputs as they may be answered; the very arrays where all floats are finite."""
        for values in outputs.values():
            if values.dtype.kind == "f" and not _finite(values):
                return {name: self._settled(name, values) for name, values in outputs.items()}
        return outputs

    def gauges(self) -> Gauges:
        """How many there were, by output."""
        by_output: dict[Labels, float] = {(("output", name),): float(n) for name, n in self._counts.items()}
        return {"recserve_not_finite_scores_total": ("Scores that were NaN or infinite.", by_output)}

    def _settled(self, name: str, values: NDArray[Any]) -> NDArray[Any]:
        wrong = ~np.isfinite(values) if values.dtype.kind == "f" else np.zeros(1, np.bool_)
        count = int(np.count_nonzero(wrong))
        if not count:
            return values
        with self._lock:
            self._counts[name] += count
        if self._policy == "fail":
            raise ModelError(
                f"output '{name}': {count} of {values.size} scores are NaN or infinite (not_finite: fail)"
            )
        return np.where(wrong, values.dtype.type(self._replacement), values) if self._replaces else values

    @property
    def _replaces(self) -> bool:
        return self._policy == "replace"


def _finite(values: NDArray[Any]) -> bool:
    """Whether all are finite; False as well where they may not be, but are merely huge.

    Every request passes here. Squares do not cancel, so their sum tells: one call in place of the two that
    np.isfinite and its reduction take, which cost 3 us more.
    """
    if values.size > _FEW:
        return bool(np.isfinite(values).all())
    return math.isfinite(np.vdot(values, values))
