"""Real sockets for the tests of the server: an event loop in a thread, and clients that send exact bytes."""

from __future__ import annotations

import asyncio
import math
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import numpy as np
import pytest
import urllib3
import uvicorn
import uvloop
from prometheus_client.parser import text_string_to_metric_families
from uvicorn.server import ServerState

from recserve.bundle import Bundle
from recserve.config import service
from recserve.errors import BundleError, ModelError, RequestError
from recserve.messages import TensorRequest, TensorResponse
from recserve.processors.load import load
from recserve.processors.processor import Signature, TensorInfo
from recserve.server.protocol import Connection
from recserve.server.serve import Server
from recserve.wire import tensors

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path

    from recserve.observe.trace import Trace
    from recserve.processors.load import Progress
    from recserve.processors.processor import Processor

T = TypeVar("T")


class LoopThread:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self.loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(20)

    def call(self, function: Callable[[], T]) -> T:
        async def on_loop() -> T:
            return function()

        return self.run(on_loop())

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


@pytest.fixture
def loop_thread() -> Iterator[LoopThread]:
    thread = LoopThread()
    yield thread
    thread.close()


@contextmanager
def listening(thread: LoopThread, application: Any, idle_seconds: float = 75) -> Iterator[int]:
    """Serve an ASGI application with our protocol; gives the port."""
    config = uvicorn.Config(
        application,
        interface="asgi3",
        http=Connection,
        ws="none",
        lifespan="off",
        proxy_headers=False,
        access_log=False,
        log_config=None,
        timeout_keep_alive=math.ceil(idle_seconds),
    )
    config.load()
    state = ServerState()

    def connect() -> asyncio.Protocol:
        return Connection(config=config, server_state=state, app_state={}, _loop=thread.loop)

    listener = cast("asyncio.Server", thread.run(thread.loop.create_server(connect, "127.0.0.1", 0)))

    async def close() -> None:
        listener.close()
        for connection in list(state.connections):
            connection.transport.abort()
        await asyncio.sleep(0.01)

    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        thread.run(close())


def send(port: int, *parts: bytes, seconds: float = 10.0) -> bytes:
    """Send bytes on a new connection and read until the server closes it."""
    with socket.create_connection(("127.0.0.1", port), seconds) as connection:
        for part in parts:
            connection.sendall(part)
        return read_to_end(connection)


def read_to_end(connection: socket.socket) -> bytes:
    received = b""
    while True:
        try:
            more = connection.recv(65536)
        except ConnectionResetError:
            return received
        if not more:
            return received
        received += more


