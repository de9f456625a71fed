"""A tiny real HTTP/1.1 server in a thread, whose answers a test decides."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import pytest

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Iterator
    from contextlib import AbstractContextManager


@dataclass(slots=True)
class Received:
    """One request as it came."""

    head: str
    body: bytes


@dataclass(slots=True)
class Server:
    """Where it listens, and what it was asked."""

    url: str = ""
    received: list[Received] = field(default_factory=list)
    connections: int = 0


Answer: TypeAlias = tuple[
    int, dict[str, str], bytes
]  # status, headers, body; -1: just these bytes, and the end
Answerer: TypeAlias = "Callable[[Received, int], Awaitable[Answer]]"  # the request, and its number from 1
Answering: TypeAlias = "Callable[..., AbstractContextManager[Server]]"  # an Answerer, and maybe TLS


@pytest.fixture
def answering() -> Answering:
    """`with answering(answer) as server:` serves on a free port."""
    return _answering


@contextmanager
def _answering(answer: Answerer, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    server = Server()
    started = threading.Event()
    stops: list[Callable[[], object]] = []

    async def serve() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        stops.append(lambda: loop.call_soon_threadsafe(stop.set))
        conversations: set[asyncio.Task[None]] = set()

        def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            conversations.add(loop.create_task(_converse(server, answer, reader, writer)))

        listener = await asyncio.start_server(converse, "127.0.0.1", 0, backlog=512, ssl=tls)
        scheme = "http" if tls is None else "https"
        server.url = f"{scheme}://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        started.set()
        await stop.wait()
        listener.close()
        for conversation in conversations:
            conversation.cancel()
        await asyncio.gather(*conversations, return_exceptions=True)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert started.wait(10)
    try:
        yield server
    finally:
        stops[0]()
        thread.join(10)


async def _converse(
    server: Server, answer: Answerer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    server.connections += 1
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            _, _, told = head.lower().partition("content-length: ")
            length = int(told.partition("\r\n")[0] or 0)
            request = Received(head, await reader.readexactly(length))
            server.received.append(request)
            status, headers, body = await answer(request, len(server.received))
            if status < 0:
                writer.write(body)
                return
            lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            writer.write(f"HTTP/1.1 {status} x\r\nContent-Length: {len(body)}\r\n{lines}\r\n".encode() + body)
            if "Connection" in headers:
                return
    except (asyncio.IncompleteReadError, ConnectionError):
        pass  # the client went away
    finally:
        writer.close()
