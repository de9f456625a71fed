"""Instances for the gateway: small HTTP servers in threads, and a store that says that they are ready."""

from __future__ import annotations

import http.client
import http.server
import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recserve.deploy.records import Instance, Phase, Rollout, Service, Version

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from recserve.deploy.store import Store

PATIENCE_S = 30.0


class App(http.server.ThreadingHTTPServer):
    """Answers with what it was asked; `pause` holds answers back."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, name: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.name = name
        self.asked: list[dict[str, Any]] = []
        self.pause = threading.Event()
        self.pause.set()
        self.parting = False  # each answer is the last one of its connection

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that the gateway closes is none."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65_536  # head and body in one packet: nobody waits for an acknowledgement
    server: App

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        asked = {
            "app": self.server.name,
            "method": self.command,
            "path": self.path,
            "length": len(body),
            "token": self.headers.get("Authorization", ""),
        }
        self.server.asked.append(asked)
        self.server.pause.wait(PATIENCE_S)
        answer = json.dumps(asked).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        if self.server.parting:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def apps(*names: str) -> Iterator[dict[str, App]]:
    found = {name: App(name) for name in names}
    for one in found.values():
        threading.Thread(target=one.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield found
    finally:
        for one in found.values():
            one.pause.set()
            one.shutdown()
            one.server_close()


CONTAINER: dict[str, Any] = {"containers": [{"script": "python app.py"}]}
SCORER: dict[str, Any] = {"processor": "easyrec-torch-1.12"}


def put_service(
    store: Store, name: str, document: Mapping[str, Any] = SCORER, *, token: str = "", **fields: Any
) -> None:
    made = Service(name, f"uid-{name}", token, 1, 1, Rollout(1, 1, 0.0), **fields)
    with store.change() as change:
        if name not in store.services:
            change.put(Version(name, 1, dict(document)))
        change.put(made)


def put_instance(store: Store, service: str, app: App, phase: Phase = Phase.READY) -> None:
    with store.change() as change:
        name = f"{service}-1-{app.name}"
        change.put(Instance(name, service, 1, phase, 0.0, 0.0, host="127.0.0.1", port=app.port))


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes

    @property
    def asked(self) -> dict[str, Any]:
        """What the instance says that it was asked."""
        found: dict[str, Any] = json.loads(self.body)
        return found


def ask(
    url: str, path: str, body: bytes = b"user", headers: Mapping[str, str] | None = None, method: str = "POST"
) -> Answer:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=PATIENCE_S)
    try:
        connection.request(method, path, body=body, headers=dict(headers or {}))
        answer = connection.getresponse()
        return Answer(answer.status, answer.read())
    finally:
        connection.close()
