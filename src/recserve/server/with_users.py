"""The way of a request whose user the server looks up (`fs_user_entity`): there and back again.

    worker: decode ──▶ event loop: await the user's features ──▶ worker: score, encode

Waiting takes no worker. What the request itself sends wins; a user that is unknown or comes too late is
missing features, never an error. Services without the option do not pass here.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Protocol, cast

from recserve.columns import to_arrow
from recserve.errors import DeadlineError
from recserve.server.endpoint import Endpoint

if TYPE_CHECKING:
    from recserve.messages import ScoreRequest
    from recserve.observe.trace import Trace
    from recserve.processors.processor import Scorer, UserLookUp
    from recserve.server.workers import WorkerPool


def with_users(endpoint: Endpoint, pool: WorkerPool) -> WithUsers | None:
    """The way of such requests; None for a service that looks nobody up."""
    if endpoint.processor.answers != "features":
        return None
    halves = cast("Halves", endpoint)
    users = halves.processor.users
    return None if users is None else WithUsers(halves, users, pool)


class Halves(Endpoint, Protocol):
    """An endpoint of a service with feature generation: it reads and replies in two steps."""

    @property
    def processor(self) -> Scorer:
        """What scores."""

    def read(self, plain: bytes, trace: Trace, deadline: float) -> ScoreRequest:
        """Decode a plain request body."""

    def reply(self, request: ScoreRequest, trace: Trace) -> bytes:
        """Score what was read, and encode the scores."""


class WithUsers:
    """Answers requests after their user has been looked up."""

    def __init__(self, endpoint: Halves, users: UserLookUp, pool: WorkerPool) -> None:
        self._endpoint = endpoint
        self._users = users
        self._pool = pool

    async def answer(self, body: bytes, trace: Trace, deadline: float) -> bytes:
        """Answer a request body as it came; `deadline` is in monotonic seconds."""
        request = await self._pool.submit(self._read, body, trace, deadline, deadline=deadline)
        trace.end_work()
        request = await self._completed(request, deadline)
        trace.lap("look_up_user")
        return await self._pool.submit(self._reply, request, trace, deadline=deadline)

    def _read(self, body: bytes, trace: Trace, deadline: float) -> ScoreRequest:
        trace.begin_work()
        return self._endpoint.read(self._endpoint.inflate(body), trace, deadline)

    def _reply(self, request: ScoreRequest, trace: Trace) -> bytes:
        trace.begin_work()
        return self._endpoint.reply(request, trace)

    async def _completed(self, request: ScoreRequest, deadline: float) -> ScoreRequest:
        user_id = self._user_id(request)
        if not user_id:
            return request
        # It has a time limit of its own; the budget of the request may be shorter.
        budget = asyncio.timeout(max(0.0, deadline - monotonic()))
        try:
            async with budget:
                found = await self._users.look_up(user_id)
        except TimeoutError:
            if budget.expired():  # timers are a millisecond coarse, so it need not be the deadline yet
                raise DeadlineError("no time left: the user's features did not come in time") from None
            return request
        return replace(request, user=self._users.completed(request.user, found))

    def _user_id(self, request: ScoreRequest) -> str:
        if self._users.key not in request.user:
            return ""
        try:
            (sent,) = to_arrow(request.user[self._users.key]).to_pylist()
        except UnicodeDecodeError:  # nobody is called that
            return ""
        if isinstance(sent, list):  # a list of one is how some clients send a value
            sent = sent[0] if len(sent) == 1 else None
        return str(sent) if isinstance(sent, (str, int)) else ""
