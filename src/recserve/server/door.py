"""What every port of ours does with a request, whatever it is for: ids, tokens, limits, answers, errors.

    scope ──open──▶ Exchange ──admit──▶ token? length? ──read_body──▶ bytes ──(the application)──▶ answer
                                                                                └── an error ──▶ refuse

The applications (`app.py`, `admin.py`) hold one and keep to what they answer.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from itertools import count
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from recserve.errors import DeadlineError, LoadError, RecserveError, TooLargeError
from recserve.observe.logs import Throttle
from recserve.observe.trace import CPU_SAMPLE, Trace
from recserve.observe.traceparent import trace_parent
from recserve.server.protocol import FIRST_BYTE_NS, Limits

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, MutableMapping

    from recserve.config.rpc import Rpc
    from recserve.server.lifecycle import Lifecycle
    from recserve.wire.auth import Authorizer

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    Headers = Mapping[bytes, bytes]

logger = logging.getLogger("recserve.server")

#: A refused request with a body up to this size keeps its connection: reading it is cheaper than a new one.
_DISCARD_BYTES = 64 * 1024
#: How long a client that still sends a refused body may take to notice the answer.
_LINGER_SECONDS = 1.0
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


class ClientGoneError(Exception):
    """The client hung up before its request was complete; there is nobody to answer."""


class Door:
    """The door of one port. All methods run on the event loop."""

    def __init__(self, rpc: Rpc, *, lifecycle: Lifecycle, authorizer: Authorizer) -> None:
        self.limits = Limits(
            budget_seconds=rpc.keepalive_ms / 1000,
            max_header_bytes=rpc.max_header_bytes,
            max_message_bytes=2 * rpc.max_body_bytes + rpc.max_header_bytes,
        )
        self.budget_ns = rpc.keepalive_ms * 1_000_000
        self._max_body_bytes = rpc.max_body_bytes
        self._lifecycle = lifecycle
        self._authorizer = authorizer
        self._numbers = count()
        self._id_prefix = os.urandom(4).hex()
        self._throttle = Throttle()

    def open(self, scope: Message, receive: Receive, send: Send) -> Exchange:
        """Take a request over."""
        assert scope["type"] == "http", "the protocol offers neither lifespan nor websockets"
        headers: Headers = dict(scope["headers"])
        return Exchange(self.begin(headers, scope.get(FIRST_BYTE_NS, 0)), scope, headers, receive, send)

    def begin(self, headers: Headers, started_ns: int) -> Trace:
        """The trace of a request whose first byte came at `started_ns`; 0: now."""
        number = next(self._numbers)
        trace = Trace(self._request_id(headers, number), started_ns, measure_cpu=number % CPU_SAMPLE == 0)
        if b"traceparent" in headers:
            trace.parent = trace_parent(headers[b"traceparent"])
        return trace

    def admit(self, exchange: Exchange) -> None:
        """Refuse what the head of a request is enough to refuse."""
        scope = exchange.scope
        query = scope["query_string"]
        target = (scope["raw_path"] + b"?" + query if query else scope["raw_path"]).decode("latin-1")
        self._authorizer.check(scope["method"], target, exchange.text_headers())
        length = exchange.content_length
        if length > self._max_body_bytes:
            raise TooLargeError(
                f"over the limit: a body of {length} bytes; max_body_bytes is {self._max_body_bytes}"
            )

    async def read_body(self, exchange: Exchange) -> bytes:
        """Read the whole body, or as much as it takes to see that it is too much or too slow."""
        message = await exchange.receive()
        if message["type"] == "http.request" and not message["more_body"]:
            exchange.body_complete = True
            whole: bytes = message["body"]
            if len(whole) > self._max_body_bytes:
                raise TooLargeError(
                    f"over the limit: a body of {len(whole)} bytes; max_body_bytes is {self._max_body_bytes}"
                )
            exchange.body = whole
            return whole
        parts, size = [], 0
        deadline_ns = exchange.trace.started_ns + self.budget_ns
        while True:
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            parts.append(message["body"])
            size += len(message["body"])
            if size > self._max_body_bytes:
                raise TooLargeError(f"over the limit: a body over max_body_bytes, {self._max_body_bytes}")
            if not message["more_body"]:
                exchange.body_complete = True
                exchange.body = b"".join(parts)
                return exchange.body
            if monotonic_ns() >= deadline_ns:  # the protocol wakes us at the deadline
                raise DeadlineError(f"no time left: {size} bytes of the body arrived within the time budget")
            message = await exchange.receive()

    def as_answer(self, trace: Trace, error: Exception) -> tuple[int, str]:
        """Status and text for the caller; our own failures are logged in full and told without detail."""
        extra = trace.ids()
        if isinstance(error, RecserveError) and not isinstance(error, LoadError):
            if error.status == 500:
                logger.error("request failed: %s", error, exc_info=error, extra=extra)
            elif self._throttle.admits():
                logger.info("request refused", extra={**extra, "status": error.status, "reason": str(error)})
            return error.status, str(error)
        logger.error("request failed unexpectedly", exc_info=error, extra=extra)
        return 500, f"failed inside the server; its log has the details under request id {trace.request_id}"

    async def refuse(
        self,
        exchange: Exchange,
        status: int,
        worded: tuple[bytes, bytes],
        headers: list[tuple[bytes, bytes]],
    ) -> None:
        """Answer an error, worded as content type and body, and get rid of what is left of the request."""
        close = status == 408  # not 450 or 429: under overload a new connection costs more than they do
        if not exchange.body_complete and (
            exchange.content_length > _DISCARD_BYTES or b"transfer-encoding" in exchange.headers
        ):
            close, exchange.linger = True, True
        content_type, body = worded
        headers.append((b"content-type", content_type))
        await self.answer(exchange, status, body, headers, close=close)

    async def answer(
        self,
        exchange: Exchange,
        status: int,
        body: bytes,
        headers: list[tuple[bytes, bytes]],
        *,
        close: bool = False,
    ) -> None:
        """Send a whole answer; `headers` are those that only it has."""
        headers.append((b"content-length", str(len(body)).encode()))
        trace = exchange.trace
        headers.append((b"x-request-id", trace.request_id.encode()))
        if trace.parent is not None:
            headers.append((b"traceparent", trace.parent.header()))
        if close or self._lifecycle.draining:
            headers.append((b"connection", b"close"))
        await exchange.send({"type": "http.response.start", "status": status, "headers": headers})
        if exchange.linger:
            await _linger(exchange, body)
        else:
            await exchange.send({"type": "http.response.body", "body": body})

    def _request_id(self, headers: Headers, number: int) -> str:
        """The caller's X-Request-Id if it is harmless, else one of ours."""
        given = headers.get(b"x-request-id")
        if given is not None:
            text = given.decode("latin-1")
            if _REQUEST_ID.fullmatch(text):
                return text
        return f"{self._id_prefix}-{number:x}"


