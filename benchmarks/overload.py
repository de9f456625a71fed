"""Does a server that is asked for three times what it can do go on doing what it can?

    python -m benchmarks.overload [--minutes 10] [--workload rank-200] [--folder build/bench]

patient    the limits of a service file without any: a request may wait 5 s, and the queue is full long before
impatient  a budget of half the time that the queue takes: what waits at the end of it cannot be in time

Both are offered three times the peak, by callers who share the cores with the server; `impatient` for a
fifth of the minutes. Passes (exit code 0) when the answers per second are at least 0.9 of the peak, those
refused hear of it within 5 ms (median) and 50 ms (p99), memory stays within 1 % of what it is after a tenth
of the time, and the server's own counts show that no call was begun for a request whose time was over. Ends
with one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import urllib3
from benchmarks import models
from benchmarks.machine import commit, machine, record, table
from benchmarks.service import requests, service
from benchmarks.workloads import WORKLOADS, Workload
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from recserve.client.load import LoadPlan, LoadResult, run_load
from recserve.testing import RunningServer, serve
from recserve.wire.torchrec import encode_request

if TYPE_CHECKING:
    from collections.abc import Callable

TIMES = 3.0
SATURATING = 8  # callers of the closed loop that finds the peak
PEAK_SECONDS, PEAKS = 5.0, 3
CONNECTIONS = (
    512  # more than the queue holds: a caller who waits for a connection would be one less to refuse
)
SAMPLE_SECONDS = 1.0
console = Console(stderr=True)

Figures = dict[str, Any]


class Memory(threading.Thread):
    """Looks at the memory of a process once per second."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.process = psutil.Process(pid)
        self.samples_mb: list[float] = []
        self.done = threading.Event()

    def run(self) -> None:
        """Until told to stop."""
        while not self.done.wait(SAMPLE_SECONDS):
            self.samples_mb.append(self.process.memory_info().rss / 2**20)

    def growth(self) -> float:
        """The last tenth of the samples by the second tenth: the first one fills what is kept for good."""
        self.done.set()
        tenth = max(1, len(self.samples_mb) // 10)
        samples = self.samples_mb
        return statistics.median(samples[-tenth:]) / statistics.median(samples[tenth : 2 * tenth] or samples)


@dataclass(frozen=True)
class Calls:
    """What the server counts of its worker threads' calls."""

    begun: float
    late: float  # of those: their caller had been told 408 meanwhile
    expired: float  # never begun: their time was over before their turn came

    @classmethod
    def of(cls, server: RunningServer) -> Calls:
        """Ask /metrics."""
        lines = urllib3.request("GET", f"{server.base_url}/metrics").data.decode().splitlines()
        return cls(
            *(
                next(float(line.split()[1]) for line in lines if line.startswith(f"recserve_{name}_total "))
                for name in ("calls", "calls_late", "expired")
            )
        )

    def since(self, before: Calls) -> Calls:
        """Those between two looks."""
        return Calls(self.begun - before.begun, self.late - before.late, self.expired - before.expired)


def overload(
    folder: Path, workload: Workload, *, budget_ms: int, seconds: float, progress: Callable[[float], None]
) -> Figures:
    """Find the peak, offer three times as much, find the peak again."""
    name = "tiny" if workload.name == "tiny" else "rank"
    spec = service(folder, name)
    spec["metadata"]["rpc"] = {"keepalive": budget_ms}
    bodies = [encode_request(request) for request in requests(workload)]

    def load(plan: LoadPlan, told: Callable[[float], None] | None = None) -> LoadResult:
        headers = {"Authorization": server.token}
        return run_load(server.url, bodies, plan, headers=headers, progress=told)

    with serve(folder / name, spec) as server:
        closed = LoadPlan(duration_s=PEAK_SECONDS, concurrency=SATURATING)
        load(closed)
        peaks = [load(closed).throughput for _ in range(PEAKS)]
        memory = Memory(server.pid)
        before = Calls.of(server)
        memory.start()
        rate = TIMES * statistics.median(peaks)
        # Callers wait longer than the server lets them: whoever is answered hears it.
        patience_s = budget_ms / 1000 + 5
        plan = LoadPlan(duration_s=seconds, concurrency=CONNECTIONS, rate=rate, timeout_s=patience_s)
        result = load(plan, progress)
        growth = memory.growth()
        calls = Calls.of(server).since(before)
        peaks += [load(closed).throughput for _ in range(PEAKS)]
    peak = statistics.median(peaks)  # of before and after: a machine is not the same for ten minutes
    return {
        "budget_ms": budget_ms,
        "peak": peak,
        "offered": result.requests / seconds,
        "goodput": result.throughput,
        "goodput_ratio": result.throughput / peak,
        "p50_ms": result.p50_ms,
        "p99_ms": result.p99_ms,
        "refused_p50_ms": result.refused_p50_ms,
        "refused_p99_ms": result.refused_p99_ms,
        "generator_late_ms": result.late_ms,
        "answered": result.answered,
        "failures": dict(result.failures),
        "memory_growth": growth,
        "rss_mb": memory.samples_mb[-1],
        "calls_begun": calls.begun,
        "calls_late": calls.late,
        "expired_never_begun": calls.expired,
        # What was begun has been answered, or was begun in time and took too long.
        "computed_in_vain": calls.begun - result.answered - calls.late,
    }


TARGETS: tuple[tuple[str, str, str, float], ...] = (
    ("goodput / peak", "goodput_ratio", "at least", 0.9),
    ("refused, median ms", "refused_p50_ms", "at most", 5.0),
    ("refused, p99 ms", "refused_p99_ms", "at most", 50.0),
    ("memory at the end / after a tenth", "memory_growth", "at most", 1.01),
    ("calls begun for nobody", "computed_in_vain", "at most", 0.0),
)


def main() -> int:
    """Measure, print what was reached and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--workload", choices=WORKLOADS, default="rank-200")
    parser.add_argument("--folder", type=Path, default=Path("build/bench"))
    arguments = parser.parse_args()
    workload = WORKLOADS[arguments.workload]
    models.build(arguments.folder)
    figures: Figures = {"machine": machine(), "commit": commit(), "workload": workload.name}
    patient = show_progress("patient", arguments, workload, 5000, 60 * arguments.minutes)
    # What the whole queue takes at the pace that was found, and half of that.
    queue_ms = 1e3 * 64 / patient["goodput"]
    impatient = show_progress(
        "impatient", arguments, workload, max(20, round(queue_ms / 2)), 12 * arguments.minutes
    )
    figures |= {"patient": patient, "impatient": impatient}
    passed = True
    rows = []
    for name in ("patient", "impatient"):
        for figure, key, side, target in TARGETS:
            value = figures[name][key]
            met = value >= target if side == "at least" else value <= target
            passed = passed and met
            rows.append(
                [f"{name}: {figure}", f"{side} {target:g}", f"{value:.4g}", "yes" if met else "**no**"]
            )
    shown = table(["figure", "target", "measured", "met"], rows)
    console.print(shown, markup=False, soft_wrap=True)
    record("overload", "Three times as much traffic as it can answer", "make bench-overload", shown)
    print(json.dumps(figures))
    return 0 if passed else 1


def show_progress(
    name: str, arguments: argparse.Namespace, workload: Workload, budget_ms: int, seconds: float
) -> Figures:
    """One of the two, with a bar."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(f"{name}: {workload.name}, {budget_ms} ms, {seconds:.0f} s", total=1.0)
        return overload(
            arguments.folder,
            workload,
            budget_ms=budget_ms,
            seconds=seconds,
            progress=lambda share: bar.update(task, completed=share),
        )


if __name__ == "__main__":
    sys.exit(main())
