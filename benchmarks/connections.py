"""What do 2,000 idle connections cost a server: memory, and the latency of the requests of others?

    python -m benchmarks.connections [--count 2000] [--workload tiny] [--rounds 7] [--folder build/bench]

Each connection has asked for something once, as those in a client's pool have, and is kept. In every round
the latency of one caller is measured beside them and without them, in turns. Passes (exit code 0) when they
take at most 40 MB and the median ratio of the p50s is at most 1.03. Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import resource
import socket
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psutil
import urllib3
from benchmarks import models
from benchmarks.machine import commit, machine, record, table
from benchmarks.service import requests, service
from benchmarks.workloads import WORKLOADS, Workload
from rich.console import Console
from rich.progress import track

from recserve.client.load import LoadPlan, run_load
from recserve.testing import RunningServer, serve
from recserve.wire.torchrec import encode_request

if TYPE_CHECKING:
    from collections.abc import Sequence

SPARE_FILES = 200  # open files beside the connections
MOST_MB, MOST_RATIO = 40.0, 1.03
console = Console(stderr=True)


def main() -> int:
    """Measure, print what was reached and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--workload", choices=WORKLOADS, default="tiny")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=3.0, help="of one measurement")
    parser.add_argument("--folder", type=Path, default=Path("build/bench"))
    arguments = parser.parse_args()
    allow_files(arguments.count + SPARE_FILES)
    models.build(arguments.folder)
    workload = WORKLOADS[arguments.workload]
    figures = {"machine": machine(), "commit": commit(), "connections": arguments.count} | measure(
        arguments.folder, workload, count=arguments.count, rounds=arguments.rounds, seconds=arguments.seconds
    )
    targets = (
        ("memory MB", figures["mb"], MOST_MB),
        ("p50 beside them / without", figures["ratio"], MOST_RATIO),
    )
    rows = [
        [name, f"at most {most:g}", f"{value:.3g}", "yes" if value <= most else "**no**"]
        for name, value, most in targets
    ]
    shown = table(["figure", "target", "measured", "met"], rows)
    console.print(shown, markup=False, soft_wrap=True)
    record("connections", f"{arguments.count} idle connections", "make bench-connections", shown)
    print(json.dumps(figures))
    return 0 if all(value <= most for _, value, most in targets) else 1


def allow_files(count: int) -> None:
    """Raise the limit of open files, which the server inherits."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        raise SystemExit(f"{count} open files are needed and {hard} allowed; try: ulimit -Hn {count}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), hard))


def measure(folder: Path, workload: Workload, *, count: int, rounds: int, seconds: float) -> dict[str, float]:
    """Medians over the rounds; the memory is that of the first time, when it is taken from the system."""
    name = "tiny" if workload.name == "tiny" else "rank"
    bodies = [encode_request(request) for request in requests(workload)]
    beside, without, taken = [], [], []
    with serve(folder / name, service(folder, name)) as server:
        memory = psutil.Process(server.pid).memory_info
        p50_ms(server, bodies, seconds)
        for _ in track(range(rounds), description="connections", console=console):
            without.append(p50_ms(server, bodies, seconds))
            before = memory().rss
            idle = [asked_once(server) for _ in range(count)]
            taken.append((memory().rss - before) / 2**20)
            beside.append(p50_ms(server, bodies, seconds))
            close(server, idle)
    return {
        "mb": taken[0],
        "p50_ms": statistics.median(without),
        "p50_beside_ms": statistics.median(beside),
        "ratio": statistics.median(b / w for b, w in zip(beside, without, strict=True)),
    }


def p50_ms(server: RunningServer, bodies: Sequence[bytes], seconds: float) -> float:
    """The median latency of one caller."""
    plan = LoadPlan(duration_s=seconds)
    return run_load(server.url, bodies, plan, headers={"Authorization": server.token}).p50_ms


def asked_once(server: RunningServer) -> socket.socket:
    """A connection that has got an answer and is kept."""
    parts = urlsplit(server.url)
    connection = socket.create_connection((parts.hostname, parts.port), timeout=30)
    connection.sendall(
        b"GET %b HTTP/1.1\r\nHost: x\r\nAuthorization: %b\r\n\r\n"
        % (parts.path.encode(), server.token.encode())
    )
    answer = b""
    while not complete(answer):
        answer += connection.recv(65536)
    return connection


def complete(answer: bytes) -> bool:
    """Whether head and body are there."""
    head, end, body = answer.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return bool(end) and len(body) >= int(lengths[0].partition(b":")[2])


def close(server: RunningServer, idle: Sequence[socket.socket]) -> None:
    """Close all, and wait until the server has seen it."""
    for connection in idle:
        connection.close()
    while open_connections(server) > 1:  # the one that asks
        time.sleep(0.01)


def open_connections(server: RunningServer) -> float:
    """As the server counts them."""
    lines = urllib3.request("GET", f"{server.base_url}/metrics").data.decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("recserve_connections "))


if __name__ == "__main__":
    sys.exit(main())
