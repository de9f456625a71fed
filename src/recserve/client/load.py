"""The load generator behind `recserve bench`: what latency do callers see, at which rate?

| loop   | who decides when to send                | latency counted from    | answers                      |
|--------|-----------------------------------------|-------------------------|------------------------------|
| open   | a clock: constant, or random (Poisson)  | the intended send time  | what users see at a rate     |
| closed | each of c callers, after its answer     | the send                | the throughput at saturation |

In an open loop a stalled server does not stop the clock: requests that it delays are counted from the time at
which they should have been sent, whether or not a connection was free. Measuring from the real send would
leave out just those requests (coordinated omission). A run ends after its duration and at most one timeout.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import sys
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from recserve.client.connection import Address, Connection
from recserve.client.errors import UnreachableError
from recserve.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What to send, and when; `rate` makes it an open loop."""

    duration_s: float = 10.0
    requests: int | None = None  # stop after so many, if that is earlier
    concurrency: int = 1  # closed loop: callers; open loop: the most connections
    rate: float | None = None  # requests per second
    arrivals: Literal["constant", "poisson"] = "poisson"
    warm_up_s: float = 0.0  # sent first and not counted
    timeout_s: float = 5.0
    seed: int = 0  # of the random arrivals

    def __post_init__(self) -> None:
        for name in ("duration_s", "concurrency", "timeout_s", "rate", "requests"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise RequestError(f"{name} is {value}; it must be greater than 0")
        if self.warm_up_s < 0:
            raise RequestError(f"warm_up_s is {self.warm_up_s}; it must not be negative")


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What came of a plan. Latencies are those of answers with status 200."""

    loop: str  # open or closed
    requests: int
    answered: int  # with status 200
    failures: Mapping[str, int]  # by status, or "timeout", "connection"
    duration_s: float
    throughput: float  # answers with status 200 per second
    mean_ms: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float
    refused_p50_ms: float  # of answers with other statuses
    refused_p99_ms: float
    late_ms: float  # p99 of how late the generator itself was; over 1 ms the machine is too busy to measure
    latencies_ms: NDArray[np.float64] = field(repr=False, compare=False)  # sorted

    def to_json(self) -> dict[str, Any]:
        """All figures but the single latencies; without an answer a latency is null."""
        figures = asdict(self)
        del figures["latencies_ms"]
        return {key: None if _is_nan(value) else value for key, value in figures.items()}


def run_load(
    url: str | Sequence[str],
    bodies: Sequence[bytes],
    plan: LoadPlan,
    *,
    headers: Mapping[str, str] | None = None,
    progress: Callable[[float], None] | None = None,
) -> LoadResult:
    """Send the bodies in turn as planned, and measure. `progress` is told the share that is done.

    Several URLs are one service's: connections are opened to them in turn.
    """
    if not bodies:
        raise RequestError("there is nothing to send; give at least one request")
    addresses = [Address.parse(one) for one in ([url] if isinstance(url, str) else url)]
    requests = [addresses[0].encode(body, headers or {}) for body in bodies]
    generator = _Generator(addresses, requests, plan, progress)
    with asyncio.Runner(loop_factory=_event_loop()) as runner:
        return runner.run(generator.run())


def _event_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where it exists: the generator should cost less than the server."""
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop


class _Generator:
    """One run: connections, the clock and what was measured so far."""

    def __init__(
        self,
        addresses: Sequence[Address],
        requests: Sequence[bytes],
        plan: LoadPlan,
        progress: Callable[[float], None] | None,
    ) -> None:
        self._addresses = itertools.cycle(addresses)
        self._requests = requests
        self._plan = plan
        self._progress = progress
        self._idle: list[Connection] = []
        self._free = asyncio.Semaphore(plan.concurrency)
        self._sent = 0  # warm-up included
        self._counted = 0  # of them, those after the warm-up
        self._latencies: list[float] = []  # seconds
        self._refused: list[float] = []  # seconds
        self._late: list[float] = []  # seconds
        self._failures: Counter[str] = Counter()
        self._start = 0.0  # of what is counted
        self._last = 0.0  # when the last counted answer came

    async def run(self) -> LoadResult:
        self._start = time.perf_counter() + self._plan.warm_up_s
        self._last = self._start
        self._idle.append(await self._first_connection())
        watcher = asyncio.create_task(self._watch())
        try:
            await (self._closed_loop() if self._plan.rate is None else self._open_loop(self._plan.rate))
        finally:
            watcher.cancel()
            for connection in self._idle:
                connection.close()
        return self._result()

    async def _first_connection(self) -> Connection:
        """A server that is not there is an error, not ten seconds of failures."""
        address = next(self._addresses)
        try:
            return await Connection.open(address)
        except OSError as error:
            raise UnreachableError(f"{address.host}:{address.port}: {error}") from error

    async def _closed_loop(self) -> None:
        end = self._start + self._plan.duration_s
        most = math.inf if self._plan.requests is None else self._plan.requests

        async def caller() -> None:
            while (now := time.perf_counter()) < end and self._counted < most:
                if await self._ask(now) == "connection":
                    await asyncio.sleep(0.01)  # a server that is gone should not be called as fast as we can

        async with asyncio.TaskGroup() as callers:
            for _ in range(self._plan.concurrency):
                callers.create_task(caller())

    async def _open_loop(self, rate: float) -> None:
        """Start each request when it is due, whatever became of those before."""
        due = self._start + self._arrivals(rate)
        loop = asyncio.get_running_loop()
        all_sent = asyncio.Event()
        stop = threading.Event()

        def send(first: int, last: int) -> None:
            now = time.perf_counter()
            for at in due[first:last].tolist():
                running.create_task(self._ask(at))
                if at >= self._start:
                    self._late.append(now - at)
            if last == len(due):
                all_sent.set()

        # An event loop's timers are a millisecond coarse; a thread that waits is some ten times finer.
        pacer = threading.Thread(target=_pace, args=(due, loop, send, stop), daemon=True)
        try:
            async with asyncio.TaskGroup() as running:
                pacer.start()
                await all_sent.wait()
        finally:
            stop.set()
            pacer.join()

    def _arrivals(self, rate: float) -> NDArray[np.float64]:
        """Seconds from the start at which requests are due; those of the warm-up are negative."""
        plan = self._plan
        begin, end = -plan.warm_up_s, plan.duration_s
        mean = (end - begin) * rate
        if plan.arrivals == "poisson":
            count = int(mean + 8 * math.sqrt(mean)) + 8  # never too few: eight standard deviations
            gaps = np.random.default_rng(plan.seed).exponential(1 / rate, count)
            due = begin + np.cumsum(gaps)
        else:
            due = begin + np.arange(math.ceil(mean)) / rate
        due = due[due < end]
        if plan.requests is not None:
            due = due[: int((due < 0).sum()) + plan.requests]
        return due if len(due) else np.array([0.0])

    async def _ask(self, intended: float) -> str:
        """Send the next request and note what came of it, counted from `intended`."""
        request = self._requests[self._sent % len(self._requests)]
        self._sent += 1
        self._counted += intended >= self._start
        try:
            async with asyncio.timeout(self._plan.timeout_s), self._free:
                outcome = str(await self._exchange(request))
        except TimeoutError:
            outcome = "timeout"
        except OSError:
            outcome = "connection"
        now = time.perf_counter()
        if intended >= self._start:
            self._last = max(self._last, now)
            if outcome == "200":
                self._latencies.append(now - intended)
            else:
                self._failures[outcome] += 1
                if outcome.isdigit():
                    self._refused.append(now - intended)
        return outcome

    async def _exchange(self, request: bytes) -> int:
        connection = self._idle.pop() if self._idle else await Connection.open(next(self._addresses))
        if not connection.usable:  # the server closed it while it was idle
            connection = await Connection.open(next(self._addresses))
        try:
            status = await connection.ask(request)
        except (
            BaseException
        ):  # a timeout cancels: what the server still sends must not answer the next request
            connection.close()
            raise
        if connection.usable:
            self._idle.append(connection)
        else:
            connection.close()
        return status

    async def _watch(self) -> None:
        total = self._plan.warm_up_s + self._plan.duration_s
        begin = self._start - self._plan.warm_up_s
        while self._progress is not None:
            self._progress(min((time.perf_counter() - begin) / total, 1.0))
            await asyncio.sleep(0.1)

    def _result(self) -> LoadResult:
        latencies, refused, late = (
            np.sort(np.array(seconds)) * 1e3 for seconds in (self._latencies, self._refused, self._late)
        )
        duration = max(self._last - self._start, 1e-9)
        return LoadResult(
            loop="closed" if self._plan.rate is None else "open",
            requests=len(latencies) + self._failures.total(),
            answered=len(latencies),
            failures=dict(sorted(self._failures.items())),
            duration_s=duration,
            throughput=len(latencies) / duration,
            mean_ms=float(latencies.mean()) if len(latencies) else float("nan"),
            p50_ms=percentile(latencies, 50),
            p90_ms=percentile(latencies, 90),
            p99_ms=percentile(latencies, 99),
            p999_ms=percentile(latencies, 99.9),
            max_ms=percentile(latencies, 100),
            refused_p50_ms=percentile(refused, 50),
            refused_p99_ms=percentile(refused, 99),
            late_ms=percentile(late, 99) if len(late) else 0.0,
            latencies_ms=latencies,
        )


def percentile(ordered: NDArray[np.float64], share: float) -> float:
    """The smallest value that `share` percent do not exceed (nearest rank); NaN of nothing."""
    if not len(ordered):
        return float("nan")
    rank = int(np.ceil(share / 100 * len(ordered) - 1e-9))  # 99.9 / 100 * 1000 is a hair above 999
    return float(ordered[max(rank, 1) - 1])


def _pace(
    due: NDArray[np.float64],
    loop: asyncio.AbstractEventLoop,
    send: Callable[[int, int], None],
    stop: threading.Event,
) -> None:
    """Tell the loop which requests are due, from a thread of its own."""
    first = 0
    while first < len(due) and not stop.wait(max(due[first] - time.perf_counter(), 0)):
        last = int(np.searchsorted(due, time.perf_counter(), side="right"))
        if last > first:
            loop.call_soon_threadsafe(send, first, last)
            first = last


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)