def read_answer(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Read one answer from a connection that stays open: status, headers in lower case, body."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):  # byte by byte: what follows belongs to the next answer
        byte = connection.recv(1)
        assert byte, f"the connection was closed after {head!r}"
        head += byte
    first, *lines = head[:-4].decode().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    body = b""
    while len(body) < int(headers["content-length"]):
        body += connection.recv(int(headers["content-length"]) - len(body))
    return int(first.split()[1]), headers, body


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


class Doubler:
    """A processor in one page: doubles `x`. `sleep`, `wait` and `fail` make it slow or broken."""

    answers: Literal["tensors"] = "tensors"

    def __init__(self) -> None:
        self.calls = 0
        self.closed = False
        self.gate = threading.Event()  # `wait` waits for it

    def predict(self, request: TensorRequest, trace: Trace | None = None) -> TensorResponse:
        self.calls += 1
        inputs = request.named_inputs
        if "sleep" in inputs:
            time.sleep(float(inputs["sleep"][0]))
        if "wait" in inputs:
            self.gate.wait(30)
        if "fail" in inputs:
            raise FAILURES[int(inputs["fail"][0])]
        if "x" not in inputs:
            raise RequestError("input 'x' is missing")
        if trace is not None:
            trace.lap("run")
        return TensorResponse((), {"y": 2 * inputs["x"]})

    def sample(self, rows: int) -> TensorRequest:
        return TensorRequest((), {"x": np.zeros(rows, np.float32)})

    def signature(self) -> Signature:
        return Signature([TensorInfo("x", (-1,), "DT_FLOAT")], [TensorInfo("y", (-1,), "DT_FLOAT")])

    def gauges(self) -> dict[str, tuple[str, float]]:
        return {"doubler_calls_total": ("Calls.", self.calls)}

    def info(self) -> dict[str, str]:
        return {"engine": "doubler"}

    @property
    def kept_items(self) -> None:
        return None

    def close(self) -> None:
        self.closed = True


#: By number, since a tensor has no text.
FAILURES = [
    ModelError("the model says no"),
    KeyError("an internal secret"),
    BundleError("/internal/path"),
]


class Running:
    """A server in a thread, and one pooled connection to it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.status: int | None = None
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        while not server.port:
            time.sleep(0.001)
        self.http = urllib3.HTTPConnectionPool("127.0.0.1", server.port, maxsize=1, retries=False, timeout=20)

    def _serve(self) -> None:
        self.status = uvloop.run(self.server.main())

    @property
    def port(self) -> int:
        return self.server.port

    def post(self, body: bytes | None = None, path: str = "", **headers: str) -> urllib3.BaseHTTPResponse:
        """Predict; the token is sent unless headers say otherwise."""
        sent = {
            "Authorization": "token",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        return self.http.request(
            "POST", f"/api/predict/rank{path}", body=DOUBLE if body is None else body, headers=sent
        )

    def get(self, path: str, **headers: str) -> urllib3.BaseHTTPResponse:
        return self.http.request("GET", path, headers=headers)

    def metric(self, name: str, **labels: str) -> float:
        text = self.get("/metrics").data.decode()
        families = text_string_to_metric_families(text)
        samples = [sample for family in families for sample in family.samples if sample.name == name]
        return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())

    def stop(self) -> None:
        if self._thread.is_alive():
            self.server.stop()
            self.server.stop()
        self._thread.join(20)
        self.http.close()


def tensors_of(**inputs: float | list[float]) -> bytes:
    """A request body that sends each input as a FLOAT tensor."""
    arrays = {name: np.atleast_1d(np.array(value, np.float32)) for name, value in inputs.items()}
    return tensors.encode_request(TensorRequest((), arrays))


DOUBLE = tensors_of(x=[1.5, 2.0])


class Rank(Running):
    """A running Doubler."""

    def __init__(self, server: Server, processor: Doubler) -> None:
        self.processor = processor
        super().__init__(server)


@contextmanager
def running(
    load: Callable[[], Doubler] | None = None, *, ready: bool = True, group: str = "", **rpc: Any
) -> Iterator[Rank]:
    """Serve a Doubler as 'rank' with the token 'token'; `rpc` are keys of metadata.rpc."""
    processor = Doubler()
    make = load or (lambda: processor)
    with running_loader(lambda progress: make(), processor, ready=ready, group=group, **rpc) as rank:
        yield rank


@contextmanager
def running_loader(
    load: Callable[[Progress], Doubler],
    processor: Doubler | None = None,
    *,
    ready: bool = False,
    group: str = "",
    **rpc: Any,
) -> Iterator[Rank]:
    """Serve what `load` makes, and tells how far it is."""
    document = {"name": "rank", "token": "token", "metadata": {"group": group, "rpc": {"drain_ms": 0, **rpc}}}
    processor = processor or Doubler()
    is_ready = threading.Event()
    server = Server(service.load(document, {}), load, on_ready=lambda _: is_ready.set())
    started = Rank(server, processor)
    try:
        if ready:
            assert is_ready.wait(20)
        yield started
    finally:
        processor.gate.set()
        started.stop()


@contextmanager
def running_bundle(bundle: Path, document: dict[str, Any], **rpc: Any) -> Iterator[Running]:
    """Serve a bundle as `recserve serve` does, in this process."""
    document = {**document, "metadata": {"rpc": {"drain_ms": 0, **rpc}}}
    spec = service.load(document, {}, base_dir=bundle.parent)
    is_ready = threading.Event()

    def load_bundle(progress: Any) -> Processor:
        return load(Bundle.open(bundle), spec, progress)

    started = Running(Server(spec, load_bundle, bundle_path=bundle, on_ready=lambda _: is_ready.set()))
    try:
        assert is_ready.wait(60)
        yield started
    finally:
        started.stop()


@pytest.fixture
def rank() -> Iterator[Rank]:
    with running() as server:
        yield server
