"""How far the features of today are from those of a baseline.

| measure       | what it compares                                         | drift above |
|---------------|----------------------------------------------------------|-------------|
| PSI           | shares of values, today against the baseline             | 0.25        |
| JS distance   | the same, between 0 and 1, whichever comes first         | 0.3         |
| default rate  | share of rows (elements) without a value of their own    | ± 0.05      |
| missing rate  | share of missing cells of an input column                | ± 0.05      |

Shares are those of ten bins with a tenth of the baseline's numbers each, or of its fifty most frequent ids
and all others. PSI is sum((today - base) * ln(today / base)); below 0.1 nothing moved, by the usual rule. A
few rows move by themselves: with n on both sides by about 2 * bins / n.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from recserve.features.checks.sketches import Numbers
    from recserve.features.checks.stats import Baseline, FeatureStats

#: A bin that nothing fell into counts as this share: PSI is a ratio.
_LEAST_SHARE = 1e-4
_BINS = 10


@dataclass(frozen=True, slots=True)
class Limits:
    """What counts as drift."""

    psi: float = 0.25
    js_distance: float = 0.3
    rate: float = 0.05


@dataclass(frozen=True, slots=True)
class Drift:
    """One feature or column beside its baseline."""

    name: str
    psi: float
    js_distance: float
    rate: float  # of defaults or missing cells, today
    rate_before: float
    why: tuple[str, ...]  # the measures that are over their limit; empty: no drift


def compare(today: Baseline, before: Baseline, limits: Limits) -> Iterator[Drift]:
    """Compare what both have, columns after features; then name what only one of them has."""
    for name, stats in today.features.items():
        old = before.features.get(name)
        if old is not None and old.kind == stats.kind:
            yield _compare(stats, old, limits)
        elif old is not None:
            yield Drift(name, 0, 0, 0, 0, (f"was {old.kind}, is {stats.kind}",))
    for name in sorted(today.missing.keys() & before.missing.keys()):
        rates = today.missing[name], before.missing[name]
        why = ("missing rate",) if abs(rates[0] - rates[1]) > limits.rate else ()
        yield Drift(f"column {name}", 0, 0, *rates, why)
    for name in sorted(today.features.keys() ^ before.features.keys()):
        where = "the baseline lacks it" if name in today.features else "only the baseline has it"
        yield Drift(name, 0, 0, 0, 0, (where,))


def _compare(today: FeatureStats, before: FeatureStats, limits: Limits) -> Drift:
    shares = _shares(today, before)
    psi, distance = (0.0, 0.0) if shares is None else (_psi(*shares), _js_distance(*shares))
    rates = today.default_rate, before.default_rate
    measures = {
        "PSI": psi > limits.psi,
        "JS distance": distance > limits.js_distance,
        "default rate": abs(rates[0] - rates[1]) > limits.rate,
    }
    return Drift(today.feature, psi, distance, *rates, tuple(name for name, over in measures.items() if over))


def _shares(today: FeatureStats, before: FeatureStats) -> tuple[list[float], list[float]] | None:
    """Shares of the same bins, today's and before; None where one side has no values."""
    if today.kind == "numbers":
        if not today.numbers.count or not before.numbers.count:
            return None
        edges = _edges(before.numbers)
        return _binned(today.numbers, edges), _binned(before.numbers, edges)
    if not today.frequent.count or not before.frequent.count:
        return None
    top = [value for value, _ in before.frequent.top(50)]
    counts = {str(value): count for value, count in today.frequent.counts.items()}
    base = [before.frequent.counts[value] / before.frequent.count for value in top]
    now = [counts.get(str(value), 0) / today.frequent.count for value in top]
    return [*now, max(0.0, 1 - sum(now))], [*base, max(0.0, 1 - sum(base))]


def _edges(numbers: Numbers) -> list[int]:
    """Bins of the sketch that end a tenth of the baseline each."""
    places = sorted(numbers.bins)
    ends = np.cumsum([numbers.bins[place] for place in places]) / numbers.count
    found = [places[int(np.searchsorted(ends, share / _BINS))] for share in range(1, _BINS)]
    return sorted(set(found))


def _binned(numbers: Numbers, edges: Sequence[int]) -> list[float]:
    shares = [0.0] * (len(edges) + 1)
    for place, count in numbers.bins.items():
        shares[int(np.searchsorted(edges, place))] += count / numbers.count
    return shares


def _psi(today: Sequence[float], before: Sequence[float]) -> float:
    total = 0.0
    for now, base in zip(today, before, strict=True):
        if now or base:
            now, base = max(now, _LEAST_SHARE), max(base, _LEAST_SHARE)  # noqa: PLW2901
            total += (now - base) * math.log(now / base)
    return total


def _js_distance(today: Sequence[float], before: Sequence[float]) -> float:
    """The square root of the Jensen-Shannon divergence in bits: 0 equal, 1 nothing in common."""
    total = 0.0
    for now, base in zip(today, before, strict=True):
        middle = (now + base) / 2
        total += sum(share * math.log2(share / middle) / 2 for share in (now, base) if share > 0)
    return math.sqrt(max(0.0, total))
