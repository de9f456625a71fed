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

from recserve.bundle import Bundle
from recserve.config.service import load as load_service
from recserve.observe.trace import Trace
from recserve.processors.load import load
from recserve.processors.normal import Normal
from recserve.server.app import ScoreEndpoint, answer_body
from recserve.server.serve import tune_allocator
from recserve.wire.torchrec import encode_request

if TYPE_CHECKING:
    from benchmarks.workloads import Workload

STAGES = ("decode", "look_up", "generate", "run", "encode")


def measure(folder: Path, workload: Workload, *, runs: int) -> dict[str, float]:
    """Median CPU microseconds of each stage, in a warmed worker thread."""
    name = "tiny" if workload.name == "tiny" else "rank"
    spec = load_service(service(folder, name))
    processor = load(Bundle.open(folder / f"{name}-zero"), spec)
    assert isinstance(processor, Normal)
    endpoint = ScoreEndpoint(processor, spec.rpc)
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


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("build/bench"))
    parser.add_argument("--runs", type=int, default=600)
    arguments = parser.parse_args()
    tune_allocator()
    models.build(arguments.folder)
    table = Table("workload", *STAGES, "sum", title="CPU µs per request, median")
    for workload in WORKLOADS.values():
        taken = measure(arguments.folder, workload, runs=arguments.runs)
        cells = [taken[stage] for stage in STAGES]
        table.add_row(workload.name, *(f"{cell:.0f}" for cell in [*cells, sum(cells)]))
    Console().print(table)


if __name__ == "__main__":
    main()
