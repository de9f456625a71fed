"""A way to a PostgreSQL on which COPY is refused, as databases do that only talk like it."""

from __future__ import annotations

import asyncio
import struct
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from collections.abc import Iterator


@dataclass(slots=True)
class Way:
    """Where it starts, and how often COPY was asked for."""

    port: int = 0
    refused: int = 0


@contextmanager
def without_copy(target: int) -> Iterator[Way]:
    """Hand everything on to the port `target` and back; COPY becomes a word that no server knows."""
    way, started, stop = Way(), threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def run() -> None:
        loop = asyncio.get_running_loop()
        loops.append(loop)
        # A loop holds tasks weakly: one that is referred to nowhere else may be collected while it waits.
        conversations: set[asyncio.Task[None]] = set()

        def begin(reader: StreamReader, writer: StreamWriter) -> None:
            conversations.add(loop.create_task(_converse(way, target, reader, writer)))

        server = await asyncio.start_server(begin, "127.0.0.1", 0)
        way.port = server.sockets[0].getsockname()[1]
        started.set()
        await stop.wait()
        server.close()
        if conversations:
            await asyncio.wait(conversations, timeout=10)

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    assert started.wait(10)
    try:
        yield way
    finally:
        loops[0].call_soon_threadsafe(stop.set)
        thread.join()


async def _converse(way: Way, target: int, reader: StreamReader, writer: StreamWriter) -> None:
    try:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", target)
        back = asyncio.create_task(_hand_on(from_server, writer))
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                await _refuse_copy(way, reader, to_server)
        finally:
            to_server.close()
            await back
    finally:
        writer.close()


async def _hand_on(reader: StreamReader, writer: StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()


async def _refuse_copy(way: Way, reader: StreamReader, writer: StreamWriter) -> None:
    kind = b""  # the first message has none
    while True:
        size = await reader.readexactly(4)
        body = await reader.readexactly(struct.unpack("!I", size)[0] - 4)
        if kind in {b"Q", b"P"} and b"COPY (" in body[:20]:
            way.refused += 1
            body = body.replace(b"COPY (", b"KOPY (")
        writer.write(kind + size + body)
        await writer.drain()
        kind = await reader.readexactly(1)
