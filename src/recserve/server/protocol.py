"""HTTP/1.1 as recserve wants it: uvicorn's httptools protocol, with the limits that it lacks.

    connected ─▶ idle ──first byte──▶ receiving ──last byte──▶ answering ──▶ idle …
                  │                       │
           keep-alive: close       budget_seconds since the first byte: 408 and close
                                   max_header_bytes: 431 and close

The application finds the first byte's time in `scope[FIRST_BYTE_NS]` and owns what happens from the last byte
on. A request that arrives whole, as nearly all do, sets no timer. HTTP/1.0 is answered too, one request per
connection; offers to upgrade (h2c, websocket) are ignored, as HTTP allows.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, Protocol, cast

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

if TYPE_CHECKING:
    import asyncio

#: Key of the scope: `time.monotonic_ns()` at the first byte of the request.
FIRST_BYTE_NS = "recserve.first_byte_ns"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one connection may take."""

    budget_seconds: float  # for a whole request, from its first byte
    max_header_bytes: int  # request line and headers
    max_message_bytes: int  # a request with all its framing: a backstop, the application knows its body limit
    header_seconds: float = 10.0  # for the head of a request, within its budget
    flush_seconds: float = 10.0  # for a client to take its last answer before the connection is cut


class Application(Protocol):
    """What a connection asks of the application, beside being one."""

    limits: Limits

    def refuse(self, status: int, message: str) -> tuple[bytes, bytes]:
        """Count a request that never came to be; returns its header lines and its body."""


class OneWrite:
    """A transport that gives the head and the body of an answer to the kernel together.

    uvicorn writes them one after the other, and uvloop sends each at once: a second system call, and a second
    time that the client wakes up. Together they are a third of what HTTP costs.
    """

    __slots__ = ("_head", "_transport", "begun")

    def __init__(self, transport: asyncio.Transport) -> None:
        self.begun = False  # the head of the current answer has been written
        self._head = b""
        self._transport = transport

    def write(self, data: bytes) -> None:
        """Send, or keep the head until the first piece of the body."""
        if self._head:
            self._transport.writelines((self._head, data))
            self._head = b""
        elif self.begun or data.startswith(b"HTTP/1.1 100 "):
            self._transport.write(data)
        else:
            self.begun = True
            self._head = data

    def finish(self) -> None:
        """Send a head that no body followed; the next write begins another answer."""
        if self._head:
            self._transport.write(self._head)
            self._head = b""
        self.begun = False

    def close(self) -> None:
        """Close when everything is sent."""
        self.finish()
        self._transport.close()

    def is_closing(self) -> bool:
        """See asyncio.Transport."""
        return self._transport.is_closing()