class Exchange:
    """One request and what it takes to answer it."""

    __slots__ = (
        "answer_headers",
        "body",
        "body_complete",
        "headers",
        "linger",
        "receive",
        "scope",
        "send",
        "trace",
    )

    def __init__(self, trace: Trace, scope: Message, headers: Headers, receive: Receive, send: Send) -> None:
        self.trace = trace
        self.scope = scope
        self.headers = headers
        self.receive = receive
        self.send = send
        self.body = b""  # once it is complete, for those who keep requests
        self.answer_headers: tuple[tuple[bytes, bytes], ...] = ()  # in place of the door's content type
        self.body_complete = False  # nothing of the request is left to read
        self.linger = False  # the client is still sending: see _linger

    @property
    def content_length(self) -> int:
        """As announced; the parser has refused what is no number."""
        return int(self.headers.get(b"content-length", b"0"))

    def text_headers(self) -> dict[str, str]:
        """Headers for the authorizer; names are in lower case, blanks around values do not count."""
        return {
            name.decode("latin-1"): value.decode("latin-1").strip() for name, value in self.headers.items()
        }


async def _linger(exchange: Exchange, body: bytes) -> None:
    """Send an answer, and go on discarding the request for a moment before the connection is closed.

    Closing at once would make the kernel send a reset, which destroys the answer before a client that is busy
    sending has read it.
    """
    await exchange.send({"type": "http.response.body", "body": body, "more_body": True})
    try:
        async with asyncio.timeout(_LINGER_SECONDS):
            while (await exchange.receive()).get("more_body"):
                pass
    except TimeoutError:
        pass
    await exchange.send({"type": "http.response.body", "body": b""})
