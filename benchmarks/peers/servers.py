"""The servers that are compared: how each is started, and what it is asked.

Peers take a JSON body, {"user": {…}, "item_ids": […]}: what all of them are made for, and 1 % of what they
do with it. recserve takes its protobuf body. Both are made of the same requests.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import urllib3
from benchmarks.peers.processes import Tree
from benchmarks.service import REQUESTS, requests, service

from recserve.errors import RecserveError
from recserve.testing import serve
from recserve.wire.torchrec import decode_response, encode_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from benchmarks.workloads import Workload
    from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent.parent
APPS = "benchmarks.peers.apps"
READY_SECONDS = 180.0
JSON = {"Content-Type": "application/json"}


class StartError(Exception):
    """A server did not start, or does not answer as it should; the message says how it ended."""


@dataclass(frozen=True)
class Running:
    """A server that is ready."""

    url: str
    headers: Mapping[str, str]
    bodies: Sequence[bytes]
    tree: Tree
    scores: Callable[[bytes], NDArray[np.float32]]  # those of an answer

    def ask(self, body: bytes) -> NDArray[np.float32]:
        """Post one body."""
        answer = urllib3.request("POST", self.url, body=body, headers=self.headers, timeout=30, retries=False)
        if answer.status != 200:
            raise StartError(f"{self.url} answers {answer.status}: {answer.data[:300]!r}")
        return self.scores(answer.data)


@dataclass(frozen=True)
class Place:
    """What a peer is started with."""

    bin: Path  # of the peers' environment
    port: int
    folder: Path  # its own, for what it writes

    def python(self, *arguments: str) -> list[str]:
        """A command of that environment's Python."""
        return [str(self.bin / "python"), *arguments]


@dataclass(frozen=True)
class Peer:
    """A server that others made, and the app that we wrote for it."""

    name: str
    package: str
    target: str  # where predictions are posted
    command: Callable[[Place], list[str]]
    headers: Mapping[str, str] = field(default_factory=lambda: JSON)
    environment: Mapping[str, str] = field(default_factory=dict)

    @contextmanager
    def run(self, workload: Workload, folder: Path, bin: Path) -> Iterator[Running]:
        """Start it for a workload whose bundles are in `folder`; it ends with the block."""
        own = folder / "peers" / self.package
        own.mkdir(parents=True, exist_ok=True)
        place = Place(bin.absolute(), free_port(), own)
        environment = {
            **os.environ,
            "PATH": f"{place.bin}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
            "BENCHMARK_PEERS_FOLDER": str(folder.absolute()),
            "BENCHMARK_PEERS_WORKLOAD": workload.name,
            **self.environment,
        }
        log = own / "log.txt"
        try:
            with log.open("wb") as out:
                process = subprocess.Popen(
                    self.command(place),
                    cwd=own,
                    env=environment,
                    stdout=out,
                    stderr=out,
                    start_new_session=True,
                )
        except (OSError, subprocess.CalledProcessError) as error:  # it is not installed, or not whole
            raise StartError(f"{self.name} cannot be started: {error}") from error
        tree = Tree(process.pid)
        bodies = [
            json.dumps({"user": request.user, "item_ids": request.item_ids}).encode()
            for request in workload.requests(REQUESTS)
        ]
        url = f"http://127.0.0.1:{place.port}{self.target}"
        running = Running(url, self.headers, bodies, tree, _scores_of_json)
        try:
            self._wait_until_ready(running, process, log)
            yield running
        finally:
            tree.end()
            process.wait()

    def _wait_until_ready(self, running: Running, process: subprocess.Popen[bytes], log: Path) -> None:
        give_up_at = time.monotonic() + READY_SECONDS
        while True:
            try:
                running.ask(running.bodies[0])
                break
            except (StartError, urllib3.exceptions.HTTPError) as error:
                ended = process.poll() is not None
                if ended or time.monotonic() > give_up_at:
                    how = f"ended with status {process.returncode}" if ended else f"is not ready: {error}"
                    tail = log.read_text(errors="replace")[-1500:]
                    raise StartError(f"{self.name} {how}; the end of its log:\n{tail}") from error
                time.sleep(0.2)
        running.tree.wait_until_calm(READY_SECONDS)


@dataclass(frozen=True)
class Ours:
    """recserve, with what it is told to run the model with."""

    name: str
    model: Mapping[str, Any]  # keys of model_config
    rpc: Mapping[str, Any] = field(default_factory=dict)

    @contextmanager
    def run(self, workload: Workload, folder: Path, bin: Path) -> Iterator[Running]:
        """Start it for a workload whose bundles are in `folder`; it ends with the block."""
        bundle = bundle_of(workload)
        document: dict[str, Any] = service(folder, bundle)
        document["model_config"] |= self.model
        document["metadata"]["rpc"] |= self.rpc
        bodies = [encode_request(request) for request in requests(workload)]
        try:
            with serve(folder / bundle, document, seconds=READY_SECONDS) as server:
                headers = {"Authorization": server.token}
                yield Running(server.url, headers, bodies, Tree(server.pid), _scores_of_protobuf)
        except RecserveError as error:
            raise StartError(f"{self.name}: {error}") from error


