"""docs/how-to.md, "Deploy on many machines": from nothing to a canary on three nodes of Ray, typed as it
stands there, with real raylets on this machine; then a node is lost, and a version rolled out.

Requests go all the while, by the client and discovery, and none fails. benchmarks/ray_deploy.py measures.
"""

from __future__ import annotations

import json
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Self

import psutil
import pytest
from tests.end_to_end.reader import Reader
from tests.markdown import ROOT, fences

from recserve.client.client import Client
from recserve.deploy.client import ControlClient

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

HOW_TO = ROOT / "docs" / "how-to.md"
#: The lines by which the page's two fences are found.
ON_NODES = {"recserve node start --head", "recserve release rank_canary --weight 10"}
#: The head, on the page.
PAGE_HOST, PAGE_PORT = "10.0.0.1", 6379
PATIENCE_S = 90.0
ITEMS = ["i1", "nobody knows it"]
#: What tells who has answered: the score of an unknown item.
MEMBERS = {0.0: "rank", -1.0: "rank_canary"}
#: A client takes members in turn by their weights: of so many, 0.1 to the request if nothing fails.
REQUESTS = 300


class Machines:
    """Three nodes and a control plane, begun as the page says."""

    def __init__(self, folder: Path) -> None:
        import ray

        # Ray writes there where a cluster is, for every program of the machine; socket paths must be short.
        self._ray = tempfile.mkdtemp(prefix="ray")
        # The cluster's token is kept at home.
        self.reader = Reader(folder, {"HOME": str(folder), "RAY_TMPDIR": self._ray})
        self._folder = folder
        self._host = ray.util.get_node_ip_address()
        self._port = free_port()
        self._nodes: list[subprocess.Popen[bytes]] = []
        self._plane: subprocess.Popen[bytes] | None = None
        self.url = ""

    def begin(self, line: str) -> None:
        """A node or the control plane; it is there when this returns."""
        line = line.replace(f"{PAGE_HOST}:{PAGE_PORT}", f"{self._host}:{self._port}")
        line = line.replace(PAGE_HOST, self._host)
        if line.startswith("recserve up"):
            self._plane = self.reader.begin(line, self._folder / "plane.log")
            context = self.reader.home / "context.json"
            self.wait(context.exists)
            self.url = json.loads(context.read_text())["url"]
            return
        # Nodes share this machine: each gives two cores away, so that Ray prepares few processes.
        port = f" --port {self._port}" if "--head" in line else ""
        node = self.reader.begin(f"{line} --cpu 2{port}", self._folder / f"node-{len(self._nodes)}.log")
        self._nodes.append(node)
        self.wait(lambda: raylet_of(node) is not None and listens(self._host, self._port))

    def lose_one_of(self, instances: Iterable[str]) -> str:
        """End a node as a machine ends, all of its processes at once: one, beside the head, that an instance
        is on; which instance."""
        instance, raylet = next(
            (instance, raylet)
            for instance in instances
            for raylet in above(instance, "raylet")
            if raylet != raylet_of(self._nodes[0])
        )
        (node,) = [node for node in self._nodes if raylet_of(node) == raylet]
        for process in [raylet, *raylet.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._nodes.remove(node)
        node.wait(PATIENCE_S)
        return instance

    @property
    def client(self) -> ControlClient:
        """For what is asked again and again: each command is a process."""
        return ControlClient.found(context=self.reader.home)

    def ready(self, service: str) -> dict[str, str]:
        """The node of each instance that is ready."""
        found = self.client.get(service, "instances")["Instances"]
        return {one["InstanceName"]: one["HostName"] for one in found if one["Status"] == "Ready"}

    def wait(self, is_so: Callable[[], bool]) -> None:
        """Until something is so; nothing that was begun may end meanwhile."""
        give_up_at = time.monotonic() + PATIENCE_S
        while not is_so():
            begun = [process for process in (self._plane, *self._nodes) if process is not None]
            assert all(process.poll() is None for process in begun), self._said()
            assert time.monotonic() < give_up_at, self._said()
            time.sleep(0.1)

    def end(self) -> None:
        """As systemd does; the control plane ends its instances first."""
        for process in [self._plane, *reversed(self._nodes)]:
            if process is not None:
                process.send_signal(signal.SIGTERM)
                process.wait(PATIENCE_S)
        assert [process.cmdline() for process in self._left()] == []

    def clear(self) -> None:
        """Leave nothing behind, whatever has happened."""
        for process in self._left():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        shutil.rmtree(self._ray, ignore_errors=True)  # what is just killed may write yet

    def _left(self) -> list[psutil.Process]:
        """What was begun, and what that has begun: all of it inherits the folder."""
        home = str(self.reader.home)
        return [process for process in psutil.process_iter() if variable(process, "RECSERVE_HOME") == home]

    def _said(self) -> str:
        return "\n".join(f"{log.name}:\n{log.read_text()}" for log in sorted(self._folder.glob("*.log")))


class Traffic:
    """Requests for the group by one client, one after the other, without an end."""

    def __init__(self, url: str, token: str) -> None:
        self._client = Client(discovery=url, name="ranking", token=token)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.answered = 0
        self.failures: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self._client.close()

    def settle(self, requests: int = 100) -> None:
        """Let so many more be answered."""
        until, give_up_at = self.answered + requests, time.monotonic() + PATIENCE_S
        while self.answered < until and not self.failures:
            assert time.monotonic() < give_up_at, f"{self.answered} of {until} are answered"
            time.sleep(0.05)

    def _ask(self) -> None:
        while not self._done.wait(0.01):
            try:
                who(self._client)
            except Exception as error:
                self.failures.append(f"after {self.answered}: {error!r}")
            else:
                self.answered += 1


def who(client: Client) -> str:
    """The service that has answered a request."""
    known, unknown = client.score(user={"age": 30}, item_ids=ITEMS)["score"]
    assert known == 40.5
    return MEMBERS[float(unknown)]


def canary_share(machines: Machines, token: str) -> float:
    """Of what a client asks that begins now."""
    with Client(discovery=machines.url, name="ranking", token=token) as client:
        answered = Counter(who(client) for _ in range(REQUESTS))
    return answered["rank_canary"] / answered.total()


def raylet_of(node: subprocess.Popen[bytes]) -> psutil.Process | None:
    """What Ray runs on a node, once it does."""
    try:
        children = psutil.Process(node.pid).children(recursive=True)
        return next((one for one in children if one.name() == "raylet"), None)
    except psutil.Error:
        return None


def above(instance: str, name: str) -> list[psutil.Process]:
    """The processes of this name that an instance is below."""
    return [
        parent
        for process in psutil.process_iter()
        if variable(process, "RECSERVE_INSTANCE") == instance
        for parent in process.parents()
        if parent.name() == name
    ]


def variable(process: psutil.Process, name: str) -> str:
    """What a process was begun with; "" if it has ended."""
    try:
        return process.environ().get(name, "")
    except (psutil.Error, OSError):
        return ""


def listens(host: str, port: int) -> bool:
    with socket.socket() as asked:
        return asked.connect_ex((host, port)) == 0


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("", 0))
        port: int = found.getsockname()[1]
        return port


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    made = Machines(tmp_path)
    try:
        yield made
        made.end()
    finally:
        made.clear()


