"""combine_feature (6.11), and the combiners that it shares with lookup_feature (6.4)."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from tests.features.referee.cells import Numbers, UnspecifiedError, numbers, tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.features.referee.config import Feature
    from tests.features.referee.outcome import Cells, Outcome


def run_combine(feature: Feature, cells: Cells) -> Outcome:
    """One number of the tokens' numbers: out of `value_map`, which skips what it lacks, or parsed."""
    cell, table = cells["value"], feature.spec.get("value_map")
    if table is None:
        found = numbers(cell, feature.separator)
    else:
        known = [float(table[text]) for text in tokens(cell, feature.separator) if text in table]
        found = Numbers(list(known), text=False) if known else None
    if found is None:
        return None
    return Numbers(combined(found.values, str(feature.spec.get("combiner", "sum"))), found.text)


def combined(given: Sequence[float], combiner: str) -> list[int | float]:
    """The numbers under a combiner, in doubles; all of them under none."""
    values = [float(value) for value in given]
    ordered = sorted(values)
    gaps = [after - before for before, after in pairwise(ordered)] or [0.0]
    results: dict[str, Callable[[], float]] = {
        "sum": lambda: _sum(values),
        "mean": lambda: _sum(values) / len(values),
        "avg": lambda: _sum(values) / len(values),
        "min": lambda: ordered[0],
        "max": lambda: ordered[-1],
        "count": lambda: float(len(values)),
        "gap_min": lambda: min(gaps),
        "gap_max": lambda: max(gaps),
    }
    if combiner == "":
        return list(values)
    if any(value != value for value in values):  # noqa: PLR0124
        raise UnspecifiedError("NaN in a combiner")
    return [results[combiner]()]


def _sum(values: list[float]) -> float:
    total = 0.0
    for value in values:
        total += value
    return total
