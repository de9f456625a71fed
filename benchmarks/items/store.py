"""How fast and how small is the row store? Gather µs, load seconds, bytes per row.

    python -m benchmarks.items.store [--rows 1000000] [--raw]

Forty columns of the kinds that items have (ids, integers, floats, categories, titles, tags, a vector), one
feature finished from each. A request gathers the forty finished columns; with `--raw` there are no features
and it gathers the forty raw ones. Narrowest width: numbers at their declared width, ids below a limit at the
fewest bytes for it, texts and lists as Arrow lays them out (their values and 32-bit offsets).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recserve.columns import column_from_arrow, to_arrow
from recserve.features.config import load
from recserve.features.generator import Generator
from recserve.items.store import ItemStore, column_types
from recserve.sources.files import FileSource

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from recserve.columns import Batch

LIMITS = [100, 1000, 1000, 10_000, 100_000, 100_000, 1_000_000, 1_000_000, 50, 500]


def item_table(rows: int) -> pa.Table:
    """A table of 40 columns beside the key."""
    rng = np.random.default_rng(1)
    columns: dict[str, pa.Array] = {"item_id": pa.array([f"item_{i:09d}" for i in range(rows)])}
    for i, limit in enumerate(LIMITS):
        columns[f"id_{i}"] = pa.array(rng.integers(0, limit, rows))
    for i in range(8):
        columns[f"int_{i}"] = pa.array(rng.integers(0, 1 << 40, rows))
    for i in range(10):
        columns[f"float_{i}"] = pa.array(rng.random(rows, np.float32))
    for i, different in enumerate([20, 300, 5000, 50_000, 100, 1000]):
        names = pa.array([f"category{i}_{k}" for k in range(different)])
        columns[f"text_{i}"] = names.take(pa.array(rng.integers(0, different, rows)))
    columns["title"] = pa.array([f"a title of some length {i * 7919}" for i in range(rows)])
    for i in range(4):
        offsets = np.concatenate([[0], np.cumsum(rng.integers(0, 5, rows))]).astype(np.int32)
        tags = pa.array(rng.integers(0, 1 << 16, int(offsets[-1])))
        columns[f"tags_{i}"] = pa.ListArray.from_arrays(pa.array(offsets), tags)
    columns["embedding"] = pa.FixedSizeListArray.from_arrays(pa.array(rng.random(rows * 16, np.float32)), 16)
    return pa.table(columns)


def feature(column: str) -> dict[str, Any]:
    """The feature that is finished from a column."""
    named = {"feature_name": f"f_{column}", "expression": f"item:{column}", "default_value": "0"}
    kind, _, number = column.partition("_")
    if kind == "id":
        return {**named, "feature_type": "id_feature", "num_buckets": LIMITS[int(number)], "value_dim": 1}
    if kind in ("text", "title"):
        return {**named, "feature_type": "id_feature", "hash_bucket_size": 100_000, "value_dim": 1}
    if kind == "tags":
        return {**named, "feature_type": "id_feature", "hash_bucket_size": 1000}
    if kind == "int":
        return {**named, "feature_type": "raw_feature", "boundaries": [k << 35 for k in range(1, 32)]}
    return {**named, "feature_type": "raw_feature", "value_dim": 16 if kind == "embedding" else 1}


def narrowest_bytes(column: pa.ChunkedArray, limit: int) -> int:
    """Bytes of the values at the fewest bytes for each, and of 32-bit offsets where there are any."""
    if limit == 0:
        return int(column.nbytes)
    width = next(width for width in (1, 2, 4, 8) if limit <= 1 << 8 * width)
    if pa.types.is_list(column.type):
        return width * len(pc.list_flatten(column)) + 4 * len(column)
    return width * len(column)


def narrowest_batch_bytes(batch: Batch, limits: Mapping[str, int]) -> int:
    return sum(narrowest_bytes(to_arrow(batch[name]), limits.get(name, 0)) for name in batch.names)


def make_store(schema: pa.Schema, names: list[str], *, raw: bool) -> tuple[ItemStore, Mapping[str, int]]:
    types = column_types(schema, names)
    if raw:
        return ItemStore("string", types, always_raw=frozenset(names)), {}
    generator = Generator(load({"features": [feature(name) for name in names]}))
    limits = generator.finished_limits
    store = ItemStore("string", types, finisher=generator.finisher, hides=generator.finished, limits=limits)
    return store, limits


def microseconds(call: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Median CPU and wall µs of one call."""
    cpu, wall = [], []
    for _ in range(rounds):
        c, w = time.thread_time_ns(), time.perf_counter_ns()
        call()
        cpu.append((time.thread_time_ns() - c) / 1000)
        wall.append((time.perf_counter_ns() - w) / 1000)
    return statistics.median(cpu), statistics.median(wall)


def gather_times(store: ItemStore, rows: int, size: int, rounds: int = 300) -> tuple[float, float]:
    """Every request asks for other items, so what it gathers is not in the caches."""
    rng = np.random.default_rng(2)
    requests = [
        column_from_arrow(pa.array([f"item_{i:09d}" for i in rng.integers(0, rows, size)]))
        for _ in range(rounds)
    ]

    def gather() -> None:
        with store.pin() as pinned:
            pinned.gather(requests.pop(), rows=size)

    return microseconds(gather, rounds)


def finished_bytes(store: ItemStore, table: pa.Table, limits: Mapping[str, int]) -> int:
    total = 0
    for batch in table.select(["item_id"]).to_batches(max_chunksize=50_000):
        ids = column_from_arrow(batch.column(0))
        with store.pin() as pinned:
            total += narrowest_batch_bytes(pinned.gather(ids, rows=len(ids)).finished, limits)
    return total


def write_table(path: Path, rows: int) -> None:
    pq.write_table(item_table(rows), path, row_group_size=1 << 17)


def rss() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def measure(path: Path, rows: int, *, raw: bool) -> dict[str, float]:
    schema = FileSource(path, "item_id").schema()
    names = [name for name in schema.names if name != "item_id"]
    store, limits = make_store(schema, names, raw=raw)
    figures: dict[str, float] = {"rows": rows, "columns": len(names)}

    before, start, cpu = rss(), time.perf_counter(), time.process_time()
    store.load(FileSource(path, "item_id").snapshot(names), key="item_id")
    figures["load_s"] = time.perf_counter() - start
    figures["load_cpu_s"] = time.process_time() - cpu
    grown = rss() - before
    cpu = time.process_time()
    for _ in FileSource(path, "item_id").snapshot(names):
        pass
    figures["of_that_parquet_cpu_s"] = time.process_time() - cpu

    table = pq.read_table(path)
    narrowest = sum(narrowest_bytes(table.column(name), 0) for name in names)
    narrowest += finished_bytes(store, table, limits)
    kept = store.figures()
    figures["narrowest_bytes_per_row"] = narrowest / rows
    figures["bytes_per_row"] = kept.bytes / rows
    figures["of_that_index"] = kept.index_bytes / rows
    figures["memory_ratio"] = kept.bytes / narrowest
    figures["process_memory_ratio"] = grown / narrowest
    for size in (200, 1000):
        figures[f"gather_{size}_cpu_us"], figures[f"gather_{size}_wall_us"] = gather_times(store, rows, size)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the row store.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--raw", action="store_true", help="without features")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "items.parquet"
        # In a process of its own: what making the table takes is not the store's memory.
        with ProcessPoolExecutor(1, get_context("spawn")) as writer:
            writer.submit(write_table, path, options.rows).result()
        figures = measure(path, options.rows, raw=options.raw)
    for name, value in figures.items():
        print(f"{name:28} {value:12,.2f}")
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
