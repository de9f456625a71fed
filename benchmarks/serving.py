"""What a whole server costs beside its model: latency, throughput and CPU per request on the three workloads.

    python -m benchmarks.serving [--folder build/bench] [--seconds 4] [--rounds 5]

The yardsticks run in the same run, in turns with the server: the *bare call* (benchmarks/bare.py), and the
*zero model*, which takes the same inputs and returns zeros, so that what a request costs with it is not the
model.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from benchmarks import models
from benchmarks.service import requests, service
from benchmarks.workloads import WORKLOADS, Workload
from rich.console import Console
from rich.progress import track

from recserve.client.load import LoadPlan, run_load
from recserve.testing import RunningServer, serve
from recserve.wire.torchrec import encode_request

if TYPE_CHECKING:
    from collections.abc import Iterator

SATURATING = 8  # callers of the closed loop that saturates two cores
LOAD = 0.7  # of saturation, for the tail


@dataclass(frozen=True)
class Round:
    """One turn of everything, in ms, requests per second and MB."""

    bare_p50_ms: float
    bare_throughput: float  # two threads
    p50_ms: float
    p99_ms: float  # at LOAD of saturation, open loop
    throughput: float
    cpu_ms: float  # of the server process, per request, at saturation
    non_model_cpu_ms: float  # the same with the zero model
    rss_mb: float


class Bare:
    """The bare-call process, asked by line."""

    def __init__(self, bundle: Path, workload: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.bare", str(bundle), workload],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._read() == "ready"

    def measure(self, threads: int, seconds: float) -> dict[str, float]:
        """Figures of bare calls from that many threads."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{threads} {seconds}\n")
        self.process.stdin.flush()
        figures: dict[str, float] = json.loads(self._read())
        return figures

    def _read(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("the bare-call process ended; its message is above")
        return line.strip()


def run(folder: Path, *, seconds: float, rounds: int) -> dict[str, dict[str, float]]:
    """Figures of every workload: medians over the rounds."""
    models.build(folder)
    return {
        name: run_workload(folder, workload, seconds=seconds, rounds=rounds)
        for name, workload in WORKLOADS.items()
    }


def run_workload(folder: Path, workload: Workload, *, seconds: float, rounds: int) -> dict[str, float]:
    """Medians of the rounds of one workload, and their ratios."""
    turns = track(range(rounds), description=workload.name, console=Console(stderr=True))
    measured = [one_round(folder, workload, seconds) for _ in turns]
    figures = {key: statistics.median(getattr(r, key) for r in measured) for key in Round.__annotations__}
    figures["p50_ratio"] = statistics.median(r.p50_ms / r.bare_p50_ms for r in measured)
    figures["throughput_ratio"] = statistics.median(r.throughput / r.bare_throughput for r in measured)
    return figures


def one_round(folder: Path, workload: Workload, seconds: float) -> Round:
    """Every measurement once, the bare call and the server next to one another.

    Each round starts new processes: where the half gigabyte of weights comes to lie in memory makes one
    process up to a tenth slower than the next, for as long as it lives.
    """
    name = "tiny" if workload.name == "tiny" else "rank"
    bodies = [encode_request(request) for request in requests(workload)]
    with ExitStack() as stack:
        bare = Bare(folder / name, workload.name)
        stack.callback(bare.process.kill)
        server = stack.enter_context(serve(folder / name, service(folder, name)))
        zero = stack.enter_context(serve(folder / f"{name}-zero", service(folder, name)))
        for target in (server, zero):
            load(target, bodies, LoadPlan(duration_s=2, concurrency=SATURATING))
        return take_turns(bare, server, zero, bodies, seconds)


def take_turns(
    bare: Bare, server: RunningServer, zero: RunningServer, bodies: list[bytes], seconds: float
) -> Round:
    """The turns of one round."""
    bare_one = bare.measure(1, seconds)
    alone = load(server, bodies, LoadPlan(duration_s=seconds, concurrency=1))
    bare_two = bare.measure(2, seconds)
    with cpu_of(server) as cpu:
        full = load(server, bodies, LoadPlan(duration_s=seconds, concurrency=SATURATING))
    busy = load(server, bodies, LoadPlan(duration_s=seconds, concurrency=64, rate=full.throughput * LOAD))
    with cpu_of(zero) as zero_cpu:
        nothing = load(zero, bodies, LoadPlan(duration_s=seconds, concurrency=1))
    return Round(
        bare_p50_ms=bare_one["p50_ms"],
        bare_throughput=bare_two["throughput"],
        p50_ms=alone.p50_ms,
        p99_ms=busy.p99_ms,
        throughput=full.throughput,
        cpu_ms=1e3 * cpu[0] / full.answered,
        non_model_cpu_ms=1e3 * zero_cpu[0] / nothing.answered,
        rss_mb=psutil.Process(server.pid).memory_info().rss / 2**20,
    )


def load(server: RunningServer, bodies: list[bytes], plan: LoadPlan) -> Any:
    """One run of the load generator; every request must be answered."""
    result = run_load(server.url, bodies, plan, headers={"Authorization": server.token})
    if result.failures:
        raise SystemExit(f"{server.url}: {dict(result.failures)}")
    return result


@contextmanager
def cpu_of(server: RunningServer) -> Iterator[list[float]]:
    """CPU seconds that the server process used inside the block."""
    process, used = psutil.Process(server.pid), [0.0]
    before = sum(process.cpu_times()[:2])
    yield used
    used[0] = sum(process.cpu_times()[:2]) - before


def main() -> None:
    """Print the figures as one line of JSON per workload."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("build/bench"))
    parser.add_argument("--seconds", type=float, default=4.0, help="of one measurement")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    figures = run(arguments.folder, seconds=arguments.seconds, rounds=arguments.rounds)
    for name, found in figures.items():
        print(json.dumps({"workload": name, **found}))


if __name__ == "__main__":
    main()
