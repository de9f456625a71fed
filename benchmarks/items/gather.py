"""What does a request's look-up take? Gathers, beside a dict and Arrow's take, and a sequence join.

A store of 50 columns (20 int64, 20 float32, 10 int32 codes) under text keys of 14 bytes; every call asks for
other rows, so what it reads is not in the caches.

| figure          | what is done in the measured call                                               |
|-----------------|---------------------------------------------------------------------------------|
| gather_200, ... | pin, index, rows, 50 columns: from the ids as `wire` decodes them               |
| take_200, ...   | a dict of row numbers, RecordBatch.take: from ids that are new str objects      |
| sequence        | 200 clicked ids in one `;` text: cut, looked up, 8 columns                      |
| two_threads_... | gathers per second by two threads over those by one, in turns                   |

CPU of the calling thread, medians of rounds in turns; results are compared before anything is timed.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from benchmarks.items.tables import FIFTY, KEY, batches, filled_store, keys

from recserve.allocator import tune_allocator
from recserve.columns import Batch, column_from_arrow, to_arrow

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from recserve.columns import Column
    from recserve.items.store import ItemStore

SIZES = (200, 1000)
ROUNDS = 10  # in turns
CALLS = 60  # one after the other in a round, as requests follow one another
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


def gather(store: ItemStore, ids: Column, *, size: int) -> Batch:
    with store.pin() as rows:
        return rows.gather(ids, rows=size).raw


def measure(rows: int) -> dict[str, float]:
    tune_allocator()
    store, taken, rng = filled_store(FIFTY, rows), Taken(rows), np.random.default_rng(3)
    check(store, taken, rng.integers(0, rows, 1000))
    times: dict[str, list[float]] = defaultdict(list)
    for _ in range(ROUNDS):
        for size in SIZES:
            wanted = [keys(rng.integers(0, rows, size)) for _ in range(CALLS)]
            ids = [column_from_arrow(array) for array in wanted]
            times[f"gather_{size}"] += cpu_us(partial(gather, store, size=size), ids)
            times[f"take_{size}"] += cpu_us(taken.gather, [array.to_pylist() for array in wanted])
        clicked = [user(keys(rng.integers(0, rows, CLICKED))) for _ in range(CALLS)]
        times["sequence"] += cpu_us(partial(join, store), clicked)
    figures = {f"{name}_us": median(found) for name, found in times.items()}
    for size in SIZES:
        figures[f"take_ratio_{size}"] = figures[f"take_{size}_us"] / figures[f"gather_{size}_us"]
    del taken
    return figures | {f"two_threads_{size}": two_threads(store, rows, size) for size in SIZES}


def cpu_us(call: Callable[[Any], object], arguments: list[Any]) -> list[float]:
    """CPU of each call, one after the other."""
    times = []
    for argument in arguments:
        start = time.thread_time_ns()
        call(argument)
        times.append((time.thread_time_ns() - start) / 1000)
    return times


_PLANS: dict[str, Clicks] = {"clicked": Clicks()}


def user(clicked: pa.Array) -> Batch:
    """A user whose clicked ids are one text."""
    columns = Batch(1)
    columns.add("clicks", column_from_arrow(pa.array([";".join(clicked.to_pylist())])))
    return columns


def join(store: ItemStore, columns: Batch) -> None:
    with store.pin() as rows:
        rows.gather_lists(columns, _PLANS)


def check(store: ItemStore, taken: Taken, numbers: NDArray[np.int64]) -> None:
    wanted = keys(numbers)
    ours = gather(store, column_from_arrow(wanted), size=len(numbers))
    theirs = taken.gather(wanted.to_pylist())
    for name in FIFTY.names:
        assert to_arrow(ours[name]).equals(theirs.column(name)), name


def two_threads(store: ItemStore, rows: int, size: int) -> float:
    """Gathers in a turn of two threads over those in one of one thread."""
    rng = np.random.default_rng(4)
    asked = [[column_from_arrow(keys(rng.integers(0, rows, size))) for _ in range(200)] for _ in range(2)]
    return median(turn(store, asked, size) / turn(store, asked[:1], size) for _ in range(TURNS))


def turn(store: ItemStore, asked: list[list[Column]], size: int) -> float:
    """Gathers per second, by one thread for each list of requests."""
    done = [0] * len(asked)
    end = time.perf_counter() + TURN_SECONDS

    def read(reader: int) -> None:
        for ids in cycle(asked[reader]):
            if time.perf_counter() > end:
                return
            gather(store, ids, size=size)
            done[reader] += 1

    readers = [threading.Thread(target=read, args=(i,)) for i in range(len(asked))]
    start = time.perf_counter()
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    return sum(done) / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    print(json.dumps(measure(parser.parse_args().rows)))


if __name__ == "__main__":
    main()
