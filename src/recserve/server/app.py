"""The routes of one service, and the way of one request through it.

    POST|GET /api/predict/<service>[/anything][?query]     score, or describe the model; so do <group> and
                                                           <group>.<service> in its place
    GET      /                                             describe the model
    POST     /v1/score/<service>, /v2/models/<service>/infer   other doors (dialect.py)
    GET      /openapi.json /docs                           the JSON door, described and to try (pages.py)
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
from functools import partial
from typing import TYPE_CHECKING

from recserve.errors import MethodNotAllowedError, UnavailableError
from recserve.observe.slow_log import SlowLog
from recserve.server.dialect import Dialect, Predict
from recserve.server.discovery import Discovery
from recserve.server.door import ClientGoneError, Door
from recserve.server.error_body import CONTENT_TYPE as TEXT
from recserve.server.error_body import error_body
from recserve.server.json_scores import JsonScores
from recserve.server.open_inference import OpenInference
from recserve.server.operators import JSON, Operators
from recserve.server.pages import Pages
from recserve.server.rate_limit import RateLimit
from recserve.server.routes import Routes
from recserve.server.scoring import Workplace

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
        self._metrics = metrics
        self.workplace = Workplace(
            pool=pool,
            rate=RateLimit(spec.rpc.rate_limit),
            metrics=metrics,
            slow_log=SlowLog(spec.model.slow_request_ms),
            kept=kept,
        )
        self.operators = Operators(self.door, lifecycle=lifecycle, metrics=metrics)
        self._predict = Predict(spec.name, self._describe, group=spec.group)
        #: The first whose prefix fits words what is refused.
        self._dialects: tuple[Dialect, ...] = (
            JsonScores(spec.name),
            OpenInference(spec.name, self.door, lifecycle),
            self._predict,
        )
        self._pages = Pages(spec.name, self.door, needs_token=bool(spec.tokens))
        self._routes = Routes(
            self._predict.path,
            (
                *(route for door in self._dialects for route in door.routes(partial(self._score, door))),
                *self.operators.routes(),
                *self._pages.routes(),
                *Discovery(spec, self.door, lifecycle).routes(),
            ),
        )

    def serve(self, endpoint: Endpoint, *, shared: SharedCalls | None = None) -> None:
        """Answer with `endpoint`, which has answered the warm-up, from now on; `shared`: several at once."""
        signature = endpoint.processor.signature()
        self.signature = json.dumps({"signature_name": "serving_default", **asdict(signature)}).encode()
        self._metrics.describe = endpoint.processor.info
        self.workplace.shared = shared
        self._pages.serve(endpoint.processor)
        for door in self._dialects:
            door.serve(endpoint, self.workplace)

    @property
    def endpoint(self) -> Endpoint | None:
        """What answers predictions; None while there is nothing that could."""
        scoring = self._predict.scoring
        return scoring.endpoint if scoring is not None else None

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

    async def _score(self, door: Dialect, exchange: Exchange) -> None:
        self.workplace.check_room()
        body = await self.door.read_body(exchange)
        trace = exchange.trace
        trace.lap("receive")
        answer = await door.answer(exchange, body, (trace.started_ns + self.door.budget_ns) / 1e9)
        trace.end_work()
        trace.lap("respond")
        headers = [
            (b"content-type", door.content_type),
            (b"server-timing", trace.server_timing().encode()),
        ]
        if exchange.answer_headers:
            headers[:1] = exchange.answer_headers
        if self.watermark:
            headers.append((b"x-recserve-item-watermark", self.watermark))
        await self.door.answer(exchange, 200, answer, headers)
        self.workplace.finished(trace, 200, door=door.name, received=len(body), sent=len(answer))
        if door.keeps:
            self.workplace.kept.look_at(trace, body, 200, door.message)

    async def _describe(self, exchange: Exchange) -> None:
        """GET on the service: inputs and outputs of the model, as pai-python-sdk reads them."""
        await self.door.answer(exchange, 200, self.signature, [(b"content-type", JSON)])

    def _admit(self, exchange: Exchange) -> None:
        """Refuse what the head of a request is enough to refuse."""
        if self._predict.scoring is None:
            raise UnavailableError("no healthy upstream")  # the words that clients wait for
        self.door.admit(exchange)

    # --- answers ---

    async def _fail(self, exchange: Exchange, error: Exception) -> None:
        """The one handler: what an error is to the caller, to the metrics and to the log."""
        status, message = self.door.as_answer(exchange.trace, error)
        trace = exchange.trace
        trace.end_work()
        trace.lap("respond")
        path: str = exchange.scope["path"]
        door = next(door for door in self._dialects if path.startswith(door.prefix))
        self.workplace.finished(trace, status, door=door.name, received=0, sent=0)
        if door.keeps:
            self.workplace.kept.look_at(trace, exchange.body, status, door.message)
        headers: list[tuple[bytes, bytes]] = []
        if isinstance(error, MethodNotAllowedError):
            headers.append((b"allow", self._routes.find(path).allow))
        await self.door.refuse(exchange, status, door.refuse(exchange, status, message), headers)

    def refuse(self, status: int, message: str) -> tuple[bytes, bytes]:
        """Count and word the answer to bytes that never became a request (see protocol.py)."""
        self._metrics.refused(status)
        body = error_body(message)
        return b"content-type: %s\r\ncontent-length: %d\r\n" % (TEXT, len(body)), body
