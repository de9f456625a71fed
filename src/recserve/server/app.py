"""The routes of one service, and the way of one request through it.

    POST|GET /api/predict/<service>[/anything][?query]     score, or describe the model
    GET      /                                             describe the model
    GET      /healthz /readyz /metrics                     for operators, without a token

    POST: head ─▶ 404 405 503 401 413 429 450, whichever applies first, before the body is read
          body ─▶ a worker thread: decode ─▶ processor ─▶ encode

Raw ASGI, no framework: routing is one dict and one prefix. Every error ends in one place, `App._fail`, which
turns the tree of `errors.py` into statuses.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
from dataclasses import asdict, replace
from itertools import count
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, Protocol

from recserve.errors import (
    DeadlineError,
    LoadError,
    MethodNotAllowedError,
    NotFoundError,
    RecserveError,
    TooLargeError,
    UnavailableError,
)
from recserve.observe.logs import Throttle
from recserve.observe.metrics import CONTENT_TYPE as METRICS_CONTENT_TYPE
from recserve.observe.slow_log import SlowLog
from recserve.observe.trace import CPU_SAMPLE, Trace
from recserve.server.error_body import CONTENT_TYPE as TEXT
from recserve.server.error_body import error_body
from recserve.server.protocol import FIRST_BYTE_NS, Limits
from recserve.server.rate_limit import RateLimit
from recserve.wire import compression, tensors, torchrec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, MutableMapping

    from recserve.config.service import Rpc, ServiceSpec
    from recserve.observe.metrics import Metrics
    from recserve.processors.processor import Gauges, Predictor, Processor, Scorer
    from recserve.server.lifecycle import Lifecycle
    from recserve.server.workers import WorkerPool
    from recserve.wire.auth import Authorizer

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    Headers = Mapping[bytes, bytes]

logger = logging.getLogger("recserve.server")

PREDICT = "/api/predict/"
#: A refused request with a body up to this size keeps its connection: reading it is cheaper than a new one.
_DISCARD_BYTES = 64 * 1024
#: How long a client that still sends a refused body may take to notice the answer.
_LINGER_SECONDS = 1.0
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


class ClientGoneError(Exception):
    """The client hung up before its request was complete; there is nobody to answer."""


class Endpoint(Protocol):
    """Bytes in, bytes out: a processor behind its codec."""

    @property
    def processor(self) -> Processor:
        """What answers."""

    def inflate(self, body: bytes) -> bytes:
        """Make a body plain, as the service says, else as its first bytes say."""

    def answer(self, plain: bytes, trace: Trace, deadline: float) -> bytes:
        """Answer one plain request body; called on a worker thread. `deadline` is in monotonic seconds."""

    def sample(self, rows: int) -> bytes:
        """A plain request body for warm-up."""

    def gauges(self) -> Gauges:
        """What codec and processor count."""


def answer_body(endpoint: Endpoint, body: bytes, trace: Trace, deadline: float) -> bytes:
    """Answer a request body as it came; called on a worker thread."""
    trace.begin_work()
    return endpoint.answer(endpoint.inflate(body), trace, deadline)


def inflater(rpc: Rpc) -> Callable[[bytes], bytes]:
    """What makes a body plain: as the service says, else as the first bytes say."""
    if rpc.decompressor == "none":
        return lambda body: body
    return lambda body: compression.inflate(body, rpc.decompressor or None, rpc.max_body_bytes)


class ScoreEndpoint:
    """PBRequest → PBResponse, for processors that take raw features."""

    def __init__(self, processor: Scorer, rpc: Rpc) -> None:
        self.processor = processor
        self._decoder = torchrec.Decoder(processor.schema, fallback=processor.types_if_missing)
        self.inflate = inflater(rpc)

    def answer(self, plain: bytes, trace: Trace, deadline: float) -> bytes:
        """See Endpoint."""
        request = replace(self._decoder.decode(plain), deadline=deadline)
        trace.rows = request.rows
        trace.lap("decode")
        encoded = torchrec.encode(self.processor.score(request, trace))
        trace.lap("encode")
        return encoded

    def sample(self, rows: int) -> bytes:
        """See Endpoint."""
        return torchrec.encode_request(self.processor.sample(rows))

    def gauges(self) -> Gauges:
        """See Endpoint."""
        unparsable = ("Values that did not fit their column's type.", float(self._decoder.unparsable))
        return {"recserve_request_unparsable_values_total": unparsable, **self.processor.gauges()}


class TensorEndpoint:
    """pytorch.eas PredictRequest → PredictResponse, for models that take the client's own tensors."""

    def __init__(self, processor: Predictor, rpc: Rpc) -> None:
        self.processor = processor
        self.inflate = inflater(rpc)

    def answer(self, plain: bytes, trace: Trace, deadline: float) -> bytes:
        """See Endpoint."""
        request = replace(tensors.decode(plain), deadline=deadline)
        trace.lap("decode")
        encoded = tensors.encode(self.processor.predict(request, trace))
        trace.lap("encode")
        return encoded

    def sample(self, rows: int) -> bytes:
        """See Endpoint."""
        return tensors.encode_request(self.processor.sample(rows))

    def gauges(self) -> Gauges:
        """See Endpoint."""
        return self.processor.gauges()


