"""How fast are features made of a table, beside polars and pandas? Nanoseconds of CPU per row and feature.

    POLARS_MAX_THREADS=1 python -m benchmarks.features.offline

Everybody has the table in memory as it likes it best, and one thread. Results are compared before anything is
timed: numbers to 2 ulp, hashed ids by which texts share one.
"""

from __future__ import annotations

import json
import time
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from benchmarks.features import offline_pandas, offline_polars
from benchmarks.features.tables import GROUPS, IDS_OF_TEXTS, Group, table

from recserve.allocator import tune_allocator
from recserve.columns import batch_from_arrow, to_arrow
from recserve.features.config import load
from recserve.features.generator import Generator

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

ROWS = 200_000
PANDAS_ROWS = 10_000
BATCH_ROWS = 1 << 16  # what a batch costs whatever its size, some 10 us per feature, is small then
ROUNDS = 5


class Recserve:
    """One group's features, batch by batch, as Arrow arrays."""

    def __init__(self, group: Group) -> None:
        self.generator = Generator(load({"features": list(group.features)}))
        self.columns = group.columns

    def run(self, batches: list[pa.RecordBatch]) -> list[dict[str, pa.Array]]:
        """The features of every batch."""
        return [self.generate(batch) for batch in batches]

    def generate(self, batch: pa.RecordBatch) -> dict[str, pa.Array]:
        """The features of a batch."""
        made = self.generator.generate_columns(batch_from_arrow(batch, self.columns))
        return {name: to_arrow(made[name]) for name in made.names}


def measure() -> dict[str, Any]:
    """Figures of each group, and id values per second and core."""
    tune_allocator()
    data = table(ROWS)
    figures: dict[str, Any] = {"groups": {}}
    for name, group in GROUPS.items():
        figures["groups"][name] = contest(name, group, data.select(group.columns))
    texts = data.select(IDS_OF_TEXTS.columns)
    core, batches = Recserve(IDS_OF_TEXTS), texts.to_batches(max_chunksize=BATCH_ROWS)
    seconds = median(cpu_seconds(lambda: core.run(batches)) for _ in range(ROUNDS))
    figures["id_values_per_s"] = ROWS * len(IDS_OF_TEXTS.features) / seconds
    return figures


def contest(name: str, group: Group, data: pa.Table) -> dict[str, Any]:
    """CPU nanoseconds per row and feature of each, in turns, and how many times longer the others take."""
    core, batches = Recserve(group), data.to_batches(max_chunksize=BATCH_ROWS)
    lazy = pl.DataFrame(data).lazy()
    in_polars = offline_polars.CONTESTANTS[name]
    in_pandas = offline_pandas.CONTESTANTS[name]
    few = data.slice(0, PANDAS_ROWS)
    frame = few.to_pandas()

    made = joined(core.run(batches))
    check(f"{name} in polars", made, in_polars(lazy).collect().to_arrow())
    check(f"{name} in pandas", joined(core.run(few.to_batches())), arrow_of(in_pandas(frame)))

    taken: dict[str, list[float]] = {"recserve": [], "polars": [], "pandas": []}
    for _ in range(ROUNDS):
        taken["recserve"].append(cpu_seconds(lambda: core.run(batches)) / ROWS)
        taken["polars"].append(cpu_seconds(lambda: in_polars(lazy).collect()) / ROWS)
    for _ in range(2):
        taken["pandas"].append(cpu_seconds(lambda: in_pandas(frame)) / PANDAS_ROWS)
    figures = {who: median(seconds) * 1e9 / len(group.features) for who, seconds in taken.items()}
    ratios = {f"{who}_ratio": figures[who] / figures["recserve"] for who in ("polars", "pandas")}
    return {"kind": group.kind, **figures, **ratios}


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU time of the process: polars works in a thread of its own."""
    start = time.process_time()
    work()
    return time.process_time() - start


def joined(made: list[dict[str, pa.Array]]) -> pa.Table:
    """The batches as one table."""
    return pa.Table.from_batches([pa.RecordBatch.from_pydict(batch) for batch in made])


def arrow_of(series: dict[str, pd.Series[Any]]) -> pa.Table:
    """What pandas made, lists and all."""
    return pa.table({name: pa.array(column.tolist()) for name, column in series.items()})


def check(what: str, wanted: pa.Table, given: pa.Table) -> None:
    """Refuse to time what gives other results."""
    for name in wanted.column_names:
        ours, theirs = wanted[name].combine_chunks(), given[name].combine_chunks()
        if pa.types.is_nested(ours.type):
            lengths = pc.equal(pc.list_value_length(ours), pc.list_value_length(theirs))
            same = pc.all(lengths).as_py() and same_partition(pc.list_flatten(ours), pc.list_flatten(theirs))
        else:
            left, right = (
                np.asarray(array.to_numpy(zero_copy_only=False), np.float64) for array in (ours, theirs)
            )
            same = np.allclose(left, right, rtol=3e-7, atol=1e-7)
        if not same:
            raise SystemExit(f"{what} gives other features")


def same_partition(ours: pa.Array, theirs: pa.Array) -> bool:
    """Two rows have the same id in one exactly where they have in the other."""
    left, right = ours.to_numpy(), theirs.to_numpy(zero_copy_only=False)
    pairs = np.unique(np.stack([left.astype(np.uint64), right.astype(np.uint64)]), axis=1).shape[1]
    return bool(len(np.unique(left)) == len(np.unique(right)) == pairs)


if __name__ == "__main__":
    print(json.dumps(measure()))
