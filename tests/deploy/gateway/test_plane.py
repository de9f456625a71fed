"""The gateway of a whole control plane: real processes are rolled, scaled and killed under load."""

from __future__ import annotations

import os
import signal
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from tests.deploy.gateway.apps import ask
from tests.deploy.gateway.opening import until

from recserve.deploy.backends.local import LocalBackend
from recserve.deploy.gateway import program
from recserve.deploy.gateway.gateway import Gateway
from recserve.deploy.gateway.process import Address
from recserve.deploy.plane import Plane
from recserve.deploy.records import RolloutState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from recserve.deploy.store import Store

APP = """
import http.server, os, signal, threading
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536
    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = os.environ["WORD"].encode()
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True
server = Server(("127.0.0.1", int(os.environ["LISTENING_PORT"])), Handler)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever()
"""


def document(folder: Path, word: str, instances: int = 2) -> dict[str, Any]:
    (folder / "app.py").write_text(APP)
    return {
        "name": "rank",
        "token": "secret",
        "metadata": {"instance": instances},
        "containers": [{"script": f"exec python3 {folder}/app.py", "env": [{"name": "WORD", "value": word}]}],
    }


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Plane]:
    def gateway(store: Store) -> Gateway:
        found = program.found()
        assert found is not None
        return Gateway(store, found, Address("127.0.0.1", 0), control="127.0.0.1:1")

    with Plane(
        tmp_path / "state",
        lambda changed: LocalBackend(tmp_path / "instances", changed),
        endpoint="http://127.0.0.1:1",
        gateway=gateway,
    ) as made:
        yield made


class Callers:
    """Ask until they are told to stop."""

    def __init__(self, url: str, count: int = 2) -> None:
        self.words: list[str] = []
        self.failed: list[object] = []
        self._url = url
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        while not self._stopped.wait(0.002):
            try:
                answer = ask(self._url, "/api/predict/rank", b"x" * 40_000, {"Authorization": "secret"})
            except OSError as error:
                self.failed.append(error)
                continue
            if answer.status != 200:
                self.failed.append(answer)
            self.words.append(answer.body.decode())

    def stop(self) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()


def test_no_request_fails_while_a_service_is_rolled_scaled_and_its_instances_are_killed(
    plane: Plane, tmp_path: Path
) -> None:
    control, store = plane.control, plane.store
    control.create(document(tmp_path, "one"))

    def ready(count: int) -> bool:
        """Also in the gateway, a moment later: an instance is killed while another one is asked."""
        found = store.instances_of("rank")
        done = len(found) == count and all(one.phase == "ready" for one in found)
        return done and plane.gateway is not None and plane.gateway.settle()

    def restarted(times: int) -> bool:
        return sum(one.restarts for one in store.instances_of("rank")) == times and ready(2)

    until(lambda: ready(2))
    callers = Callers(plane.endpoint)

    for number, one in enumerate(store.instances_of("rank"), 1):
        os.kill(one.pid, signal.SIGKILL)
        until(partial(restarted, number))
    control.modify("rank", document(tmp_path, "two"))
    until(lambda: store.services["rank"].rollout.state is RolloutState.DONE and ready(2))
    control.scale("rank", 1)
    until(lambda: ready(1))
    begun = len(callers.words)
    until(lambda: len(callers.words) > begun + 20)
    callers.stop()

    assert callers.failed == []
    assert set(callers.words) == {"one", "two"}
    assert set(callers.words[begun:]) == {"two"}
    assert ask(plane.endpoint, "/api/predict/rank").status == 401
    assert ask(plane.endpoint, "/api/predict/other").status == 404
