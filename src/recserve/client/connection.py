"""One kept HTTP/1.1 connection on raw sockets: bytes out, status back, as little work as possible.

The load generator shares a machine with the server that it measures, so it encodes requests beforehand and
parses answers in C (httptools).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, cast
from urllib.parse import urlsplit

import httptools

from recserve.errors import RequestError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Address:
    """Where requests go to: the parts of a URL."""

    host: str
    port: int
    target: str  # path and query
    tls: bool = False

    @classmethod
    def parse(cls, url: str) -> Address:
        """Split an http:// or https:// URL."""
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise RequestError(
                f"'{url}' is not the URL of a service; write http://host:port/api/predict/<name>"
            )
        tls = parts.scheme == "https"
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return cls(parts.hostname, parts.port or (443 if tls else 80), target, tls)

    def encode(self, body: bytes, headers: Mapping[str, str], method: str = "POST") -> bytes:
        """The whole request, ready to be written."""
        lines = [
            f"{method} {self.target} HTTP/1.1",
            f"Host: [{self.host}]:{self.port}" if ":" in self.host else f"Host: {self.host}:{self.port}",
            f"Content-Length: {len(body)}",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


class Connection(asyncio.Protocol):
    """One request at a time; `ask` gives the status of the answer once it is complete."""

    def __init__(self) -> None:
        self.usable = True  # false once the server closed, or said that it will
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[int] | None = None
        self._parser = httptools.HttpResponseParser(self)

    @classmethod
    async def open(cls, address: Address, tls: ssl.SSLContext | None = None) -> Self:
        """Connect; raises OSError as the system names it."""
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_connection(
            cls, address.host, address.port, ssl=(tls or True) if address.tls else None
        )
        return protocol

    async def ask(self, request: bytes) -> int:
        """Write an encoded request and wait for its answer; ConnectionError if it does not come whole."""
        assert self._transport is not None  # open() connected
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        """Drop the connection at once."""
        self.usable = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(ConnectionError(f"the answer is not HTTP: {error}"))
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        self.usable = False
        self._fail(ConnectionError("the server closed the connection before its answer was complete"))

    def on_message_complete(self) -> None:
        """Called by httptools at the end of an answer."""
        self.usable = self.usable and self._parser.should_keep_alive()
        status = self._parser.get_status_code()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(status)

    def _fail(self, error: ConnectionError) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)


class ReadingConnection(Connection):
    """A connection that keeps what an answer says: `headers` by their usual names, and `body`."""

    def __init__(self) -> None:
        super().__init__()
        self.headers: dict[str, str] = {}
        self._parts: list[bytes] = []

    @property
    def body(self) -> bytes:
        """The body of the last answer."""
        return b"".join(self._parts)

    def on_message_begin(self) -> None:
        """Called by httptools."""
        self.headers, self._parts = {}, []

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by httptools."""
        self.headers[name.decode("latin-1").title()] = value.decode("latin-1")

    def on_body(self, data: bytes) -> None:
        """Called by httptools."""
        self._parts.append(data)
