"""Distributions in constant memory: of numbers, of ids, and how many different ones there are.

Each takes arrays as they come, and what it keeps does not grow with them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class Numbers:
    """Count, mean, deviation, ends and a histogram whose bins are 5 % wide.

    The bin of x is the power of 1.05 above |x|, with its sign: a quantile is right to 2.5 % at any scale, and
    two histograms can be laid over one another. NaN and infinities are counted and left out.
    Source: DDSketch (Masson, Rim, Lee 2019).
    """

    _WIDTH = 1.05
    _LOG = math.log(_WIDTH)
    _ZERO = 800
    #: Up to it a number is 0.
    _LEAST = _WIDTH**-_ZERO

    def __init__(self) -> None:
        self.count = 0
        self.not_finite = 0
        self.mean = 0.0
        self._squares = 0.0  # of the distances from the mean
        self.least = math.inf
        self.most = -math.inf
        self.bins: dict[int, int] = {}  # sign * (exponent + _ZERO + 1); 0: zero

    def add(self, values: NDArray[np.float64]) -> None:
        """Count values."""
        finite = values[np.isfinite(values)]
        self.not_finite += len(values) - len(finite)
        if not len(finite):
            return
        count, mean = len(finite), float(finite.mean())
        squares = float(((finite - mean) ** 2).sum())
        both = self.count + count
        # Chan's formula: deviations of parts make that of the whole.
        self._squares += squares + (mean - self.mean) ** 2 * self.count * count / both
        self.mean += (mean - self.mean) * count / both
        self.count = both
        self.least, self.most = min(self.least, float(finite.min())), max(self.most, float(finite.max()))
        size = np.abs(finite)
        exponents = np.ceil(np.log(np.maximum(size, self._LEAST)) / self._LOG).astype(np.int64)
        bins = np.where(
            size <= self._LEAST, 0, np.sign(finite).astype(np.int64) * (exponents + self._ZERO + 1)
        )
        for place, number in zip(*np.unique(bins, return_counts=True), strict=True):
            self.bins[int(place)] = self.bins.get(int(place), 0) + int(number)

    @property
    def deviation(self) -> float:
        """The standard deviation of what was counted."""
        return math.sqrt(self._squares / self.count) if self.count else 0.0

    def quantile(self, share: float) -> float:
        """The number that `share` of all are not above."""
        if not self.count:
            return math.nan
        left = share * (self.count - 1)
        for place in sorted(self.bins):
            left -= self.bins[place]
            if left < 0:
                return min(max(self.value_of(place), self.least), self.most)
        return self.most

    def value_of(self, place: int) -> float:
        """The middle of a bin."""
        return sum(self.ends_of(place)) / 2

    def ends_of(self, place: int) -> tuple[float, float]:
        """From where to where a bin goes."""
        if place == 0:
            return 0.0, 0.0
        far = math.copysign(self._WIDTH ** (abs(place) - self._ZERO - 1), place)
        near = far / self._WIDTH
        return (near, far) if place > 0 else (far, near)

    def below(self, edges: Sequence[float]) -> NDArray[np.float64]:  # (len(edges),)
        """Shares of all that are not above each edge; inside of a bin they rise evenly."""
        ends, shares, seen = [-math.inf], [0.0], 0
        for place in sorted(self.bins):
            low, high = self.ends_of(place)
            ends += [max(low, ends[-1]), max(high, ends[-1])]
            shares += [seen / self.count, (seen + self.bins[place]) / self.count]
            seen += self.bins[place]
        return np.interp(edges, ends[1:], shares[1:], left=0.0)

    def as_json(self) -> dict[str, Any]:
        """All that `from_json` needs."""
        ends = (self.least, self.most) if self.count else (None, None)
        return {
            "count": self.count,
            "not_finite": self.not_finite,
            "mean": self.mean,
            "std": self.deviation,
            "min": ends[0],
            "max": ends[1],
            "quantiles": {f"{share:g}": self.quantile(share) for share in QUANTILES} if self.count else {},
            "bins": {str(place): self.bins[place] for place in sorted(self.bins)},
        }

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> Self:
        """Read back what was saved."""
        made = cls()
        made.count, made.not_finite, made.mean = saved["count"], saved["not_finite"], saved["mean"]
        made._squares = saved["std"] ** 2 * made.count
        if made.count:
            made.least, made.most = saved["min"], saved["max"]
        made.bins = {int(place): count for place, count in saved["bins"].items()}
        return made


QUANTILES = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)


class Frequent:
    """The most frequent of many values, their counts too small by at most `error`.

    Up to `_CAPACITY` different values are counted exactly.
    Source: Misra and Gries 1982, in batches: what is rare is counted down together.
    """

    _CAPACITY = 1 << 14

    def __init__(self) -> None:
        self.count = 0
        self.error = 0
        self.counts: dict[int | str, int] = {}

    def add(self, values: Sequence[int | str], counts: list[int]) -> None:
        """Count different values, each with how often it came."""
        for value, count in zip(values, counts, strict=True):
            self.counts[value] = self.counts.get(value, 0) + count
        self.count += sum(counts)
        if len(self.counts) > self._CAPACITY:
            floor = sorted(self.counts.values(), reverse=True)[self._CAPACITY // 2]
            self.error += floor
            self.counts = {value: n - floor for value, n in self.counts.items() if n > floor}

    def top(self, most: int) -> list[tuple[int | str, int]]:
        """The most frequent values, ties in the order of the values."""
        return sorted(self.counts.items(), key=lambda pair: (-pair[1], str(pair[0])))[:most]


class Distinct:
    """How many different values there are, to some 3 %.

    Of the values' hashes the least 1,024 are kept: the closer they lie, the more there are.
    Source: Bar-Yossef et al. 2002 (k minimum values).
    """

    _KEPT = 1024

    def __init__(self) -> None:
        self._least: NDArray[np.uint64] = np.zeros(0, np.uint64)

    def add(self, values: NDArray[np.int64]) -> None:
        """Count values, which are ids or hashes."""
        mixed = values.astype(np.uint64)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
        mixed ^= mixed >> np.uint64(31)
        self._least = np.unique(np.concatenate([self._least, mixed]))[: self._KEPT]

    @property
    def estimate(self) -> int:
        """Exact below 1,024."""
        if len(self._least) < self._KEPT:
            return len(self._least)
        return round((self._KEPT - 1) / (float(self._least[-1]) / 2.0**64))
