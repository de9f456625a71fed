"""Requests that wait at the same time, answered by one call of the model (`metadata.rpc.batching`).

a worker takes what waits ──read each─┬─▶ debug levels, few or many rows: reply to each ──▶ answers
                                      └─▶ calls of at most max_batch_rows: score_together ──▶ answers
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from recserve.processors.debug import LEVELS, PLAIN
from recserve.processors.normal import Normal
from recserve.processors.together import score_together, try_sharing
from recserve.server.endpoint import ScoreEndpoint
from recserve.wire import torchrec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from recserve.config.rpc import Rpc
    from recserve.messages import ScoreRequest
    from recserve.observe.trace import Trace
    from recserve.processors.processor import Gauges
    from recserve.server.endpoint import Endpoint

    #: The arguments of `answer_body`: endpoint, body, trace, deadline.
    Call = tuple[Endpoint, bytes, Trace, float]
    #: Its place among the calls, and what came of reading it.
    Read = tuple[int, ScoreRequest, Trace]

logger = logging.getLogger("recserve.batching")


def shared_calls(endpoint: Endpoint, rpc: Rpc) -> SharedCalls | None:
    """What answers several requests at once; None where each has a call of its own.

    Runs the model some dozens of times: call it on a worker.
    """
    if not rpc.batching:
        return None
    if not isinstance(endpoint, ScoreEndpoint) or not isinstance(endpoint.processor, Normal):
        logger.warning("no batching: only models with feature generation are batched")
        return None
    normal, tolerance = endpoint.processor, rpc.max_batch_difference
    found = try_sharing(normal, normal.made_up().of, tolerance=tolerance)
    if found.least_rows is None:
        logger.warning(
            f"no batching: scores differ by {found.difference:.1g} when requests share a call of this model; "
            f"rpc.max_batch_difference is {tolerance:g}"
        )
        return None
    logger.info(
        f"batching: requests of {found.least_rows} to {rpc.max_batch_rows} rows share calls of the model",
        extra={"largest_difference": found.difference},
    )
    return SharedCalls(endpoint, normal, least_rows=found.least_rows, most_rows=rpc.max_batch_rows)


class SharedCalls:
    """Answers several requests at once. `answer` is called on worker threads."""

    def __init__(self, endpoint: ScoreEndpoint, normal: Normal, *, least_rows: int, most_rows: int) -> None:
        self._endpoint = endpoint
        self._normal = normal
        self._least_rows = least_rows
        self._most_rows = most_rows
        self._counted = threading.Lock()
        self._calls = 0
        self._requests = 0

    def answer(self, calls: Sequence[Call]) -> list[bytes | Exception]:
        """Answer bodies as they came; an error in the place of an answer is that request's own."""
        answers: list[bytes | Exception] = [b""] * len(calls)
        shared: list[Read] = []
        for place, (_, body, trace, deadline) in enumerate(calls):
            trace.begin_work()
            try:
                request = self._endpoint.read(self._endpoint.inflate(body), trace, deadline)
                if self._shares(request):
                    shared.append((place, request, trace))
                else:
                    answers[place] = self._endpoint.reply(request, trace)
            except Exception as error:  # its caller's; the others go on
                answers[place] = error
            trace.end_work()
        for group in self._groups(shared):
            with self._counted:
                self._calls += 1
                self._requests += len(group)
            requests, traces = [request for _, request, _ in group], [trace for _, _, trace in group]
            for (place, _, trace), scored in zip(
                group, score_together(self._normal, requests, traces), strict=True
            ):
                answers[place] = scored if isinstance(scored, Exception) else torchrec.encode(scored)
                trace.lap("encode")
        return answers

    def gauges(self) -> Gauges:
        """How many requests shared how many calls."""
        return {
            "recserve_shared_calls_total": ("Calls of the model for requests that may share.", self._calls),
            "recserve_shared_requests_total": ("Requests that were answered by them.", self._requests),
        }

    def _shares(self, request: ScoreRequest) -> bool:
        looks = LEVELS.get(request.debug_level, PLAIN).looks
        return not looks and self._least_rows <= request.rows <= self._most_rows

    def _groups(self, shared: Sequence[Read]) -> Iterator[Sequence[Read]]:
        """Cut what may share calls into calls, in the order in which it came."""
        group: list[Read] = []
        rows = 0
        for read in shared:
            if group and rows + read[1].rows > self._most_rows:
                yield group
                group, rows = [], 0
            group.append(read)
            rows += read[1].rows
        if group:
            yield group
