"""What does feature generation take of a request? rank-200, beside the same features in numpy and in numba.

| figure           | what is done in the measured call                                                     |
|------------------|---------------------------------------------------------------------------------------|
| finished         | user and pair features; item features and sequence elements lie finished in the rows  |
| unfinished       | every feature, from the raw columns of user, candidates and clicked items             |
| numpy, numba     | the same as unfinished, feature by feature, from views of the very same Arrow buffers |
| fused_numpy, ... | the same by hand: all columns of this one workload at once, nothing asked of the data |

All write the same two buffers, which is checked before anything is timed. The columns are gathered and the
user decoded beforehand for all of them. CPU time of the calling thread, allocator set as the server sets it,
calls interleaved.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa
from benchmarks.features.request_columns import Columns
from benchmarks.features.request_numba import NumbaFeatures
from benchmarks.features.request_numba_fused import FusedNumba
from benchmarks.features.request_numpy import NumpyFeatures
from benchmarks.features.request_numpy_fused import FusedNumpy
from benchmarks.workloads import RANK_200, SEQUENCE_LENGTH, Workload

from recserve.allocator import tune_allocator
from recserve.columns import Batch, batch_from_arrow, to_arrow
from recserve.features.config import load
from recserve.features.generator import Generator

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from recserve.columns import ModelInputs

ITEMS = 20_000
REQUESTS = 40  # different ones
ROUNDS = 12  # over all of them


@dataclass(frozen=True, slots=True)
class Request:
    """One request, looked up: what every contestant reads."""

    user: Batch
    raw: Batch
    finished: Batch
    raw_clicked: Mapping[str, tuple[Batch, Batch]]
    finished_clicked: Mapping[str, tuple[Batch, Batch]]
    columns: Columns  # the raw ones, as numpy views


def measure(workload: Workload = RANK_200) -> dict[str, float]:
    """Median CPU microseconds of a call of each, and the ratios."""
    tune_allocator()
    generator = Generator(load(workload.fg()))
    asked = requests(workload, generator)
    peers = {name: peer(workload) for name, peer in PEERS.items()}
    nothing = Batch(workload.candidates)

    def finished(request: Request) -> ModelInputs:
        return generator.generate(
            request.user,
            nothing,
            request.raw,
            request.finished,
            request.finished_clicked,
            rows=workload.candidates,
        )

    def unfinished(request: Request) -> ModelInputs:
        return generator.generate(
            request.user, nothing, request.raw, nothing, request.raw_clicked, rows=workload.candidates
        )

    for request in asked:
        wanted = unfinished(request)
        check("finished", *buffers(finished(request)), wanted)
        for name, peer in peers.items():
            check(name, *peer.generate(request.columns), wanted)

    contestants: dict[str, Callable[[Request], Any]] = {"finished": finished, "unfinished": unfinished}
    contestants |= {name: partial(_generate, peer) for name, peer in peers.items()}
    taken = interleaved(contestants, asked)
    figures = {f"{name}_us": median(times) for name, times in taken.items()}
    for name in peers:
        figures[f"{name}_ratio"] = figures[f"{name}_us"] / figures["unfinished_us"]
    return figures


class Peer(Protocol):
    """Somebody else's way to the same tensors."""

    def generate(self, columns: Columns) -> tuple[NDArray[np.int64], NDArray[np.float32]]: ...


PEERS: dict[str, Callable[[Workload], Peer]] = {
    "numpy": NumpyFeatures,
    "numba": NumbaFeatures,
    "fused_numpy": FusedNumpy,
    "fused_numba": FusedNumba,
}


def _generate(peer: Peer, request: Request) -> object:
    return peer.generate(request.columns)


def interleaved(
    contestants: Mapping[str, Callable[[Request], Any]], asked: list[Request]
) -> dict[str, list[float]]:
    """CPU microseconds of every call; the contestants take turns after each pass over the requests."""
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(ROUNDS):
        for name, generate in contestants.items():
            for request in asked:
                start = time.thread_time_ns()
                generate(request)
                taken[name].append((time.thread_time_ns() - start) / 1e3)
    return taken


def requests(workload: Workload, generator: Generator) -> list[Request]:
    """Requests of different users for different items, gathered."""
    table = workload.item_table(ITEMS).combine_chunks()
    kept = generator.finisher.finish(batch_from_arrow(table))
    finished = pa.table({name: to_arrow(kept[name]) for name in kept.names})
    asked = []
    for one in workload.requests(REQUESTS, items=ITEMS):
        rows = _rows_of(one.item_ids)
        user = {name: _array(value) for name, value in one.user.items()}
        raw, done = _taken(table, rows), _taken(finished, rows)
        raw_clicked, finished_clicked, clicks = {}, {}, {}
        for group, key in generator.sequence_keys.items():
            clicked = _rows_of(one.user[key.column].split(";"))
            clicks[group] = _taken(table.select(["item_id"]), clicked)
            raw_clicked[group] = (batch_from_arrow(clicks[group]), Batch(SEQUENCE_LENGTH))
            elements = _taken(finished.select(sorted(key.finished)), clicked)
            finished_clicked[group] = (Batch(SEQUENCE_LENGTH), batch_from_arrow(elements))
        asked.append(
            Request(
                batch_from_arrow(user),
                batch_from_arrow(raw),
                batch_from_arrow(done),
                raw_clicked,
                finished_clicked,
                Columns.of({**user, **raw, **{group: rows["item_id"] for group, rows in clicks.items()}}),
            )
        )
    return asked


def _rows_of(item_ids: list[str]) -> pa.Array:
    return pa.array([int(name.removeprefix("i")) for name in item_ids])


def _taken(table: pa.Table, rows: pa.Array) -> dict[str, pa.Array]:
    taken = table.take(rows).combine_chunks()
    return {name: taken.column(name).chunk(0) for name in taken.column_names}


def _array(value: Any) -> pa.Array:
    if isinstance(value, dict):
        return pa.array([list(value.items())], pa.map_(pa.string(), pa.float32()))
    kind = pa.float32() if isinstance(value, float) else pa.list_(pa.string()) if value == [] else None
    return pa.array([value], kind)


def buffers(inputs: ModelInputs) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The two buffers of model inputs."""
    return inputs.ints, inputs.floats


def check(name: str, ints: NDArray[np.int64], floats: NDArray[np.float32], wanted: ModelInputs) -> None:
    """Refuse to time what gives other results."""
    if not np.array_equal(ints, wanted.ints) or not np.array_equal(floats, wanted.floats):
        raise SystemExit(f"{name} gives other features")


if __name__ == "__main__":
    print(json.dumps(measure()))
