"""Is the first real request after `ready` as quick as those that follow?

    python -m benchmarks.first_requests [--folder build/bench] [--starts 7] [--workload rank]

Starts the server again and again. Each time one caller sends, on a connection that is open already, real
requests of the workload as soon as the server says that it is ready: a first one, hundreds without a break,
and some after pauses of half a second. Medians over the starts, of what the caller sees and of what the
server says it took (`Server-Timing`). Kinds of warm-up:

none      cut short at once (`warmup_max_seconds` 0): only that the model answers has been seen
made-up   no files: requests that the server makes up
kept      the requests that an earlier start kept (`warmup_data_path`)

A request after a pause finds the processor's caches and clock as the first one does: where both are equal, a
warm-up can do no more. The caller has been warmed up by a start that does not count.
"""

from __future__ import annotations

import argparse
import http.client
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
from benchmarks import models
from benchmarks.service import requests, service

from recserve import testing
from recserve.client.client import server_timing
from recserve.wire.torchrec import encode_request

if TYPE_CHECKING:
    from numpy.typing import NDArray

FOLLOWING = 150
PAUSES = 8
PAUSE_SECONDS = 0.5


def one_start(bundle: Path, document: dict[str, Any], bodies: list[bytes]) -> NDArray[np.float64]:
    """Latencies in ms of the first requests to a new server, in their order: the caller's, the server's."""
    with testing.serve(bundle, document) as server:
        address = urlsplit(server.url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port or 0)
        connection.connect()
        latencies: list[tuple[float, float]] = []
        for number, body in enumerate(bodies[: FOLLOWING + PAUSES]):
            if number >= FOLLOWING:
                time.sleep(PAUSE_SECONDS)
            began = time.perf_counter()
            connection.request("POST", address.path, body, {"Authorization": server.token})
            answer = connection.getresponse()
            answer.read()
            took = (time.perf_counter() - began) * 1e3
            latencies.append((took, server_timing(answer.headers["Server-Timing"])["total"]))
            assert answer.status == 200, answer.status
        connection.close()
        server.stop()
    return np.array(latencies)


def measure(folder: Path, name: str, *, starts: int, kinds: list[str]) -> dict[str, Any]:
    """Medians over starts, by kind of warm-up."""
    bodies = [encode_request(request) for request in requests(models.BUNDLES[name])] * 2
    bundle = folder / name
    with TemporaryDirectory() as scratch:
        documents = {kind: _document(folder, name, Path(scratch), kind) for kind in kinds}
        for kind in ("made-up", *(["kept"] if "kept" in kinds else [])):  # the second keeps requests
            one_start(bundle, documents.get(kind) or documents[kinds[0]], bodies)
        found: dict[str, list[NDArray[np.float64]]] = {kind: [] for kind in kinds}
        for _ in range(starts):
            for kind, document in documents.items():
                found[kind].append(one_start(bundle, document, bodies))
    return {kind: _figures(latencies) for kind, latencies in found.items()}


def _document(folder: Path, name: str, scratch: Path, kind: str) -> dict[str, Any]:
    document = service(folder, name)
    if kind == "kept":
        document["model_config"] |= {"warmup_data_path": str(scratch / "kept")}
    if kind == "none":
        document["model_config"] |= {"warmup_max_seconds": 0}
    return document


def _figures(starts: list[NDArray[np.float64]]) -> dict[str, list[float]]:
    """Of what the caller sees, and of what the server says."""
    latencies = np.stack(starts)  # (starts, requests, 2)
    steady = np.median(latencies[:, 50:FOLLOWING], axis=1)  # (starts, 2)
    paused = np.median(latencies[:, FOLLOWING:], axis=1)
    figures = {
        "first ms": latencies[:, 0],
        "p50 ms": steady,
        "after a pause ms": paused,
        "first / p50": latencies[:, 0] / steady,
        "first ten / p50": np.median(latencies[:, :10], axis=1) / steady,
        "after a pause / p50": paused / steady,
    }
    return {name: np.median(values, axis=0).round(3).tolist() for name, values in figures.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=Path("build/bench"))
    parser.add_argument("--starts", type=int, default=7)
    parser.add_argument("--workload", choices=list(models.BUNDLES), action="append")
    parser.add_argument("--kind", choices=["none", "made-up", "kept"], action="append")
    options = parser.parse_args()
    models.build(options.folder)
    for name in options.workload or list(models.BUNDLES):
        kinds = options.kind or ["none", "made-up", "kept"]
        figures = measure(options.folder, name, starts=options.starts, kinds=kinds)
        print(json.dumps({name: figures}, indent=2))


if __name__ == "__main__":
    main()
