"""Real sockets for the tests of the server: an event loop in a thread, and clients that send exact bytes."""

from __future__ import annotations

import asyncio
import math
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
import uvicorn
import uvloop
from uvicorn.server import ServerState

from recserve.server.protocol import Connection

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

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

    listener = thread.run(thread.loop.create_server(connect, "127.0.0.1", 0))

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
