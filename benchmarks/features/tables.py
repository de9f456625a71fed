"""The training table that the offline benchmarks read, and the features made of it, by group.

GROUPS[name].features is what goes into fg.json; `kind` says what polars has to do for the same:

    arithmetic   expressions over number columns
    relational   joins, lists or texts
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

MEAN, DEVIATION = 0.5, 0.29
BOUNDARIES = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
INTEGERS = 100_000
IDS = 2**63 - 1  # so many buckets that no two texts share one
COPIES = 4  # of a number column: a table has many
KEYS, MAP_KEYS, OUTER_KEYS, STEPS = 1000, 20, 5, 20
DIFFERENT = 5000  # long texts: the table repeats them


@dataclass(frozen=True, slots=True)
class Group:
    """Features that are measured together."""

    kind: str
    columns: tuple[str, ...]
    features: tuple[dict[str, Any], ...]
    values: float = 1  # results in a row of one feature, on average


def _feature(kind: str, name: str, **keys: Any) -> dict[str, Any]:
    return {"feature_type": f"{kind}_feature", "feature_name": name, **keys}


def _numbers(kind: str, column: str, **keys: Any) -> Group:
    names = tuple(f"{column}_{k}" for k in range(COPIES))
    features = tuple(_feature(kind, f"f_{name}", expression=f"item:{name}", **keys) for name in names)
    return Group("arithmetic", names, features)


GROUPS = {
    "raw": _numbers("raw", "x"),
    "zscore": _numbers("raw", "x", normalizer=f"method=zscore,mean={MEAN},standard_deviation={DEVIATION}"),
    "log10": _numbers("raw", "large", normalizer="method=log10"),
    "boundaries": _numbers("raw", "x", boundaries=BOUNDARIES),
    "num_buckets": _numbers("id", "n", num_buckets=INTEGERS // 2, value_dim=1),
    "lookup": Group(
        "relational", ("map", "key"), (_feature("lookup", "lookup", map="user:map", key="item:key"),)
    ),
    "lookups": Group(
        "relational", ("map", "keys"), (_feature("lookup", "lookups", map="user:map", key="item:keys"),)
    ),
    "match": Group(
        "relational",
        ("nested", "outer", "inner"),
        (
            _feature(
                "match",
                "match",
                user="user:nested",
                category="item:outer",
                item="item:inner",
                needDiscrete=False,
                value_type="float",
            ),
        ),
    ),
    "combo": Group(
        "relational",
        ("tags", "inner", "key"),
        (
            _feature(
                "combo",
                "combo",
                expression=["user:tags", "item:inner", "item:key"],
                hash_bucket_size=IDS,
                default_value="",
            ),
        ),
        values=2.5,
    ),
    "sequence": Group(
        "relational",
        ("clicks",),
        (
            {
                "feature_type": "sequence_id_feature",
                "feature_name": "sequence",
                "expression": "user:clicks",
                "hash_bucket_size": IDS,
                "sequence_delim": ";",
                "sequence_length": STEPS,
                "value_dim": 1,
                "default_value": "0",
            },
        ),
        values=12,
    ),
}

IDS_OF_TEXTS = Group(
    "texts",
    tuple(f"item_{k}" for k in range(COPIES)),
    tuple(
        _feature("id", f"id_{k}", expression=f"item:item_{k}", hash_bucket_size=1_000_000)
        for k in range(COPIES)
    ),
)


def table(rows: int, seed: int = 1) -> pa.Table:
    """Every column that a group reads; one number in fifty is missing."""
    rng = np.random.default_rng(seed)
    columns: dict[str, pa.Array] = {}
    for k in range(COPIES):
        columns[f"x_{k}"] = pa.array(rng.random(rows, np.float32), mask=rng.random(rows) < 0.02)
        columns[f"large_{k}"] = pa.array(rng.random(rows, np.float32) * np.float32(1000))
        columns[f"n_{k}"] = pa.array(rng.integers(0, INTEGERS, rows))
        columns[f"item_{k}"] = _texts("item_", rng.integers(0, 1_000_000, rows))
    columns["key"] = _texts("k", rng.integers(0, KEYS, rows))
    columns["map"] = _maps(rows, rng)
    columns["outer"] = _texts("c", rng.integers(0, 2 * OUTER_KEYS, rows))
    columns["inner"] = _texts("b", rng.integers(0, OUTER_KEYS, rows))
    nested = [_nested(rng) for _ in range(min(rows, DIFFERENT))]
    columns["nested"] = pa.array(nested).take(pa.array(rng.integers(0, len(nested), rows)))
    ends = np.concatenate([[0], np.cumsum(rng.integers(0, 6, rows))]).astype(np.int32)
    for name, prefix, different in (("tags", "t", 5000), ("keys", "k", KEYS)):
        texts = _texts(prefix, rng.integers(0, different, int(ends[-1])))
        columns[name] = pa.ListArray.from_arrays(pa.array(ends), texts)
    columns["clicks"] = _clicks(rows, rng)
    return pa.table(columns)


def _texts(prefix: str, numbers: NDArray[np.int64]) -> pa.Array:
    return pa.array([f"{prefix}{number}" for number in numbers.tolist()], pa.string())


def _clicks(rows: int, rng: Generator) -> pa.Array:
    """Up to some more steps than are kept; one in fifty is empty, and one row in fifty is missing."""
    texts: list[str | None] = []
    for _ in range(min(rows, DIFFERENT)):
        steps = rng.integers(0, 100_000, rng.integers(1, STEPS + 5))
        texts.append(";".join("" if step % 50 == 0 else f"i{step}" for step in steps.tolist()))
    texts[::50] = [None] * len(texts[::50])
    return pa.array(texts).take(pa.array(rng.integers(0, len(texts), rows)))


def _maps(rows: int, rng: Generator) -> pa.Array:
    """Maps of MAP_KEYS different keys each."""
    first, step = rng.integers(0, KEYS, rows), 2 * rng.integers(1, 20, rows) + 1
    numbers = (first[:, None] + step[:, None] * np.arange(MAP_KEYS)) % KEYS
    keys = pa.array([f"k{k}" for k in range(KEYS)]).take(pa.array(numbers.reshape(-1)))
    ends = pa.array(np.arange(0, rows * MAP_KEYS + 1, MAP_KEYS, dtype=np.int32))
    return pa.MapArray.from_arrays(ends, keys, pa.array(rng.random(rows * MAP_KEYS, np.float32)))


def _nested(rng: Generator) -> str:
    """`c1^b0:0.5,b3:0.25|c2^…`."""
    values = rng.integers(1, 100, (OUTER_KEYS, OUTER_KEYS)).tolist()
    outer = rng.choice(2 * OUTER_KEYS, OUTER_KEYS, replace=False).tolist()
    return "|".join(
        f"c{key}^" + ",".join(f"b{k}:{value / 100}" for k, value in enumerate(row))
        for key, row in zip(outer, values, strict=True)
    )
