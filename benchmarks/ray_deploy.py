"""How soon instances are back on a cluster of three nodes: their process, their actor, their node killed.

    python -m benchmarks.ray_deploy [--rounds 3]

Three nodes as `recserve node start` begins them, `recserve up --backend ray`, a service of three instances;
all of it on this machine. "Back" is when discovery names three instances again and each of them answers.
While an actor is dead nothing has to come back: its process serves all along, and what is measured is when
another actor watches it. Ends with one line of JSON; the exit status is 1 where a target is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import ray
import urllib3
from rich.console import Console
from tests.end_to_end.control_plane import upstreams

from recserve.deploy.client import ControlClient

if TYPE_CHECKING:
    from collections.abc import Callable

NAME, INSTANCES, NODES = "app", 3, 3
PATIENCE_S = 120.0
#: figure → what it must not exceed, in seconds.
TARGETS = {"process_kill_s": 2.0, "actor_kill_s": 3.0, "node_kill_s": 10.0}
#: No library, so that it begins at once.
APP = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
        self.wfile.write(f"{os.environ['RECSERVE_INSTANCE']} {os.getpid()}".encode())
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("", int(os.environ["LISTENING_PORT"])), Handler).serve_forever()
"""
console = Console(stderr=True)


class Cluster:
    """Nodes and a control plane, each a process; what they write is in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._code = folder / "code"
        self._code.mkdir(parents=True)
        (self._code / "app.py").write_text(APP)
        self._port = free_port()
        self._nodes: list[subprocess.Popen[bytes]] = []
        self._plane: subprocess.Popen[str] | None = None
        self.url = ""

    def begin(self, nodes: int) -> None:
        """The head, the other nodes, then the control plane."""
        for _ in range(nodes):
            self.add_node()
        options = ["up", "--backend", "ray", "--address", self.address, "--port", "0", "--no-gateway"]
        self._plane = subprocess.Popen(
            [sys.executable, "-m", "recserve", *options],
            stdout=subprocess.PIPE,
            stderr=(self._folder / "plane.log").open("wb"),
            env=self._environment(),
            text=True,
        )
        assert self._plane.stdout is not None
        self.url = self._plane.stdout.readline().partition("is ready at ")[2].split()[0]

    @property
    def address(self) -> str:
        """Of the head."""
        return f"{ray.util.get_node_ip_address()}:{self._port}"

    @property
    def client(self) -> ControlClient:
        return ControlClient(self.url, (self._folder / "home" / "token").read_text())

    def add_node(self) -> None:
        """One more; the first is the head. It has begun when its raylet has."""
        role = ["--address", self.address] if self._nodes else ["--head", "--port", str(self._port)]
        log = (self._folder / f"node-{len(self._nodes)}.log").open("wb")
        command = [sys.executable, "-m", "recserve", "node", "start", "--cpu", "2", *role]
        begun = subprocess.Popen(
            command, stdout=log, stderr=log, env=self._environment(), start_new_session=True
        )
        self._nodes.append(begun)
        wait(lambda: raylet_of(begun.pid) is not None)
        if len(self._nodes) == 1:
            wait(lambda: listens(self.address))

    def actors(self) -> list[psutil.Process]:
        """Those that watch."""
        return [actor for node in self._nodes for actor in actors_of(node.pid)]

    def kill_node(self) -> None:
        """As a machine ends: raylet, actors and instances at once. Of those beside the head, the fullest."""
        found = max(self._nodes[1:], key=lambda node: len(actors_of(node.pid)))
        self._nodes.remove(found)
        raylet = raylet_of(found.pid)
        assert raylet is not None
        for process in [raylet, *raylet.children(recursive=True)]:
            process.kill()
        found.wait(60)

    def create(self) -> None:
        """The service; whole when all answer."""
        self.client.create(
            {
                "name": NAME,
                "metadata": {"instance": INSTANCES},
                "containers": [{"script": f"{sys.executable} {self._code / 'app.py'}"}],
            }
        )
        wait(self.whole)

    def instances(self) -> list[dict[str, Any]]:
        """As `recserve showworkers` has them."""
        found: list[dict[str, Any]] = self.client.get(NAME, "instances")["Instances"]
        return found

    def answers(self) -> dict[str, int]:
        """Who answers, of those that discovery names, and its process; nobody if one of them does not."""
        try:
            said = [
                urllib3.request("GET", f"http://{address}/", retries=False, timeout=2).data.decode()
                for address in upstreams(self.url, NAME)
            ]
        except (urllib3.exceptions.HTTPError, ValueError):
            return {}
        return {instance: int(pid) for instance, _, pid in (one.partition(" ") for one in said)}

    def whole(self) -> bool:
        return len(self.answers()) == INSTANCES

    def end(self) -> None:
        for process in [self._plane, *reversed(self._nodes)]:
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(60)
                except subprocess.TimeoutExpired:
                    process.kill()
        if self._plane is not None and self._plane.stdout is not None:
            self._plane.stdout.close()

    def _environment(self) -> dict[str, str]:
        paths = [str(Path("src").absolute()), os.environ.get("PYTHONPATH", "")]
        path = os.pathsep.join(filter(None, paths))
        return {**os.environ, "RECSERVE_HOME": str(self._folder / "home"), "PYTHONPATH": path}


def raylet_of(pid: int) -> psutil.Process | None:
    """The raylet that a node has begun."""
    try:
        children = psutil.Process(pid).children(recursive=True)
        return next((one for one in children if one.name() == "raylet"), None)
    except psutil.Error:
        return None


def actors_of(pid: int) -> list[psutil.Process]:
    """The actors of a node that watch."""
    raylet = raylet_of(pid)
    workers = raylet.children() if raylet is not None else []
    return [one for one in workers if title(one).startswith("ray::_Actor.watch")]


def title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with socket.socket() as asked:
        return asked.connect_ex((host, int(port))) == 0


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("", 0))
        port: int = found.getsockname()[1]
        return port


def wait(found: Callable[[], bool]) -> float:
    """Until it is as expected: how long that took, in seconds."""
    began = time.monotonic()
    while not found():
        if time.monotonic() - began > PATIENCE_S:
            raise TimeoutError(f"not so after {PATIENCE_S:g} s")
        time.sleep(0.02)
    return time.monotonic() - began


def process_kill(cluster: Cluster) -> float:
    pid = next(iter(cluster.answers().values()))
    os.kill(pid, signal.SIGKILL)
    return wait(lambda: cluster.whole() and pid not in cluster.answers().values())


def actor_kill(cluster: Cluster) -> float:
    wait(lambda: len(cluster.actors()) == INSTANCES)
    before, killed = cluster.answers(), cluster.actors()[0]
    killed.kill()
    taken = wait(lambda: len({one.pid for one in cluster.actors()} - {killed.pid}) == INSTANCES)
    assert cluster.answers() == before, "an instance noticed that its actor was killed"
    return taken


def node_kill(cluster: Cluster) -> float:
    """What the node had is replaced, and nobody is sent to it any more."""
    before = set(cluster.answers())
    cluster.kill_node()
    taken = wait(lambda: cluster.whole() and set(cluster.answers()) != before)
    replaced = before - set(cluster.answers())
    for _ in range(50):
        assert not replaced & set(cluster.answers()), "a replaced instance is named again"
        time.sleep(0.02)
    cluster.add_node()
    wait(lambda: len(cluster.client.nodes()) == NODES and cluster.whole())
    return taken


EVENTS: dict[str, Callable[[Cluster], float]] = {
    "process_kill_s": process_kill,
    "actor_kill_s": actor_kill,
    "node_kill_s": node_kill,
}


def measure(folder: Path, rounds: int) -> dict[str, float]:
    """The median of each, and the slowest."""
    figures: dict[str, float] = {}
    with ExitStack() as stack:
        cluster = Cluster(folder)
        stack.callback(cluster.end)
        cluster.begin(NODES)
        cluster.create()
        for name, event in EVENTS.items():
            taken = []
            for _ in range(rounds):
                taken.append(event(cluster))
                console.print(f"{name}: {taken[-1]:.2f}")
            figures[name] = round(statistics.median(taken), 2)
            figures[name.removesuffix("_s") + "_slowest_s"] = round(max(taken), 2)
    return figures


def main() -> int:
    """Measure, print the line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder) / "ray", arguments.rounds)
    missed = [name for name, most in TARGETS.items() if figures[name] > most]
    print(json.dumps({**figures, "missed": missed}))
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
