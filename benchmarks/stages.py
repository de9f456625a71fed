"""What does each stage of a request cost in CPU time? One thread, the real parts, a model that says zeros.

    python -m benchmarks.stages [--folder build/bench] [--runs 600]

Prints a table of median microseconds per stage and workload. `run` is the hand-over of the tensors, the call
of a model that returns zeros and the hand-over of its answer: what an engine costs beside its model.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks import models
from benchmarks.service import REQUESTS, requests, service
from benchmarks.workloads import WORKLOADS
from rich.console import Console
from rich.table import Table

from recserve.allocator import tune_allocator
from recserve.bundle import Bundle
from recserve.config.service import load as load_service
from recserve.observe.trace import Trace
from recserve.processors.load import load
from recserve.processors.normal import Normal
from recserve.server.endpoint import ScoreEndpoint, answer_body
from recserve.wire.torchrec import Decoder, encode, encode_request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from benchmarks.workloads import Workload

    from recserve.columns import Batch, ModelInputs
    from recserve.items.rows import ItemRows

STAGES = ("decode", "look_up", "generate", "run", "encode")


def measure(folder: Path, workload: Workload, *, runs: int) -> dict[str, float]:
    """Median CPU microseconds of each stage, in a warmed worker thread."""
    endpoint = load_endpoint(folder, workload)
    bodies = [encode_request(request) for request in requests(workload)]

    def work(count: int) -> list[dict[str, int]]:
        traces = []
        for k in range(count):
            trace = Trace(measure_cpu=True)
            answer_body(endpoint, bodies[k % REQUESTS], trace, time.monotonic() + 60)
            traces.append(trace.cpu_ns)
        return traces

    with ThreadPoolExecutor(1) as worker:
        worker.submit(work, REQUESTS).result()
        traces = worker.submit(work, runs).result()
    return {stage: median(trace[stage] for trace in traces) / 1e3 for stage in STAGES}


def alone(folder: Path, workload: Workload, *, runs: int) -> dict[str, float]:
    """Median CPU microseconds of each native verb when nothing else runs between two calls of it."""
    endpoint = load_endpoint(folder, workload)
    processor, asked = endpoint.processor, requests(workload)
    assert isinstance(processor, Normal)
    bodies = [encode_request(request) for request in asked]
    decoder = Decoder(processor.schema, fallback=processor.types_if_missing)
    keys = processor.features.sequence_keys

    def look_up(k: int) -> tuple[ItemRows, Mapping[str, tuple[Batch, Batch]]]:
        with processor.items.pin() as rows:
            request = asked[k]
            items = rows.gather(request.item_ids, rows=request.rows, overrides=request.item_features)
            return items, rows.gather_lists(request.user, keys)

    found = [look_up(k) for k in range(REQUESTS)]

    def generate(k: int) -> ModelInputs:
        request, (items, clicked) = asked[k], found[k]
        return processor.features.generate(
            request.user, request.context, items.raw, items.finished, clicked, rows=request.rows
        )

    answers = [processor.score(request) for request in asked]
    verbs: dict[str, Callable[[int], object]] = {
        "decode": lambda k: decoder.decode(bodies[k]),
        "look_up": look_up,
        "generate": generate,
        "encode": lambda k: encode(answers[k]),
    }

    def work(verb: Callable[[int], object]) -> float:
        taken = []
        for k in range(runs):
            start = time.thread_time_ns()
            verb(k % REQUESTS)
            taken.append(time.thread_time_ns() - start)
        return median(taken) / 1e3

    with ThreadPoolExecutor(1) as worker:
        return {name: worker.submit(work, verb).result() for name, verb in verbs.items()}


def load_endpoint(folder: Path, workload: Workload) -> ScoreEndpoint:
    """The codec and processor of a workload's zero model."""
    name = "tiny" if workload.name == "tiny" else "rank"
    spec = load_service(service(folder, name))
    processor = load(Bundle.open(folder / f"{name}-zero"), spec)
    assert isinstance(processor, Normal)
    return ScoreEndpoint(processor, spec.rpc)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("build/bench"))
    parser.add_argument("--runs", type=int, default=600)
    arguments = parser.parse_args()
    tune_allocator()
    models.build(arguments.folder)
    table = Table("workload", "", *STAGES, "sum", title="CPU µs per request, median")
    for workload in WORKLOADS.values():
        for how, taken in (
            ("in a request", measure(arguments.folder, workload, runs=arguments.runs)),
            ("alone", alone(arguments.folder, workload, runs=arguments.runs)),
        ):
            cells = [f"{taken[stage]:.0f}" if stage in taken else "" for stage in STAGES]
            table.add_row(workload.name, how, *cells, f"{sum(taken.values()):.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