def test_the_page_leads_to_a_canary_on_three_nodes_and_no_request_fails(machines: Machines) -> None:
    reader, ready = machines.reader, machines.ready
    nodes, canary = [fence.commands() for fence in fences(HOW_TO, "sh") if ON_NODES & set(fence.commands())]
    for line in nodes:
        machines.begin(line)
    machines.wait(lambda: [node["Status"] for node in machines.client.nodes()] == ["Ready"] * 3)
    for line in canary:
        reader.type(line)

    assert len(set(ready("rank").values())) == 2, "one is left when a node is lost"
    token = reader.json("recserve desc rank")["AccessToken"]
    with Traffic(machines.url, token) as traffic:
        assert canary_share(machines, token) == pytest.approx(0.1, abs=0.02)

        lost = machines.lose_one_of(ready("rank"))
        machines.wait(lambda: lost not in ready("rank"))
        machines.wait(lambda: (len(ready("rank")), len(ready("rank_canary"))) == (2, 1))
        traffic.settle()
        assert canary_share(machines, token) == pytest.approx(0.1, abs=0.02)

        reader.type("recserve modify rank -Dmetadata.rpc.max_queue_size=128")
        traffic.settle()
        assert canary_share(machines, token) == pytest.approx(0.1, abs=0.02)

    assert traffic.failures == []