class App:
    """The ASGI application of one service. All methods run on the event loop."""

    def __init__(
        self,
        spec: ServiceSpec,
        *,
        lifecycle: Lifecycle,
        pool: WorkerPool,
        metrics: Metrics,
        authorizer: Authorizer,
    ) -> None:
        rpc = spec.rpc
        self.limits = Limits(
            budget_seconds=rpc.keepalive_ms / 1000,
            max_header_bytes=rpc.max_header_bytes,
            max_message_bytes=2 * rpc.max_body_bytes + rpc.max_header_bytes,
        )
        self.endpoint: Endpoint | None = None  # set when it has answered the warm-up
        self.signature = b""
        self._lifecycle = lifecycle
        self._pool = pool
        self._metrics = metrics
        self._authorizer = authorizer
        self._rate = RateLimit(rpc.rate_limit)
        self._slow_log = SlowLog(spec.model.slow_request_ms)
        self._max_body_bytes = rpc.max_body_bytes
        self._budget_ns = rpc.keepalive_ms * 1_000_000
        self._service = spec.name
        self._path = PREDICT + spec.name
        self._for_operators = {
            "/healthz": self._healthz,
            "/readyz": self._readyz,
            "/metrics": self._show_metrics,
        }
        self._numbers = count()
        self._id_prefix = os.urandom(4).hex()
        self._throttle = Throttle()

    def serve(self, endpoint: Endpoint) -> None:
        """Answer with `endpoint` from now on."""
        signature = endpoint.processor.signature()
        self.signature = json.dumps({"signature_name": "serving_default", **asdict(signature)}).encode()
        self._metrics.info.update(endpoint.processor.info())
        self.endpoint = endpoint

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        assert scope["type"] == "http", "the protocol offers neither lifespan nor websockets"
        path = scope["path"]
        operators = self._for_operators.get(path)
        if operators is not None and scope["method"] in ("GET", "HEAD"):
            await self._send(send, *operators())
            return
        headers: Headers = dict(scope["headers"])
        number = next(self._numbers)
        trace = Trace(
            self._request_id(headers, number),
            scope.get(FIRST_BYTE_NS, 0),
            measure_cpu=number % CPU_SAMPLE == 0,
        )
        exchange = Exchange(trace, scope, headers, receive, send)
        try:
            if scope["method"] == "POST" and path.startswith(self._path):
                await self._predict(exchange)
            else:
                await self._describe(exchange)
        except ClientGoneError:
            self._metrics.refused(499)
        except Exception as error:
            await self._fail(exchange, error)

    async def _predict(self, exchange: Exchange) -> None:
        self._check_route(exchange.scope, ("GET", "POST"))
        endpoint = self._admit(exchange)
        self._rate.take()
        self._pool.check_room()
        body = await self._read_body(exchange)
        trace = exchange.trace
        trace.lap("receive")
        deadline_ns = trace.started_ns + self._budget_ns
        answer = await self._pool.submit(
            answer_body, endpoint, body, trace, deadline_ns / 1e9, deadline=deadline_ns / 1e9
        )
        trace.end_work()
        trace.lap("respond")
        headers = [
            (b"content-type", b"application/octet-stream"),
            (b"server-timing", trace.server_timing().encode()),
        ]
        await self._answer(exchange, 200, answer, headers)
        self._metrics.finished(trace, 200, received=len(body), sent=len(answer))
        self._slow_log.look_at(trace, 200)

    async def _describe(self, exchange: Exchange) -> None:
        """GET on the service: inputs and outputs of the model, as pai-python-sdk reads them."""
        allowed = ("GET",) if exchange.scope["path"] in ("/", *self._for_operators) else ("GET", "POST")
        self._check_route(exchange.scope, allowed)
        self._admit(exchange)
        await self._answer(exchange, 200, self.signature, [(b"content-type", b"application/json")])

    def _check_route(self, scope: Message, allowed: tuple[str, ...]) -> None:
        path, method = scope["path"], scope["method"]
        known = path == self._path or path.startswith(self._path + "/") or path in ("/", *self._for_operators)
        if not known:
            raise NotFoundError(f"no such path: {path}; this server answers {self._path}")
        if method not in allowed:
            raise MethodNotAllowedError(f"not allowed: {method} on {path}; use {' or '.join(allowed)}")

    def _admit(self, exchange: Exchange) -> Endpoint:
        """Refuse what the head of a request is enough to refuse."""
        if self.endpoint is None:
            raise UnavailableError("no healthy upstream")  # the words that clients wait for
        scope = exchange.scope
        query = scope["query_string"]
        target = (scope["raw_path"] + b"?" + query if query else scope["raw_path"]).decode("latin-1")
        self._authorizer.check(scope["method"], target, exchange.text_headers())
        length = exchange.content_length
        if length > self._max_body_bytes:
            raise TooLargeError(
                f"over the limit: a body of {length} bytes; max_body_bytes is {self._max_body_bytes}"
            )
        return self.endpoint

    async def _read_body(self, exchange: Exchange) -> bytes:
        message = await exchange.receive()
        if message["type"] == "http.request" and not message["more_body"]:
            exchange.body_complete = True
            whole: bytes = message["body"]
            if len(whole) > self._max_body_bytes:
                raise TooLargeError(
                    f"over the limit: a body of {len(whole)} bytes; max_body_bytes is {self._max_body_bytes}"
                )
            return whole
        parts, size = [], 0
        deadline_ns = exchange.trace.started_ns + self._budget_ns
        while True:
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            parts.append(message["body"])
            size += len(message["body"])
            if size > self._max_body_bytes:
                raise TooLargeError(f"over the limit: a body over max_body_bytes, {self._max_body_bytes}")
            if not message["more_body"]:
                exchange.body_complete = True
                return b"".join(parts)
            if monotonic_ns() >= deadline_ns:  # the protocol wakes us at the deadline
                raise DeadlineError(f"no time left: {size} bytes of the body arrived within the time budget")
            message = await exchange.receive()

    # --- answers ---

    async def _fail(self, exchange: Exchange, error: Exception) -> None:
        """The one handler: what an error is to the caller, to the metrics and to the log."""
        status, message = self._as_answer(exchange, error)
        trace = exchange.trace
        trace.end_work()
        trace.lap("respond")
        self._metrics.finished(trace, status, received=0, sent=0)
        self._slow_log.look_at(trace, status)
        headers = [(b"content-type", TEXT)]
        if isinstance(error, MethodNotAllowedError):
            headers.append((b"allow", b"GET, POST" if exchange.scope["path"].startswith(PREDICT) else b"GET"))
        close = status in (408, 450)
        if not exchange.body_complete and (
            exchange.content_length > _DISCARD_BYTES or b"transfer-encoding" in exchange.headers
        ):
            close, exchange.linger = True, True
        await self._answer(exchange, status, error_body(message), headers, close=close)

    def _as_answer(self, exchange: Exchange, error: Exception) -> tuple[int, str]:
        """Status and text for the caller; our own failures are logged in full and told without detail."""
        extra = {"request_id": exchange.trace.request_id}
        if isinstance(error, RecserveError) and not isinstance(error, LoadError):
            if error.status == 500:
                logger.error("request failed: %s", error, exc_info=error, extra=extra)
            elif self._throttle.admits():
                logger.info("request refused", extra={**extra, "status": error.status, "reason": str(error)})
            return error.status, str(error)
        logger.error("request failed unexpectedly", exc_info=error, extra=extra)
        return (
            500,
            f"failed inside the server; its log has the details under request id {exchange.trace.request_id}",
        )

    async def _answer(
        self,
        exchange: Exchange,
        status: int,
        body: bytes,
        headers: list[tuple[bytes, bytes]],
        *,
        close: bool = False,
    ) -> None:
        headers.append((b"content-length", str(len(body)).encode()))
        headers.append((b"x-request-id", exchange.trace.request_id.encode()))
        if close or self._lifecycle.draining:
            headers.append((b"connection", b"close"))
        await exchange.send({"type": "http.response.start", "status": status, "headers": headers})
        if exchange.linger:
            await _linger(exchange, body)
        else:
            await exchange.send({"type": "http.response.body", "body": body})

    def refuse(self, status: int, message: str) -> tuple[bytes, bytes]:
        """Count and word the answer to bytes that never became a request (see protocol.py)."""
        self._metrics.refused(status)
        body = error_body(message)
        return b"content-type: %s\r\ncontent-length: %d\r\n" % (TEXT, len(body)), body

    def _request_id(self, headers: Headers, number: int) -> str:
        """The caller's X-Request-Id if it is harmless, else one of ours."""
        given = headers.get(b"x-request-id")
        if given is not None:
            text = given.decode("latin-1")
            if _REQUEST_ID.fullmatch(text):
                return text
        return f"{self._id_prefix}-{number:x}"

    # --- for operators ---

    async def _send(self, send: Send, status: int, content_type: bytes, body: bytes) -> None:
        headers = [(b"content-type", content_type), (b"content-length", str(len(body)).encode())]
        if self._lifecycle.draining:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _healthz(self) -> tuple[int, bytes, bytes]:
        """The process lives: its event loop answers."""
        return 200, TEXT, b"ok\n"

    def _readyz(self) -> tuple[int, bytes, bytes]:
        """New traffic should come here."""
        state = self._lifecycle.state.value
        return (
            (200, TEXT, b"ready\n")
            if self._lifecycle.ready
            else (503, TEXT, error_body(f"not ready: {state}\n"))
        )

    def _show_metrics(self) -> tuple[int, bytes, bytes]:
        return 200, METRICS_CONTENT_TYPE.encode(), self._metrics.render()


class Exchange:
    """One request and what it takes to answer it."""

    __slots__ = ("body_complete", "headers", "linger", "receive", "scope", "send", "trace")

    def __init__(self, trace: Trace, scope: Message, headers: Headers, receive: Receive, send: Send) -> None:
        self.trace = trace
        self.scope = scope
        self.headers = headers
        self.receive = receive
        self.send = send
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
