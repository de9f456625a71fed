"""A control plane as a process of its own, that tests kill and begin again, and a client in mode DIRECT."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import urllib3

from recserve.deploy.client import ControlClient

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PATIENCE_S = 90.0

#: Where the apps of tests find their code; a folder that no machine has.
CODE = "/ml/recserve-test"

#: An app that says its word at any path, but 503 at /never; no library, so that it begins at once.
APP = """
import http.server, os, signal, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(503 if self.path == "/never" else 200)
        self.end_headers()
        self.wfile.write(os.environ.get("WORD", "").encode())
    def log_message(self, *_): pass
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
port = int(sys.argv[1]) if sys.argv[1:] else int(os.environ["LISTENING_PORT"])
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


class ControlPlane:
    """`recserve up` on a state folder; `begin` again takes the port that it had."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = ""
        self._port = 0
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.begin()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.end()
        finally:
            left = self.processes()
            for pid in left:
                os.kill(pid, signal.SIGKILL)
        assert left == {}, "what it has started is left behind"

    def begin(self) -> None:
        self._process = started = up(self.folder, self._port)
        assert started.stdout is not None
        line = started.stdout.readline()
        assert "is ready at" in line, f"{line}{started.stdout.read()}"
        self.url = line.partition("is ready at ")[2].split()[0]
        self._port = int(self.url.rpartition(":")[2])

    def kill(self) -> None:
        """As a crash does: nothing is tidied up."""
        assert self._process is not None
        self._process.kill()
        self._leave()

    def end(self) -> None:
        """As Ctrl-C does."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._leave()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def client(self) -> ControlClient:
        return ControlClient(self.url, (self.folder / "token").read_text())

    def create(self, name: str, script: str = "", **changes: Any) -> dict[str, Any]:
        return self.client.create(app(self.folder, name, script, **changes))

    def wait(self, name: str, found: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Ask for a service until it is as expected."""
        give_up_at = time.monotonic() + PATIENCE_S
        while not found(seen := self.client.service(name)):
            assert time.monotonic() < give_up_at, f"{name} stays {seen['Status']}: {seen['Message']}"
            time.sleep(0.05)
        return seen

    def wait_until_running(self, name: str) -> dict[str, Any]:
        return self.wait(name, lambda seen: seen["Status"] == "Running" and seen["Message"] == "")

    def instances(self, name: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.client.get(name, "instances")["Instances"]
        return found

    def say(self, name: str) -> set[str]:
        """What the instances answer that discovery names."""
        return {
            urllib3.request("GET", f"http://{address}/", retries=False).data.decode()
            for address in upstreams(self.url, name)
        }

    def processes(self) -> dict[int, str]:
        """Those of its instances, and of theirs: the folder of the instance by number."""
        mark = f"RECSERVE_INSTANCE_FOLDER={self.folder}/"
        pids = map(int, filter(str.isdecimal, os.listdir("/proc")))
        return {
            pid: variable
            for pid in pids
            for variable in _environ(pid).decode(errors="replace").split("\0")
            if variable.startswith(mark)
        }

    def _leave(self) -> None:
        assert self._process is not None
        self._process.wait(60)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process = None


class DirectClient:
    """Asks for the upstreams every three seconds, as the official clients do, and keeps what it knows when
    nobody answers; sends requests all the time."""

    def __init__(self, url: str, name: str) -> None:
        self._url, self._name = url, name
        self._known = upstreams(url, name)
        self._over = threading.Event()
        self.failures: list[str] = []
        self.words: list[str] = []
        self._threads = [threading.Thread(target=self._poll), threading.Thread(target=self._ask)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _poll(self) -> None:
        while not self._over.wait(3):
            try:
                self._known = upstreams(self._url, self._name)
            except (OSError, urllib3.exceptions.HTTPError, ValueError):
                continue

    def _ask(self) -> None:
        pool = urllib3.PoolManager(retries=False, timeout=10)
        for k in itertools.count():
            if self._over.wait(0.01):
                return
            address = self._known[k % len(self._known)]
            try:
                answer = pool.request("GET", f"http://{address}/", headers={"Connection": "close"})
            except urllib3.exceptions.HTTPError as error:
                self.failures.append(f"{address}: {error}")
            else:
                self.words.append(answer.data.decode())


def upstreams(url: str, name: str) -> list[str]:
    """What discovery says; ValueError where it says that nobody is ready."""
    answer = urllib3.request("GET", f"{url}/api/v1/servicediscovery/upstreams/{name}", retries=False)
    if answer.status != 200:
        raise ValueError(answer.data.decode())
    return [f"{one['ip']}:{one['port']}" for one in json.loads(answer.data)["endpoints"]["items"]]


def up(folder: Path, port: int = 0) -> subprocess.Popen[str]:
    """The process; what it writes comes out of one pipe."""
    command = [sys.executable, "-m", "recserve", "up", "--state", str(folder), "--port", str(port)]
    command.append("--no-gateway")  # these clients need none
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def app(folder: Path, name: str, script: str = "", **changes: Any) -> Mapping[str, Any]:
    """A service document whose code lies beside the state."""
    code = folder / "code"
    code.mkdir(exist_ok=True)
    (code / "app.py").write_text(APP)
    container = {"script": script or f"python {CODE}/app.py", **changes.pop("container", {})}
    return {
        "name": name,
        "metadata": {"instance": 1},
        "containers": [container],
        "storage": [{"mount_path": CODE, "host_path": {"path": str(code)}}],
        **changes,
    }


def word(text: str) -> dict[str, Any]:
    """For `container`: what the app says."""
    return {"env": [{"name": "WORD", "value": text}]}


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def _environ(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""
