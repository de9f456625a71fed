"""Requests through the whole path, before the first real one comes.

    nothing known: must be answered ─▶ files, else made-up requests ─▶ every thread, round by round ─▶ READY

TorchScript compiles on its first calls for a shape, allocators grow, pages are touched: the first requests to
a cold server take seconds. So every thread answers requests of many sizes before the service says ready.

Sizes take turns: in each round small and large requests follow one another, so that a warm-up that ends early
(`warmup_max_seconds`) has seen them all.
"""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import suppress
from threading import Barrier, BrokenBarrierError
from time import monotonic
from typing import TYPE_CHECKING

from recserve.errors import BundleError, RecserveError
from recserve.observe.trace import Trace
from recserve.server.endpoint import ScoreEndpoint
from recserve.server.warm_up_files import WarmUpFiles, WarmUpRequest, read_requests
from recserve.wire import torchrec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recserve.config.service import ServiceSpec
    from recserve.processors.load import Progress
    from recserve.server.endpoint import Endpoint
    from recserve.server.workers import WorkerPool

logger = logging.getLogger("recserve.warm_up")

#: Rows of made-up requests; the executor of TorchScript profiles twice before it optimises.
ROWS = (1, 8, 64, 256)
#: How often each of them is answered by each thread, and how many different ones there are of a size.
ROUNDS = 4
_DIFFERENT = 2
#: What one call may take while the model is being compiled.
PATIENCE_SECONDS = 600.0
#: How long threads wait for one another to begin together.
_TOGETHER_SECONDS = 1.0
_MOST_NAMES = 5


async def warm_up(spec: ServiceSpec, endpoint: Endpoint, pool: WorkerPool, progress: Progress) -> None:
    """Answer requests from files, or made-up ones, on every thread.

    Raises BundleError when a model with features fails on what is unknown: a user and items of which nothing
    is known are a request that it must answer. A model that takes tensors may rightly refuse made-up ones; it
    is served without warm-up if there are no files.
    """
    progress("warming up", 0, 1)
    files = await asyncio.to_thread(read_requests, spec, endpoint)
    replay = _Replay(endpoint, pool, until=monotonic() + spec.warm_up.max_seconds)
    await _prove(endpoint, replay)
    if files.requests:
        await replay.run(files.requests, spec.warm_up.count_per_file, progress)
    else:
        await replay.run(await asyncio.to_thread(_made_up, endpoint), ROUNDS, progress)
    files.broken |= replay.broken
    _warn(files)
    progress("warming up", 1, 1)


async def _prove(endpoint: Endpoint, replay: _Replay) -> None:
    """See that a request of which nothing is known is answered."""
    try:
        await replay.answer(endpoint.sample(1), threads=1)
    except RecserveError as error:
        if endpoint.processor.answers == "features":
            raise BundleError(f"the model cannot answer a request of 1 unknown items: {error}") from error


def _made_up(endpoint: Endpoint) -> list[WarmUpRequest]:
    sizes = ROWS * _DIFFERENT
    try:
        if isinstance(endpoint, ScoreEndpoint):
            requests = endpoint.processor.made_up()
            bodies = [torchrec.encode_request(requests.of(rows)) for rows in sizes]
        else:
            bodies = [endpoint.sample(rows) for rows in sizes]
    except RecserveError as error:
        logger.warning("no warm-up: requests cannot be made up", extra={"reason": str(error)})
        return []
    return [WarmUpRequest(f"made up ({place + 1})", body) for place, body in enumerate(bodies)]


class _Replay:
    """Answers requests on all threads of a pool, and drops those that fail."""

    def __init__(self, endpoint: Endpoint, pool: WorkerPool, *, until: float) -> None:
        self.broken: dict[str, str] = {}
        self._endpoint = endpoint
        self._pool = pool
        self._until = until
        self._random = random.Random(0)

    async def run(self, requests: Sequence[WarmUpRequest], rounds: int, progress: Progress) -> None:
        """Answer each request `rounds` times on every thread, or as often as there is time."""
        began, calls, total = monotonic(), 0, len(requests) * rounds
        rows: dict[WarmUpRequest, int] = {}  # of those that were answered
        for number in range(rounds):
            for request in self._in_turns(rows) if number else self._random.sample(requests, len(requests)):
                if monotonic() > self._until:
                    logger.warning("the warm-up is cut short", extra=_figures(began, calls, total, rows))
                    return
                progress("warming up", calls, total)
                try:
                    rows[request] = await self.answer(request.body, threads=self._pool.threads)
                except RecserveError as error:
                    self.broken[request.name] = str(error)
                    rows.pop(request, None)
                calls += 1
        logger.info("warmed up", extra=_figures(began, calls, total, rows))

    async def answer(self, body: bytes, *, threads: int) -> int:
        """Answer a request on so many threads at once; its rows."""
        barrier, deadline = Barrier(threads), monotonic() + PATIENCE_SECONDS

        def answer() -> int:
            # Else a quick thread would answer for one that is still being woken.
            with suppress(BrokenBarrierError):
                barrier.wait(_TOGETHER_SECONDS)
            trace = Trace("warm-up")
            self._endpoint.answer(body, trace, deadline)
            return trace.rows

        calls = [
            self._pool.submit(answer, deadline=deadline, budget=PATIENCE_SECONDS) for _ in range(threads)
        ]
        return max(await asyncio.gather(*calls))

    def _in_turns(self, rows: dict[WarmUpRequest, int]) -> list[WarmUpRequest]:
        """All requests in random order, but sizes (powers of two) take turns."""
        buckets: dict[int, list[WarmUpRequest]] = {}
        for request in self._random.sample(list(rows), len(rows)):
            buckets.setdefault(rows[request].bit_length(), []).append(request)
        turns = [
            (place / len(bucket), size, request)
            for size, bucket in buckets.items()
            for place, request in enumerate(bucket)
        ]
        return [request for *_, request in sorted(turns, key=lambda turn: turn[:2])]


def _figures(began: float, calls: int, total: int, rows: dict[WarmUpRequest, int]) -> dict[str, object]:
    return {
        "requests": len(rows),
        "calls": calls,
        "of": total,
        "seconds": round(monotonic() - began, 3),
        "sizes": sorted({*rows.values()}),
    }


def _warn(files: WarmUpFiles) -> None:
    if files.broken:
        names = list(files.broken)[:_MOST_NAMES]
        more = f" and {len(files.broken) - len(names)} more" if len(files.broken) > len(names) else ""
        logger.warning(
            f"requests of the warm-up that cannot be answered are left out: {', '.join(names)}{more}",
            extra={"reason": files.broken[names[0]]},
        )
    if files.left_out:
        logger.warning("too many requests for a warm-up", extra={"files_left_out": files.left_out})
