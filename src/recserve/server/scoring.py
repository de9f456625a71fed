"""What answers the bodies of one door: the same limits, workers and counts for all of them.

    check_room ─▶ (the door reads the body) ─▶ Scoring.answer ─▶ a worker thread ─▶ finished
     429 450                                    with_users.py if users are looked up

A door brings an endpoint, which knows its codec; the rest is here, so that no door is a way around a limit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from recserve.server.endpoint import answer_body
from recserve.server.with_users import with_users

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from recserve.observe.metrics import Metrics
    from recserve.observe.slow_log import SlowLog
    from recserve.observe.spans import Spans
    from recserve.observe.trace import Trace
    from recserve.server.captures import KeptRequests
    from recserve.server.endpoint import Endpoint
    from recserve.server.rate_limit import RateLimit
    from recserve.server.together import SharedCalls
    from recserve.server.with_users import WithUsers
    from recserve.server.workers import WorkerPool

T = TypeVar("T")


class Workplace:
    """What all doors of a service share; see their modules."""

    __slots__ = ("kept", "metrics", "pool", "rate", "shared", "slow_log", "spans")

    def __init__(
        self,
        *,
        pool: WorkerPool,
        rate: RateLimit,
        metrics: Metrics,
        slow_log: SlowLog,
        kept: KeptRequests,
    ) -> None:
        self.pool = pool
        self.rate = rate
        self.metrics = metrics
        self.slow_log = slow_log
        self.kept = kept
        self.spans: Spans | None = None  # where requests are traced
        self.shared: SharedCalls | None = None  # once the service is ready

    def check_room(self) -> None:
        """Let a request in, or raise RateLimitError or QueueFullError."""
        self.rate.take()
        self.pool.check_room()

    def finished(self, trace: Trace, status: int, *, door: str, received: int, sent: int) -> None:
        """Count and watch a request that has been answered, whatever the answer."""
        self.metrics.finished(trace, status, door=door, received=received, sent=sent)
        self.slow_log.look_at(trace, status)
        if self.spans is not None:
            self.spans.finished(trace, status, door)


class Scoring:
    """Answers with one endpoint. All methods run on the event loop."""

    def __init__(
        self, endpoint: Endpoint, workplace: Workplace, *, shared: SharedCalls | None = None
    ) -> None:
        self.endpoint = endpoint
        self._together = shared.answer if shared is not None else None  # one object: jobs are told by it
        self._pool = workplace.pool
        self._users: WithUsers | None = with_users(endpoint, workplace.pool)

    def submit(self, work: Callable[..., T], *arguments: Any, deadline: float) -> Awaitable[T]:
        """Call `work` on a worker; the way of a door that does not only take bytes and give bytes."""
        return self._pool.submit(work, *arguments, deadline=deadline)

    def answer(self, body: bytes, trace: Trace, deadline: float) -> Awaitable[bytes]:
        """Answer a body as it came, on a worker; `deadline` is in monotonic seconds."""
        if self._users is None:
            call = (self.endpoint, body, trace, deadline)
            return self._pool.submit(answer_body, *call, deadline=deadline, together=self._together)
        return self._users.answer(body, trace, deadline)
