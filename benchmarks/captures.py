"""What do captures cost the requests beside them? A quarter of the traffic is chosen to be kept, or is not.

    python -m benchmarks.captures [--folder build/bench] [--rounds 5] [--seconds 4] [--workload tiny]

Two streams ask one server at a constant rate. The latencies are those of the first, which is never kept; the
second has debug level 0 in one half of a round and 100 in the other. Medians over the rounds.
"""

from __future__ import annotations

import argparse
import json
import threading
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import urllib3
from benchmarks import models
from benchmarks.service import requests, service

from recserve import testing
from recserve.client.load import LoadPlan, LoadResult, run_load
from recserve.wire.torchrec import encode_request

#: Requests per second of both streams together.
RATES = {"tiny": 400.0, "rank": 40.0}
LEVELS = (0, 100)


def measure(folder: Path, name: str, *, rounds: int, seconds: float) -> dict[str, Any]:
    """Medians over rounds, by level of the second stream."""
    asked = requests(models.BUNDLES[name])
    bodies = [encode_request(request) for request in asked]
    second = {
        level: [encode_request(replace(request, debug_level=level)) for request in asked] for level in LEVELS
    }
    with TemporaryDirectory() as scratch:
        document = service(folder, name)
        document["model_config"] |= {"request_log_path": scratch}
        found: dict[int, list[dict[str, float]]] = {level: [] for level in LEVELS}
        with testing.serve(folder / name, document) as server:
            process = psutil.Process(server.pid)
            for number in range(rounds + 1):
                for level in LEVELS:
                    before = process.cpu_times()
                    result, beside = _both(server, bodies, second[level], RATES[name], seconds)
                    after = process.cpu_times()
                    if number:  # the first round warms up
                        spent = after.user + after.system - before.user - before.system
                        found[level].append(_figures(result, beside, spent))
            text = urllib3.request("GET", f"{server.base_url}/metrics").data.decode()
        counts = [line for line in text.splitlines() if line.startswith("recserve_captures_")]
    medians = {
        f"level {level}": {key: round(median(one[key] for one in figures), 3) for key in figures[0]}
        for level, figures in found.items()
    }
    return {**medians, "captures": counts}


def _both(
    server: testing.RunningServer, bodies: list[bytes], second: list[bytes], rate: float, seconds: float
) -> tuple[LoadResult, LoadResult]:
    headers = {"Authorization": server.token}
    results: dict[str, LoadResult] = {}

    def load(name: str, sent: list[bytes], share: float) -> None:
        plan = LoadPlan(duration_s=seconds, rate=rate * share, concurrency=64, warm_up_s=0.5)
        results[name] = run_load(server.url, sent, plan, headers=headers)

    streams = [
        threading.Thread(target=load, args=("first", bodies, 0.75)),
        threading.Thread(target=load, args=("second", second, 0.25)),
    ]
    for stream in streams:
        stream.start()
    for stream in streams:
        stream.join()
    return results["first"], results["second"]


def _figures(first: LoadResult, second: LoadResult, cpu_seconds: float) -> dict[str, float]:
    answered = first.answered + second.answered
    return {
        "p50 ms": first.p50_ms,
        "p90 ms": first.p90_ms,
        "p99 ms": first.p99_ms,
        "cpu ms per request": cpu_seconds / answered * 1e3,
        "failed": float(first.requests - first.answered + second.requests - second.answered),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=Path("build/bench"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--workload", choices=list(RATES), action="append")
    options = parser.parse_args()
    models.build(options.folder)
    for name in options.workload or list(RATES):
        figures = measure(options.folder, name, rounds=options.rounds, seconds=options.seconds)
        print(json.dumps({name: figures}, indent=2))


if __name__ == "__main__":
    main()