def bundle_of(workload: Workload) -> str:
    """The name of the bundle that a workload is served with."""
    return "tiny" if workload.name == "tiny" else "rank"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def _scores_of_json(body: bytes) -> NDArray[np.float32]:
    document = json.loads(body)
    return np.array(document["probs"] if isinstance(document, dict) else document, np.float32)


def _scores_of_protobuf(body: bytes) -> NDArray[np.float32]:
    scores: NDArray[np.float32] = decode_response(body).outputs["probs"]
    return scores


def _torchserve(place: Place) -> list[str]:
    """Pack the handler and write the settings, as its users do before they start it."""
    handler = ROOT / "benchmarks/peers/apps/torchserve_handler.py"
    pack = ["--model-name", "rank", "--version", "1", "--handler", str(handler), "--export-path"]
    subprocess.run(
        [place.bin / "torch-model-archiver", *pack, str(place.folder), "--force"],
        check=True,
        cwd=place.folder,
    )
    settings = {
        "inference_address": f"http://127.0.0.1:{place.port}",
        "management_address": f"http://127.0.0.1:{free_port()}",
        "metrics_address": f"http://127.0.0.1:{free_port()}",
        "default_workers_per_model": 2,
        "default_response_timeout": 120,
    }
    lines = [f"{key}={value}" for key, value in settings.items()]
    (place.folder / "config.properties").write_text("\n".join(lines))
    (place.folder / "log4j2.xml").write_text(
        '<Configuration><Appenders><Console name="out"/></Appenders>'
        '<Loggers><Root level="warn"><AppenderRef ref="out"/></Root></Loggers></Configuration>'
    )
    (place.folder / ".model_server.pid").unlink(missing_ok=True)  # it lies there after a kill, too
    return [
        *("env", f"TMPDIR={place.folder}"),
        *(str(place.bin / "torchserve"), "--start", "--foreground", "--ncs", "--disable-token-auth"),
        *("--model-store", str(place.folder), "--models", "rank=rank.mar"),
        *("--ts-config", "config.properties", "--log-config", "log4j2.xml"),
    ]


SERVERS: dict[str, Ours | Peer] = {
    "recserve": Ours("recserve", {"compiled": "off"}),
    "batching": Ours("recserve, batching", {"compiled": "off"}, {"batching": True}),
    "compiled": Ours("recserve, compiled", {"compiled": "require"}),
    "kept": Ours("recserve, item results kept", {"compiled": "require", "item_results": "full"}),
    "bentoml": Peer(
        "BentoML",
        "bentoml",
        "/score",
        lambda place: place.python(
            *("-m", "bentoml", "serve", f"{APPS}.bentoml_app:Rank"),
            *("--host", "127.0.0.1", "--port", str(place.port)),
        ),
        environment={"BENTOML_DO_NOT_TRACK": "1"},
    ),
    "fastapi": Peer(
        "FastAPI + uvicorn",
        "fastapi",
        "/score",
        lambda place: place.python(
            *("-m", "uvicorn", f"{APPS}.fastapi_app:app", "--workers", "2", "--port", str(place.port)),
            # A worker that imports torch on a busy machine is not dead.
            *("--no-access-log", "--log-level", "warning", "--timeout-worker-healthcheck", "60"),
        ),
    ),
    "litserve": Peer(
        "LitServe",
        "litserve",
        "/predict",
        lambda place: place.python("-m", f"{APPS}.litserve_app", str(place.port)),
    ),
    "ray": Peer(
        "Ray Serve",
        "ray",
        "/score",
        lambda place: place.python("-m", f"{APPS}.ray_app", str(place.port)),
        environment={"RAY_raylet_start_wait_time_s": "180", "RAY_USAGE_STATS_ENABLED": "0"},
    ),
    "torchserve": Peer(
        "TorchServe",
        "torchserve",
        "/predictions/rank",
        _torchserve,
        # Anything but JSON comes to the handler as bytes, which it parses faster than TorchServe does.
        headers={"Content-Type": "application/octet-stream"},
    ),
}
OURS = tuple(name for name, server in SERVERS.items() if isinstance(server, Ours))
PEERS = tuple(name for name, server in SERVERS.items() if isinstance(server, Peer))


def versions(bin: Path) -> dict[str, str]:
    """The versions of the peers' packages in their environment."""
    packages = [*(server.package for server in SERVERS.values() if isinstance(server, Peer)), "torch"]
    code = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]), sep='\\n')"
    found = subprocess.run(
        [bin / "python", "-c", code, *packages], capture_output=True, text=True, check=True
    ).stdout.split()
    return dict(zip(packages, found, strict=True))


def can_compile() -> bool:
    """Whether this recserve has `recserve compile`."""
    command = [sys.executable, "-m", "recserve", "compile", "--help"]
    asked = subprocess.run(command, capture_output=True, check=False)
    return asked.returncode == 0
