"""The groups of benchmarks/features/tables.py with pandas' apply: a Python function called with each cell.

It is as quick as such a function can be: its hash is native, boundaries are bisected, maps are dicts.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import TYPE_CHECKING, Any

import numpy as np
from benchmarks.features.tables import BOUNDARIES, COPIES, DEVIATION, IDS, INTEGERS, MEAN, STEPS

from recserve._core import murmur64a

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

LIMITS = np.array(BOUNDARIES, np.float32).tolist()


def each(prefix: str, function: Callable[[Any], Any]) -> Callable[[pd.DataFrame], dict[str, pd.Series[Any]]]:
    """The function over every copy of a column."""
    names = [f"{prefix}_{k}" for k in range(COPIES)]
    return lambda frame: {f"f_{name}": frame[name].apply(function) for name in names}


def _zscore(x: float) -> np.float32 | float:
    return 0.0 if math.isnan(x) else (np.float32(x) - np.float32(MEAN)) / np.float32(DEVIATION)


def _raw(x: float) -> float:
    return 0.0 if math.isnan(x) else x


def _log10(x: float) -> float:
    return math.log10(x) if x > 1 else 0.0


def _bucket(x: float) -> int:
    return bisect_right(LIMITS, 0.0 if math.isnan(x) else x)


def _in_range(n: int) -> int:
    return n if 0 <= n < INTEGERS // 2 else 0


def _sequence(clicks: str | float) -> list[int]:
    pieces = clicks.split(";")[:STEPS] if isinstance(clicks, str) else [""]
    return [murmur64a(piece or "0") % IDS for piece in pieces]


def _lookup(row: Any) -> float:
    return float(dict(row["map"]).get(row["key"], 0.0))


def _lookups(row: Any) -> float:
    values = dict(row["map"])
    return float(sum(values.get(key, 0.0) for key in row["keys"]))


def _match(row: Any) -> float:
    for pair in row["nested"].split("|"):
        outer, _, values = pair.partition("^")
        if outer == row["outer"]:
            for inner in values.split(","):
                key, _, value = inner.partition(":")
                if key == row["inner"]:
                    return float(value)
    return 0.0


def _combo(row: Any) -> list[int]:
    return [murmur64a(f"{tag}_{row['inner']}_{row['key']}") % IDS for tag in row["tags"]]


CONTESTANTS: dict[str, Callable[[pd.DataFrame], dict[str, pd.Series[Any]]]] = {
    "raw": each("x", _raw),
    "zscore": each("x", _zscore),
    "log10": each("large", _log10),
    "boundaries": each("x", _bucket),
    "num_buckets": each("n", _in_range),
    "lookup": lambda frame: {"lookup": frame.apply(_lookup, axis=1)},
    "lookups": lambda frame: {"lookups": frame.apply(_lookups, axis=1)},
    "match": lambda frame: {"match": frame.apply(_match, axis=1)},
    "combo": lambda frame: {"combo": frame.apply(_combo, axis=1)},
    "sequence": lambda frame: {"sequence": frame["clicks"].apply(_sequence)},
}
