"""Which allocator a server is fastest with, and what memory it takes: rank-200, rank-1000 and tiny, in turns.

    python -m benchmarks.allocators [--folder build/bench] [--seconds 4] [--rounds 5] [--workload rank-200]

Each round starts one server per allocator, in another order, and asks one after the other; figures are
medians over the rounds, ratios those to glibc in the same round. CPU per request is that of the server
process alone, so it says most where other programs run beside.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from benchmarks import models
from benchmarks.machine import commit, machine, table
from benchmarks.service import requests, service
from benchmarks.serving import SATURATING, cpu_of, load
from benchmarks.workloads import WORKLOADS, Workload
from rich.console import Console
from rich.progress import track

from recserve.allocator import LIBRARIES, PACKAGES, find
from recserve.client.load import LoadPlan
from recserve.testing import RunningServer, serve
from recserve.wire.torchrec import encode_request

if TYPE_CHECKING:
    from collections.abc import Iterator

Figures = dict[str, float]
PATIENCE_S = 60.0  # where other programs run beside, an answer may take its time
FIGURES = {"CPU ms": "cpu_ms", "p50 ms": "p50_ms", "req/s": "throughput", "RSS MB": "rss_mb"}


def run(folder: Path, workload: Workload, *, seconds: float, rounds: int) -> dict[str, Figures]:
    """Medians of every allocator that is installed here."""
    models.build(folder)
    names = ["glibc", *(name for name in LIBRARIES if find(name))]
    turns = track(range(rounds), description=workload.name, console=Console(stderr=True))
    measured = [one_round(folder, workload, _turned(names, turn), seconds) for turn in turns]
    return {name: _medians(name, measured) for name in names}


def _turned(names: list[str], turn: int) -> list[str]:
    first = turn % len(names)
    return names[first:] + names[:first]


def _medians(name: str, measured: list[dict[str, Figures]]) -> Figures:
    figures = {key: statistics.median(found[name][key] for found in measured) for key in FIGURES.values()}
    ratios = {
        f"{key}_ratio": statistics.median(found[name][key] / found["glibc"][key] for found in measured)
        for key in FIGURES.values()
    }
    return figures | ratios


def one_round(folder: Path, workload: Workload, names: list[str], seconds: float) -> dict[str, Figures]:
    """One turn of every allocator; the servers run at the same time and are asked one after the other."""
    bundle = "tiny" if workload.name == "tiny" else "rank"
    bodies = [encode_request(request) for request in requests(workload)]
    with ExitStack() as stack:
        servers = {}
        for name in names:
            spec = service(folder, bundle)
            spec["metadata"]["rpc"] |= {"allocator": name, "keepalive": 1000 * int(PATIENCE_S)}
            servers[name] = stack.enter_context(serve(folder / bundle, spec))
            assert _allocator_of(servers[name]) == name
            load(servers[name], bodies, _plan(2, SATURATING))
        return {name: measure(server, bodies, seconds) for name, server in servers.items()}


def _allocator_of(server: RunningServer) -> str:
    """What the process has mapped, not what it was told."""
    files = {Path(entry.path).name for entry in psutil.Process(server.pid).memory_maps()}
    return next((name for name in LIBRARIES if any(name in file for file in files)), "glibc")


def measure(server: RunningServer, bodies: list[bytes], seconds: float) -> Figures:
    """The figures of one server."""
    alone = load(server, bodies, _plan(seconds, 1))
    with cpu_of(server) as cpu:
        full = load(server, bodies, _plan(seconds, SATURATING))
    return {
        "cpu_ms": 1e3 * cpu[0] / full.answered,
        "p50_ms": alone.p50_ms,
        "throughput": full.throughput,
        "rss_mb": psutil.Process(server.pid).memory_info().rss / 2**20,
    }


def _plan(seconds: float, callers: int) -> LoadPlan:
    return LoadPlan(duration_s=seconds, concurrency=callers, timeout_s=PATIENCE_S)


def main() -> None:
    """Print a table per workload, and the figures as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("build/bench"))
    parser.add_argument("--seconds", type=float, default=4.0, help="of one measurement")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--workload", choices=[*WORKLOADS], action="append", help="may be given more than once"
    )
    arguments = parser.parse_args()
    for line in _missing():
        print(line, file=sys.stderr)
    figures: dict[str, Any] = {"machine": machine(), "commit": commit()}
    for name in arguments.workload or WORKLOADS:
        found = run(arguments.folder, WORKLOADS[name], seconds=arguments.seconds, rounds=arguments.rounds)
        figures[name] = found
        print(f"\n{name}\n\n{_page(found)}")
    print(json.dumps(figures))


def _missing() -> Iterator[str]:
    for name in LIBRARIES:
        if find(name) is None:
            yield f"{name} is left out: install {PACKAGES[name]}"


def _page(found: dict[str, Figures]) -> str:
    head = ["allocator", *(f"{title}{part}" for title in FIGURES for part in ("", " / glibc"))]
    rows = [
        [name, *(f"{of[f'{key}{part}']:.4g}" for key in FIGURES.values() for part in ("", "_ratio"))]
        for name, of in found.items()
    ]
    return table(head, rows)


if __name__ == "__main__":
    main()
