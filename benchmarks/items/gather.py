"""What does a request's look-up take? Gathers, beside a dict and Arrow's take, and a sequence join.

A store of 50 columns (20 int64, 20 float32, 10 int32 codes) under text keys of 14 bytes; every call asks for
other rows, so what it reads is not in the caches.

| figure           | what is done in the measured call                                                        |
|------------------|------------------------------------------------------------------------------------------|
| gather_200, ...  | pin, index, rows, 50 columns: from the ids as `wire` decodes them                        |
| take_200, ...    | dict of rows by key, RecordBatch.take: from ids that are new str objects, as decoded too |
| sequence         | 200 clicked ids in one `;` text, cut, looked up, 8 columns                               |
| two_threads      | gathers of 1000 ids in a second by two threads over those by one, in turns               |

CPU of the calling thread, medians of interleaved calls; results are compared before anything is timed.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from benchmarks.items.tables import FIFTY, KEY, batches, filled_store, keys

from recserve.allocator import tune_allocator
from recserve.columns import Batch, column_from_arrow, to_arrow

if TYPE_CHECKING:
    from collections.abc import Callable

    from recserve.columns import Column
    from recserve.items.store import ItemStore

SIZES = (200, 1000)
CALLS = 400
CLICKED = 200
TURNS = 9
TURN_SECONDS = 0.4


@dataclass(frozen=True, slots=True)
class Clicks:
    """Where the clicked ids are, and the eight columns to join."""

    column: str = "clicks"
    delimiter: str = ";"
    length: int = 0
    raw: frozenset[str] = field(default_factory=lambda: frozenset(FIFTY.names[:4] + FIFTY.names[20:24]))
    finished: frozenset[str] = frozenset()


class Taken:
    """What one writes without a store: a dict of row numbers and one record batch."""

    def __init__(self, rows: int) -> None:
        table = pa.Table.from_batches(batches(FIFTY, rows)).combine_chunks()
        self.row_of = {key: row for row, key in enumerate(table.column(KEY).to_pylist())}
        self.batch = table.drop_columns([KEY]).to_batches()[0]

    def gather(self, ids: list[str]) -> pa.RecordBatch:
        row_of = self.row_of
        return self.batch.take(pa.array([row_of[i] for i in ids]))


def gather(store: ItemStore, ids: Column, size: int) -> Batch:
    with store.pin() as rows:
        return rows.gather(ids, rows=size).raw


def cpu_us(call: Callable[[], object]) -> float:
    start = time.thread_time_ns()
    call()
    return (time.thread_time_ns() - start) / 1000


def measure(rows: int) -> dict[str, float]:
    tune_allocator()
    store, taken, rng = filled_store(FIFTY, rows), Taken(rows), np.random.default_rng(3)
    check(store, taken, rng.integers(0, rows, 1000))
    times: dict[str, list[float]] = {}
    for _ in range(CALLS):
        for size in SIZES:
            wanted = keys(rng.integers(0, rows, size))
            ids, texts = column_from_arrow(wanted), wanted.to_pylist()
            times.setdefault(f"gather_{size}", []).append(cpu_us(lambda i=ids, n=size: gather(store, i, n)))
            times.setdefault(f"take_{size}", []).append(cpu_us(lambda t=texts: taken.gather(t)))
        times.setdefault("sequence", []).append(sequence(store, keys(rng.integers(0, rows, CLICKED))))
    figures = {f"{name}_us": median(found) for name, found in times.items()}
    for size in SIZES:
        figures[f"take_ratio_{size}"] = figures[f"take_{size}_us"] / figures[f"gather_{size}_us"]
    del taken
    return figures | {"two_threads": two_threads(store, rows)}


_PLANS: dict[str, Clicks] = {"clicked": Clicks()}


def sequence(store: ItemStore, clicked: pa.Array) -> float:
    user = Batch(1)
    user.add("clicks", column_from_arrow(pa.array([";".join(clicked.to_pylist())])))

    def join() -> None:
        with store.pin() as rows:
            rows.gather_lists(user, _PLANS)

    return cpu_us(join)


def check(store: ItemStore, taken: Taken, numbers: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
    wanted = keys(numbers)
    ours, theirs = gather(store, column_from_arrow(wanted), len(numbers)), taken.gather(wanted.to_pylist())
    for name in FIFTY.names:
        assert to_arrow(ours[name]).equals(theirs.column(name)), name


def two_threads(store: ItemStore, rows: int) -> float:
    """Rows read in a turn of two threads over those of one."""
    rng = np.random.default_rng(4)
    asked = [[column_from_arrow(keys(rng.integers(0, rows, 1000))) for _ in range(200)] for _ in range(2)]
    ratios = [turn(store, asked) / turn(store, asked[:1]) for _ in range(TURNS)]
    return median(ratios)


def turn(store: ItemStore, asked: list[list[Column]]) -> float:
    """Gathers per second, by one thread for each list of requests."""
    stop = threading.Event()
    done = [0] * len(asked)

    def read(reader: int) -> None:
        while not stop.is_set():
            for ids in asked[reader]:
                gather(store, ids, 1000)
                done[reader] += 1
                if stop.is_set():
                    break

    readers = [threading.Thread(target=read, args=(i,)) for i in range(len(asked))]
    start = time.perf_counter()
    for reader in readers:
        reader.start()
    time.sleep(TURN_SECONDS)
    stop.set()
    for reader in readers:
        reader.join()
    return sum(done) / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    print(json.dumps(measure(parser.parse_args().rows)))


if __name__ == "__main__":
    main()
