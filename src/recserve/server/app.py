"""The routes of one service, and the way of one request through it.

    POST|GET /api/predict/<service>[/anything][?query]     score, or describe the model
    GET      /                                             describe the model
    GET      /healthz /readyz /metrics                     for operators, without a token (operators.py)
    GET      <discovery>/<service>                         who serves, without a token (discovery.py)

    POST: head ─▶ 404 405 503 401 413 429 450, whichever applies first, before the body is read
          body ─▶ a worker thread: decode ─▶ processor ─▶ encode   (scoring.py)

Raw ASGI, no framework: routes are a table (routes.py). Every error ends in one place, `App._fail`, which
turns the tree of `errors.py` into statuses.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from recserve.errors import MethodNotAllowedError, UnavailableError
from recserve.observe.slow_log import SlowLog
from recserve.server.discovery import Discovery
from recserve.server.door import ClientGoneError, Door
from recserve.server.error_body import CONTENT_TYPE as TEXT
from recserve.server.error_body import error_body
from recserve.server.operators import JSON, Operators
from recserve.server.rate_limit import RateLimit
from recserve.server.routes import Dialect, Route, Routes
from recserve.server.scoring import Scoring, Workplace

if TYPE_CHECKING:
    from recserve.config.service import ServiceSpec
    from recserve.observe.metrics import Metrics
    from recserve.server.captures import KeptRequests
    from recserve.server.door import Exchange, Message, Receive, Send
    from recserve.server.endpoint import Endpoint
    from recserve.server.lifecycle import Lifecycle
    from recserve.server.together import SharedCalls
    from recserve.server.workers import WorkerPool
    from recserve.wire.auth import Authorizer

PREDICT = "/api/predict/"
#: What every path speaks that no door claims; see error_body.py.
PLAIN = Dialect("predict", "", lambda exchange, status, message: (TEXT, error_body(message)))


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
        kept: KeptRequests,
    ) -> None:
        self.door = Door(spec.rpc, lifecycle=lifecycle, authorizer=authorizer)
        self.limits = self.door.limits
        self.signature = b""
        self.watermark = b""  # of the items, for answers; somebody else keeps it right
        self._scoring: Scoring | None = None
        self._metrics = metrics
        self._kept = kept
        self._workplace = Workplace(
            pool=pool,
            rate=RateLimit(spec.rpc.rate_limit),
            metrics=metrics,
            slow_log=SlowLog(spec.model.slow_request_ms),
        )
        self._dialects: tuple[Dialect, ...] = ()
        self.operators = Operators(self.door, lifecycle=lifecycle, metrics=metrics)
        home = PREDICT + spec.name
        self._routes = Routes(
            home,
            (
                Route(home, {"GET": self._describe, "POST": self._predict}, below=True),
                Route("/", {"GET": self._describe}),
                *self.operators.routes(),
                *Discovery(spec, self.door, lifecycle).routes(),
            ),
        )

    def serve(self, endpoint: Endpoint, *, shared: SharedCalls | None = None) -> None:
        """Answer with `endpoint`, which has answered the warm-up, from now on; `shared`: several at once."""
        signature = endpoint.processor.signature()
        self.signature = json.dumps({"signature_name": "serving_default", **asdict(signature)}).encode()
        self._metrics.info.update(endpoint.processor.info())
        self._scoring = Scoring(endpoint, self._workplace, shared=shared)

    @property
    def endpoint(self) -> Endpoint | None:
        """What answers predictions; None while there is nothing that could."""
        return self._scoring.endpoint if self._scoring is not None else None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        exchange = self.door.open(scope, receive, send)
        try:
            route = self._routes.find(scope["path"])
            handler = route.handler(scope["method"])
            if route.token:
                self._admit(exchange)
            await handler(exchange)
        except ClientGoneError:
            self._metrics.refused(499)
        except Exception as error:
            await self._fail(exchange, error)

    async def _predict(self, exchange: Exchange) -> None:
        scoring = self._scoring
        assert scoring is not None  # see _admit
        scoring.check_room()
        body = await self.door.read_body(exchange)
        trace = exchange.trace
        trace.lap("receive")
        answer = await scoring.answer(body, trace, (trace.started_ns + self.door.budget_ns) / 1e9)
        trace.end_work()
        trace.lap("respond")
        headers = [
            (b"content-type", b"application/octet-stream"),
            (b"server-timing", trace.server_timing().encode()),
        ]
        if self.watermark:
            headers.append((b"x-recserve-item-watermark", self.watermark))
        await self.door.answer(exchange, 200, answer, headers)
        self._workplace.finished(trace, 200, door=PLAIN.door, received=len(body), sent=len(answer))
        self._kept.look_at(trace, body, 200)

    async def _describe(self, exchange: Exchange) -> None:
        """GET on the service: inputs and outputs of the model, as pai-python-sdk reads them."""
        await self.door.answer(exchange, 200, self.signature, [(b"content-type", JSON)])

    def _admit(self, exchange: Exchange) -> None:
        """Refuse what the head of a request is enough to refuse."""
        if self._scoring is None:
            raise UnavailableError("no healthy upstream")  # the words that clients wait for
        self.door.admit(exchange)

    # --- answers ---

    async def _fail(self, exchange: Exchange, error: Exception) -> None:
        """The one handler: what an error is to the caller, to the metrics and to the log."""
        status, message = self.door.as_answer(exchange, error)
        trace = exchange.trace
        trace.end_work()
        trace.lap("respond")
        path: str = exchange.scope["path"]
        dialect = next((d for d in self._dialects if path.startswith(d.prefix)), PLAIN)
        self._workplace.finished(trace, status, door=dialect.door, received=0, sent=0)
        if dialect is PLAIN:
            self._kept.look_at(trace, exchange.body, status)
        headers: list[tuple[bytes, bytes]] = []
        if isinstance(error, MethodNotAllowedError):
            headers.append((b"allow", self._routes.find(path).allow))
        await self.door.refuse(exchange, status, dialect.refuse(exchange, status, message), headers)

    def refuse(self, status: int, message: str) -> tuple[bytes, bytes]:
        """Count and word the answer to bytes that never became a request (see protocol.py)."""
        self._metrics.refused(status)
        body = error_body(message)
        return b"content-type: %s\r\ncontent-length: %d\r\n" % (TEXT, len(body)), body
