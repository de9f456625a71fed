"""What batching across requests gives: throughput and CPU per request, with it on and off.

    python -m benchmarks.batching [--folder build/bench] [--seconds 3] [--rounds 5]

Both servers run all the time and take turns in one run; ends with one JSON line.
"""

from __future__ import annotations

import argparse
import json
import statistics
from contextlib import ExitStack
from pathlib import Path

from benchmarks import models
from benchmarks.machine import commit, machine
from benchmarks.service import requests, service
from benchmarks.serving import cpu_of, load
from benchmarks.workloads import WORKLOADS
from rich.console import Console
from rich.progress import track

from recserve.client.load import LoadPlan
from recserve.testing import RunningServer, serve
from recserve.wire.torchrec import encode_request

CALLERS = (1, 8, 32)
TOLERANCE = {"max_batch_difference": 1e-6}


def measure(folder: Path, workload: str, *, seconds: float, rounds: int) -> dict[str, dict[str, float]]:
    """Per number of callers: requests per second and CPU ms, on and off, and their ratios by medians."""
    name = "tiny" if workload == "tiny" else "rank"
    bodies = [encode_request(request) for request in requests(WORKLOADS[workload])]
    plain = service(folder, name)
    batching = {**plain, "metadata": {"rpc": {**plain["metadata"]["rpc"], "batching": True, **TOLERANCE}}}
    with ExitStack() as stack:
        servers = [stack.enter_context(serve(folder / name, document)) for document in (plain, batching)]
        for server in servers:
            load(server, bodies, LoadPlan(duration_s=2, concurrency=8))
        return {
            str(callers): _compare(
                servers,
                bodies,
                callers=callers,
                seconds=seconds,
                rounds=rounds,
                title=f"{workload}, {callers} callers",
            )
            for callers in CALLERS
        }


def _compare(
    servers: list[RunningServer],
    bodies: list[bytes],
    *,
    callers: int,
    seconds: float,
    rounds: int,
    title: str,
) -> dict[str, float]:
    rates: list[list[float]] = [[], []]
    cpu_ms: list[list[float]] = [[], []]
    for _ in track(range(rounds), description=title, console=Console(stderr=True)):
        for turn, server in enumerate(servers):
            with cpu_of(server) as cpu:
                result = load(server, bodies, LoadPlan(duration_s=seconds, concurrency=callers))
            rates[turn].append(result.throughput)
            cpu_ms[turn].append(1e3 * cpu[0] / result.answered)
    off, on = (statistics.median(found) for found in rates)
    return {
        "off_per_s": off,
        "on_per_s": on,
        "on_to_off": statistics.median(b / a for a, b in zip(*rates, strict=True)),
        "off_cpu_ms": statistics.median(cpu_ms[0]),
        "on_cpu_ms": statistics.median(cpu_ms[1]),
    }


def main() -> None:
    """Measure, and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("build/bench"))
    parser.add_argument("--seconds", type=float, default=3.0, help="of one measurement")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workload", choices=tuple(WORKLOADS), action="append")
    arguments = parser.parse_args()
    models.build(arguments.folder)
    figures = {
        workload: measure(arguments.folder, workload, seconds=arguments.seconds, rounds=arguments.rounds)
        for workload in arguments.workload or ("tiny", "rank-200")
    }
    print(json.dumps({"machine": machine(), "commit": commit(), "batching": figures}))


if __name__ == "__main__":
    main()