class Connection(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.application = cast("Application", self.app)
        self.limits = self.application.limits
        self.first_byte_ns = 0  # of the request that is being received
        self.receiving = False  # between the first and the last byte of a request
        self.head_complete = False
        self.received_bytes = 0  # since the last request ended, framing included
        self.refusal: tuple[int, str] | None = None
        self.receive_timer: asyncio.TimerHandle | None = None
        self.flush_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start as an idle connection: one that never sends a byte is closed like any other."""
        super().connection_made(transport)
        self.answers = OneWrite(transport)
        self._start_idle_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers."""
        self._unset_keepalive_if_required()
        self._stop_receive_timer()
        if self.flush_timer is not None:
            self.flush_timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse; what is still incomplete afterwards gets a time limit."""
        if self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        self.received_bytes += len(data)
        self._parse(data)
        if self.transport.is_closing():
            return
        if self.received_bytes > self.limits.max_message_bytes:
            self.refusal = (
                413,
                f"over the limit: more than {self.limits.max_message_bytes} bytes in one request",
            )
            self.send_400_response("")
        elif self.receiving:
            self._watch_receiving()
        elif self.timeout_keep_alive_task is None and (self.cycle is None or self.cycle.response_complete):
            self._start_idle_timer()  # stray bytes between two requests do not make a connection immortal

    def _parse(self, data: bytes) -> None:
        while data:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                if self.parser.get_method() == b"CONNECT":
                    self.send_400_response("")
                    return
                # The parser takes what follows for another protocol. We ignore the offer, as HTTP allows: the
                # request is parsed again without it. Java's HttpClient offers h2c with every first request.
                data = self._head_without_offer() + data[upgrade.args[0] :]
            except httptools.HttpParserError:
                self.send_400_response("")
                return

    def _head_without_offer(self) -> bytes:
        lines = [b"%s %s HTTP/1.1" % (self.parser.get_method(), self.url)]
        lines += [
            b"%s: %s" % header for header in self.headers if header[0] not in (b"connection", b"upgrade")
        ]
        return b"\r\n".join((*lines, b"", b""))

    # --- called by the parser ---

    def on_message_begin(self) -> None:
        """Note the first byte."""
        super().on_message_begin()
        if not self.receiving:
            self.first_byte_ns = monotonic_ns()
        cast("dict[str, Any]", self.scope)[FIRST_BYTE_NS] = self.first_byte_ns
        self.receiving = True
        self.head_complete = False

    def on_headers_complete(self) -> None:
        """Refuse a head that is too big; start the application otherwise."""
        # Looked at only when enough bytes came for it to be possible.
        if self.received_bytes > self.limits.max_header_bytes:
            head = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if head > self.limits.max_header_bytes:
                self._refuse_head()
                raise ValueError("the head is too big")  # ends the parsing; see send_400_response
        if self.parser.should_upgrade():
            return  # see _parse
        self.head_complete = True
        self._stop_receive_timer()
        super().on_headers_complete()
        self.cycle.transport = cast("asyncio.Transport", self.answers)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; trailers, which nobody reads, are dropped."""
        if not self.head_complete:
            super().on_header(name, value)

    def on_message_complete(self) -> None:
        """Note the last byte."""
        if self.parser.should_upgrade():
            return  # see _parse
        self.receiving = False
        self.received_bytes = 0
        self._stop_receive_timer()
        super().on_message_complete()

    # --- limits ---

    def _watch_receiving(self) -> None:
        if not self.head_complete and self.received_bytes > self.limits.max_header_bytes:
            self._refuse_head()
            self.send_400_response("")
        elif self.receive_timer is None:
            self._start_receive_timer()

    def _start_receive_timer(self) -> None:
        # The loop's clock counts milliseconds: without one more it could go off before its time.
        self.receive_timer = self.loop.call_later(self._seconds_left() + 0.001, self._receive_late)

    def _seconds_left(self) -> float:
        seconds = self.limits.budget_seconds
        if not self.head_complete:
            seconds = min(seconds, self.limits.header_seconds)
        return max(0.0, seconds - (monotonic_ns() - self.first_byte_ns) / 1e9)

    def _receive_late(self) -> None:
        self.receive_timer = None
        if self.transport.is_closing():
            return
        if self._seconds_left() > 0:
            self._start_receive_timer()  # whoever is woken up early would go on waiting for ever
        elif self.head_complete and not self.cycle.response_complete:
            # The application waits for more of the body: it sees the time and answers 408 itself.
            self.cycle.message_event.set()
        elif self.head_complete:
            self._close()  # it has answered already, and the rest of the body does not come
        elif self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False  # the answer before this half of a request is the last one
        else:
            self.refusal = (408, "no time left: the head of the request did not arrive in time")
            self.send_400_response("")

    def _refuse_head(self) -> None:
        limit = self.limits.max_header_bytes
        self.refusal = (431, f"over the limit: request line and headers have more than {limit} bytes")

    def send_400_response(self, msg: str) -> None:
        """Answer what never becomes a request, and close: with `self.refusal`, or as malformed."""
        status, message = self.refusal or (400, "failed to parse the HTTP request")
        if self.cycle is not None and not self.cycle.response_complete:
            if self.pipeline or not self.cycle.more_body:
                # Bytes written now would be read as the answer to an earlier request: that one is the last.
                self.cycle.keep_alive = False
                self.flow.pause_reading()
                return
            self.cycle.disconnected = True  # the application waits for a body that cannot come
            self.cycle.message_event.set()
        headers, body = self.application.refuse(status, message)
        date = b"".join(b"%s: %s\r\n" % header for header in self.server_state.default_headers)
        self.transport.write(
            b"".join((STATUS_LINE[status], date, headers, b"connection: close\r\n\r\n", body))
        )
        self._close()

    def on_response_complete(self) -> None:
        """Go on with the next request; a connection that closes is cut if the client does not read."""
        self.answers.finish()
        super().on_response_complete()
        if self.transport.is_closing():
            self._close()

    def shutdown(self) -> None:
        """Close if idle; a request that has begun to arrive is still answered."""
        if not self.receiving:
            super().shutdown()
        elif self.head_complete:
            self.cycle.keep_alive = False

    def _stop_receive_timer(self) -> None:
        if self.receive_timer is not None:
            self.receive_timer.cancel()
            self.receive_timer = None

    def _start_idle_timer(self) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection."""
        self.timeout_keep_alive_task = None
        self._close()

    def _close(self) -> None:
        """Close once the client has taken what was written, or without that if it never does."""
        self._stop_receive_timer()
        self.transport.close()
        if self.flush_timer is None:
            self.flush_timer = self.loop.call_later(self.limits.flush_seconds, self.transport.abort)
