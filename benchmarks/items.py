"""How fast and how small is the row store? Gather µs, load seconds, bytes per row.

    python benchmarks/items.py [--rows 1000000]

Forty columns of the kinds that items have (ids, integers, floats, categories, titles, tags, a vector).
Without features: `raw` columns are gathered as they are. Narrowest width: numbers at their declared width,
texts and lists as Arrow lays them out (bytes and 32-bit offsets).
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recserve.columns import column_from_arrow
from recserve.items.store import ItemStore, column_types
from recserve.sources.files import FileSource


def lists(counts: np.ndarray, values: pa.Array) -> pa.Array:
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), values.slice(0, int(offsets[-1])))


def words(rng: np.random.Generator, rows: int, different: int, prefix: str) -> pa.Array:
    names = pa.array([f"{prefix}_{i}" for i in range(different)])
    return names.take(pa.array(rng.integers(0, different, rows)))


def items(rows: int) -> tuple[pa.Table, dict[str, int]]:
    """A table of 40 columns beside the key, and the limits of its id columns."""
    rng = np.random.default_rng(1)
    columns: dict[str, pa.Array] = {"item_id": pa.array([f"item_{i:09d}" for i in range(rows)])}
    limits = {}
    for i, limit in enumerate([100, 1000, 1000, 10_000, 100_000, 100_000, 1_000_000, 1_000_000, 50, 500]):
        columns[f"id_{i}"] = pa.array(rng.integers(0, limit, rows))
        limits[f"id_{i}"] = limit
    for i in range(8):
        columns[f"int_{i}"] = pa.array(rng.integers(0, 1 << 40, rows))
    for i in range(10):
        columns[f"float_{i}"] = pa.array(rng.random(rows, np.float32))
    for i, different in enumerate([20, 300, 5000, 50_000, 100, 1000]):
        columns[f"text_{i}"] = words(rng, rows, different, f"category{i}")
    columns["title"] = pa.array([f"a title of some length {i * 7919}" for i in range(rows)])
    for i in range(4):
        counts = rng.integers(0, 5, rows)
        columns[f"tags_{i}"] = lists(counts, pa.array(rng.integers(0, 1 << 16, int(counts.sum()))))
        limits[f"tags_{i}"] = 1 << 16
    columns["embedding"] = pa.FixedSizeListArray.from_arrays(pa.array(rng.random(rows * 16, np.float32)), 16)
    return pa.table(columns), limits


def narrowest_bytes(table: pa.Table, limits: dict[str, int]) -> int:
    total = 0
    for name in table.schema.names[1:]:
        column = table.column(name)
        if name in limits:
            width = next(w for w in (1, 2, 4, 8) if limits[name] <= 1 << 8 * w)
            values = pc.list_flatten(column) if "tags" in name else column
            total += len(values) * width + (4 * len(column) if "tags" in name else 0)
        else:
            total += column.nbytes
    return total


def microseconds(call: object, rounds: int = 300) -> tuple[float, float]:
    """Median CPU and wall µs of one call."""
    cpu, wall = [], []
    for _ in range(rounds):
        c, w = time.thread_time_ns(), time.perf_counter_ns()
        call()  # type: ignore[operator]
        cpu.append((time.thread_time_ns() - c) / 1000)
        wall.append((time.perf_counter_ns() - w) / 1000)
    return statistics.median(cpu), statistics.median(wall)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=1_000_000)
    rows = options.parse_args().rows
    table, limits = items(rows)
    narrowest = narrowest_bytes(table, limits)
    names = table.schema.names[1:]
    figures: dict[str, float] = {"rows": rows, "columns": len(names)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "items.parquet"
        pq.write_table(table, path, row_group_size=1 << 17)
        del table
        source = FileSource(path, "item_id")
        store = ItemStore(
            "string", column_types(source.schema(), names), always_raw=frozenset(names), limits=limits
        )
        start = time.perf_counter()
        store.load(source.snapshot(names), key="item_id")
        figures["load_s"] = time.perf_counter() - start
        start = time.perf_counter()
        for _ in source.snapshot(names):
            pass
        figures["read_s"] = time.perf_counter() - start
    kept = store.figures()
    figures["bytes_per_row"] = kept.bytes / rows
    figures["narrowest_bytes_per_row"] = narrowest / rows
    figures["index_bytes_per_row"] = kept.index_bytes / rows
    figures["memory_ratio"] = kept.bytes / narrowest
    rng = np.random.default_rng(2)
    for size in (200, 1000):
        requests = iter(
            [
                column_from_arrow(pa.array([f"item_{i:09d}" for i in rng.integers(0, rows, size)]))
                for _ in range(300)
            ]
        )

        def gather(requests=requests, size=size) -> None:  # type: ignore[no-untyped-def]
            with store.pin() as pinned:
                pinned.gather(next(requests), rows=size)

        figures[f"gather_{size}_cpu_us"], figures[f"gather_{size}_wall_us"] = microseconds(gather)
    for name, value in figures.items():
        print(f"{name:28} {value:12,.2f}")
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
