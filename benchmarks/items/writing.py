"""Does a writer hurt readers? Reader CPU with and without 100,000 upserts a second, and torn rows.

Reader CPU is that of gathers of 200 ids × 50 columns among a million rows, in turns with and without a writer
of batches of 500. For torn rows two readers gather 1000 rows at a time, as fast as they can, from few rows
that are rewritten all the time; every cell of a row says the same version, and all cells are compared.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from benchmarks.items.gather import gather
from benchmarks.items.tables import FIFTY, batch, filled_store, keys, split

from recserve.allocator import tune_allocator
from recserve.columns import batch_from_arrow, column_from_arrow, to_arrow
from recserve.items.store import ItemStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from recserve.columns import Batch, Column

UPSERTS_PER_S = 102_000  # a little more than what is told: waits are never exact
UPSERT_ROWS = 500
TURNS = 8
TURN_SECONDS = 1.0
READ_ROWS = 1000
VERSIONED_ITEMS = 20_000
NUMBERS = [f"n{i}" for i in range(10)]


@dataclass(slots=True)
class Written:
    """What a writer did."""

    rows: int = 0
    seconds: float = 0.0


@contextmanager
def writer(write: Callable[[], int]) -> Iterator[Written]:
    """A thread that writes batches at the rate, as long as the block runs."""
    stop, written = threading.Event(), Written()

    def run() -> None:
        start = time.perf_counter()
        while not stop.is_set():
            written.rows += write()
            written.seconds = time.perf_counter() - start
            ahead = written.rows / UPSERTS_PER_S - written.seconds
            if ahead > 0:
                stop.wait(ahead)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield written
    finally:
        stop.set()
        thread.join()


def reader_cpu(rows: int) -> dict[str, float]:
    """Median and 99th percentile of a gather's CPU, with a writer and without."""
    store, rng = filled_store(FIFTY, rows), np.random.default_rng(5)
    asked = [column_from_arrow(keys(rng.integers(0, rows, 200))) for _ in range(500)]
    upserts = [split(batch(FIFTY, rng.integers(0, rows, UPSERT_ROWS), version=i)) for i in range(100)]
    turn = 0

    def write() -> int:
        nonlocal turn
        turn += 1
        upserted, cells = upserts[turn % len(upserts)]
        store.upsert(cells, upserted)
        return UPSERT_ROWS

    alone: list[float] = []
    beside: list[float] = []
    written = Written()
    for _ in range(TURNS):
        alone += read(store, asked)
        with writer(write) as one:
            beside += read(store, asked)
        written.rows += one.rows
        written.seconds += one.seconds
    return {
        "alone_us": float(np.median(alone)),
        "beside_us": float(np.median(beside)),
        "median_ratio": float(np.median(beside) / np.median(alone)),
        "alone_p99_us": float(np.percentile(alone, 99)),
        "beside_p99_us": float(np.percentile(beside, 99)),
        "p99_ratio": float(np.percentile(beside, 99) / np.percentile(alone, 99)),
        "upserts_per_s": written.rows / written.seconds,
    }


def read(store: ItemStore, asked: list[Column]) -> list[float]:
    times = []
    end = time.perf_counter() + TURN_SECONDS
    while time.perf_counter() < end:
        for ids in asked:
            start = time.thread_time_ns()
            gather(store, ids, size=200)
            times.append((time.thread_time_ns() - start) / 1000)
    return times


def versioned(versions: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Batch:
    """Rows that say their version in numbers, in a text, in a vector and in a list."""
    number = pa.array(versions)
    offsets = pa.array(np.concatenate([[0], np.cumsum(versions % 3)]).astype(np.int32))
    listed = pa.ListArray.from_arrays(offsets, pa.array(np.repeat(versions, versions % 3)))
    vector = pa.FixedSizeListArray.from_arrays(pa.array(np.repeat(versions.astype(np.float64), 4)), 4)
    text = number.cast(pa.string())
    return batch_from_arrow({**dict.fromkeys(NUMBERS, number), "t": text, "v": vector, "l": listed})


def torn(rows: Batch) -> int:
    """How many rows do not say one version everywhere."""
    version = rows[NUMBERS[0]].numbers()
    wrong = np.zeros(len(version), np.bool_)
    for name in NUMBERS[1:]:
        wrong |= rows[name].numbers() != version
    wrong |= pc.cast(to_arrow(rows["t"]), pa.int64()).to_numpy() != version
    wrong |= (rows["v"].numbers() != version[:, None]).any(axis=1)
    listed = to_arrow(rows["l"])
    lengths = np.diff(listed.offsets.to_numpy())
    wrong |= lengths != version % 3
    if not wrong.any():
        wrong[
            np.repeat(np.arange(len(version)), lengths)[
                listed.values.to_numpy() != np.repeat(version, lengths)
            ]
        ] = True
    return int(np.count_nonzero(wrong))


def torn_rows(reads: int) -> dict[str, float]:
    """Read so many rows while they are rewritten; how many were torn, and how fast was the writer."""
    types = {**dict.fromkeys(NUMBERS, "int64"), "t": "string", "v": "float64[4]", "l": "list<int64>"}
    store = ItemStore("int64", types, always_raw=frozenset(types))
    everything = np.arange(VERSIONED_ITEMS)
    store.upsert(versioned(np.zeros(VERSIONED_ITEMS, np.int64)), column_from_arrow(pa.array(everything)))
    rng = np.random.default_rng(6)
    version = 0

    def write() -> int:
        nonlocal version
        version += 1
        upserted = rng.integers(0, VERSIONED_ITEMS, UPSERT_ROWS)
        store.upsert(versioned(version + np.arange(UPSERT_ROWS)), column_from_arrow(pa.array(upserted)))
        return UPSERT_ROWS

    done, found = [0, 0], [0, 0]

    def reader(number: int) -> None:
        draws = np.random.default_rng(number)
        while done[number] * 2 < reads:
            ids = column_from_arrow(pa.array(draws.integers(0, VERSIONED_ITEMS, READ_ROWS)))
            found[number] += torn(gather(store, ids, size=READ_ROWS))
            done[number] += READ_ROWS

    start = time.perf_counter()
    with writer(write) as written:
        readers = [threading.Thread(target=reader, args=(number,)) for number in range(2)]
        for thread in readers:
            thread.start()
        while alive := [thread for thread in readers if thread.is_alive()]:
            alive[0].join(5.0)
            left = (time.perf_counter() - start) / max(sum(done), 1) * (reads - sum(done))
            shown = f"{sum(done) / 1e6:.0f} of {reads / 1e6:.0f} million rows read, {left:.0f} s left"
            print(f"  {shown}", file=sys.stderr)
    return {
        "rows_read": sum(done),
        "torn_rows": sum(found),
        "torn_s": time.perf_counter() - start,
        "torn_upserts_per_s": written.rows / written.seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--reads", type=int, default=100_000_000, help="rows read in search of a torn one")
    options = parser.parse_args()
    tune_allocator()
    print(json.dumps(reader_cpu(options.rows) | torn_rows(options.reads)))


if __name__ == "__main__":
    main()
