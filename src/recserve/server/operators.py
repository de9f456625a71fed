"""What operators and their balancers ask, without a token: `/healthz`, `/readyz`, `/metrics`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from recserve.observe.metrics import CONTENT_TYPE as METRICS_CONTENT_TYPE
from recserve.server.error_body import CONTENT_TYPE as TEXT
from recserve.server.error_body import error_body
from recserve.server.routes import Route

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from recserve.observe.metrics import Metrics
    from recserve.server.door import Door, Exchange
    from recserve.server.lifecycle import Lifecycle
    from recserve.server.progress import WatchedProgress
    from recserve.server.routes import Handler

    #: status, content type, body
    Told = tuple[int, bytes, bytes]

JSON = b"application/json"


class Operators:
    """Answers for the process, whatever state it is in."""

    def __init__(self, door: Door, *, lifecycle: Lifecycle, metrics: Metrics) -> None:
        self.progress: WatchedProgress | None = None  # while it loads
        self._door = door
        self._lifecycle = lifecycle
        self._metrics = metrics

    def routes(self) -> Iterator[Route]:
        """See routes.py."""
        for path, tell in (
            ("/healthz", self._healthz),
            ("/readyz", self._readyz),
            ("/metrics", self._show_metrics),
        ):
            handler = self._telling(tell)
            yield Route(path, {"GET": handler, "HEAD": handler}, token=False)

    def _telling(self, tell: Callable[[Exchange], Told]) -> Handler:
        async def handler(exchange: Exchange) -> None:
            status, content_type, body = tell(exchange)
            await self._door.answer(exchange, status, body, [(b"content-type", content_type)])

        return handler

    def _healthz(self, exchange: Exchange) -> Told:
        """The process lives: its event loop answers."""
        return 200, TEXT, b"ok\n"

    def _readyz(self, exchange: Exchange) -> Told:
        """Whether new traffic should come here; while it loads, how far that is, and then, what serves."""
        ready, state = self._lifecycle.ready, self._lifecycle.state.value
        stage = self.progress.now() if self.progress is not None and not self._lifecycle.draining else None
        if exchange.headers.get(b"accept") == JSON:
            served = {"serves": dict(self._metrics.describe())} if ready else {}
            figures = {"ready": ready, "state": state, **served, **(stage.as_json() if stage else {})}
            return 200 if ready else 503, JSON, json.dumps(figures).encode()
        if ready:
            return 200, TEXT, b"ready\n"
        return 503, TEXT, error_body(f"not ready: {stage.in_words() if stage else state}\n")

    def _show_metrics(self, exchange: Exchange) -> Told:
        return 200, METRICS_CONTENT_TYPE.encode(), self._metrics.render()
