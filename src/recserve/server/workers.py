"""The threads that compute, and the bounded queue before them.

    event loop                                      worker threads (min(worker_threads, cores))
    submit ──▶ waiting (deque) ──▶ wake the last idle one ──▶ pop ─▶ work(*arguments)
    future ◀───────────── call_soon_threadsafe, once per request ──────┘
    timer  ──▶ deadlines: waiting and late → 408; running and late → 408; running too long → written off

The worker that was busy last is woken first: its caches are warm. Jobs that know how to be done `together`
are taken out of the queue several at a time, as many as wait (`Together`).

A thread cannot be stopped from outside. So a call that has run for as long as a whole request may take is
*written off*: its thread is left behind, and another one takes its place. A call that comes back after all
ends its thread. When as many threads hang as there should be, somebody else should start a new process
(`on_exhausted`).

A request that waits until its deadline is never computed, and it should not wait in the first place: where
what is before it takes longer than it has (`check_room`), it is refused at once. Without that, a queue longer
than the budget would hand out requests that are just about to be late, and compute all of them in vain.

The clock for a write-off starts with the call, not with the request: under overload a request may get its
thread just before its deadline, and a healthy call must not cost a thread for having been late to begin.
"""

from __future__ import annotations

import logging
import math
import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from recserve.errors import DeadlineError, QueueFullError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

logger = logging.getLogger("recserve.workers")

#: Of its budget, what a request may be expected to wait and compute; calls are not all equally long.
_PROMISED = 0.8
#: How much of the pace is that of the last call.
_NEWEST = 1 / 16
_EXPIRED = "no time left: the request waited in the queue until its deadline"

T = TypeVar("T")


class ExpiredError(DeadlineError):
    """The deadline came before the call."""


@dataclass(frozen=True, slots=True)
class Together:
    """How many jobs a worker takes at once, and how long it waits for more of them."""

    most: int = 1
    linger_seconds: float = 0.0


class Job(Generic[T]):
    """One piece of work on its way. Whoever takes it out of `waiting`, a worker or the timer, owns it."""

    __slots__ = ("arguments", "budget", "deadline", "future", "together", "work")

    def __init__(
        self,
        work: Callable[..., T],
        arguments: tuple[Any, ...],
        *,
        deadline: float,
        budget: float,
        future: asyncio.Future[T],
        together: Callable[[Sequence[tuple[Any, ...]]], Sequence[T | BaseException]] | None,
    ) -> None:
        self.work = work
        self.arguments = arguments
        self.deadline = deadline  # when the caller stops waiting, in monotonic seconds
        self.budget = budget  # seconds after which the call itself is given up
        self.future = future
        self.together = together  # the same work for the arguments of several jobs


class Worker(threading.Thread):
    """One computing thread. A daemon: a call that never returns must not keep the process alive."""

    def __init__(self, pool: WorkerPool, number: int) -> None:
        super().__init__(name=f"recserve-worker-{number}", daemon=True)
        self.pool = pool
        self.running: tuple[Job[Any], ...] = ()
        self.running_since = 0.0
        self.written_off = False
        # Held while asleep; released once by whoever takes this worker from `pool.idle`. A plain lock: a
        # semaphore is ten times as much Python.
        self.wake = threading.Lock()
        self.wake.acquire()
        # Between the end of a call and its being written off: one of them is first.
        self.lock = threading.Lock()

    def run(self) -> None:
        """Take jobs until told to stop or written off."""
        pool = self.pool
        while jobs := self._next_jobs():
            self.running_since = monotonic()
            self.running = jobs
            outcomes = _outcomes(jobs, self.running_since)
            seconds = monotonic() - self.running_since
            with self.lock:
                self.running = ()
            if self.written_off:
                return  # nobody waits for the result, and another thread has this one's place
            try:
                pool.post(pool.finish, jobs, outcomes, seconds)
            except RuntimeError:
                return  # the loop has ended: the server gave up waiting for this call
            del jobs, outcomes  # an idle thread must not hold the memory of its last request

    def _next_jobs(self) -> tuple[Job[Any], ...]:
        """Wait for a job, and take those along that can be done with it; none when the pool has closed."""
        pool = self.pool
        while True:
            try:
                job = pool.waiting.popleft()
            except IndexError:
                if pool.closed:
                    return ()
                self._sleep()
                continue
            return (job,) if job.together is None or pool.together.most == 1 else self._with_others(job)

    def _with_others(self, first: Job[Any]) -> tuple[Job[Any], ...]:
        """Take what waits beside a job, and wait for more as long as it may."""
        pool, jobs = self.pool, [first]
        until = monotonic() + pool.together.linger_seconds
        while len(jobs) < pool.together.most:
            try:
                job = pool.waiting.popleft()
            except IndexError:
                left = until - monotonic()
                if left <= 0 or pool.closed:
                    break
                self._sleep(left)
                continue
            if job.together is not first.together:
                pool.waiting.appendleft(job)
                break
            jobs.append(job)
        return tuple(jobs)

    def _sleep(self, seconds: float = -1) -> None:
        """Sleep until there is a job, or as long as is said."""
        pool = self.pool
        pool.idle.append(self)
        came_between = pool.waiting or pool.closed  # the look and the sleep
        if not came_between and self.wake.acquire(timeout=seconds):
            return
        try:
            pool.idle.remove(self)
        except ValueError:
            self.wake.acquire()  # somebody has taken this worker meanwhile: its wake is due, or was spent


class WorkerPool:
    """Runs work on threads for one event loop. All methods are called on that loop.

    threads:       computing threads
    in_work:       requests that count as being in work, whether a thread has taken them yet or not
    max_queue:     requests that may wait beyond `in_work`; one more raises QueueFullError
    budget:        seconds that one call may run before its thread is written off
    on_exhausted:  called once, when `threads` calls hang that were written off
    together:      how jobs that can be done together are taken; by default one at a time
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        threads: int,
        in_work: int,
        max_queue: int,
        budget: float,
        on_exhausted: Callable[[], None],
        together: Together | None = None,
    ) -> None:
        self.threads = threads
        self.together = together or Together()
        self.capacity = max(in_work, threads) + max_queue
        self.in_flight = 0
        self.write_offs = 0
        self.calls = 0  # that have ended, write-offs included
        self.calls_late = 0  # of them: the caller had been told 408 meanwhile
        self.expired = 0  # never called: their deadline came while they waited
        self.job_seconds = 0.0  # what one takes a thread, lately
        self.waiting: deque[Job[Any]] = deque()
        self.idle: deque[Worker] = deque()  # the one that was busy last stands last
        self.closed = False
        self.post = loop.call_soon_threadsafe
        self._loop = loop
        self._budget = budget
        self._on_exhausted = on_exhausted
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0.0
        self._started = 0
        self._workers: list[Worker] = []
        self._left_behind: list[Worker] = []  # inside a call that was written off
        self._exhausted = False
        for _ in range(threads):
            self._start_worker()

    def submit(
        self,
        work: Callable[..., T],
        *arguments: Any,
        deadline: float,
        budget: float = 0.0,
        together: Callable[[Sequence[tuple[Any, ...]]], Sequence[T | BaseException]] | None = None,
    ) -> asyncio.Future[T]:
        """Queue `work(*arguments)`; the future fails with DeadlineError at `deadline` (monotonic seconds).

        `budget` replaces the pool's for this call. `together` does the same for the arguments of several
        calls, and gives a result, or an error, for each. Raises QueueFullError at once when too many wait
        already.
        """
        self.check_room()
        future: asyncio.Future[T] = self._loop.create_future()
        self.in_flight += 1
        job = Job(
            work,
            arguments,
            deadline=deadline,
            budget=budget or self._budget,
            future=future,
            together=together,
        )
        self.waiting.append(job)
        self._wake_one()
        # One timer for all jobs: it is set again when it goes off, not once per request.
        if self._timer is None or deadline < self._timer_due:
            self._set_timer(deadline)
        return future

    def check_room(self) -> None:
        """Raise QueueFullError if a request that came now would find the queue full, or wait in vain."""
        if self.in_flight >= self.capacity:
            raise QueueFullError(
                f"no room: {self.in_flight} requests are in work or waiting; try again later"
            )
        waiting = len(self.waiting)  # with none, there is always room: however slow the calls, they are tried
        if waiting and (waiting / self.threads + 1) * self.job_seconds > _PROMISED * self._budget:
            raise QueueFullError(
                f"no room: {waiting} requests wait, more than can be answered in time; try again later"
            )

    @property
    def queue_depth(self) -> int:
        """Requests that no thread has taken yet."""
        return len(self.waiting)

    @property
    def computing(self) -> int:
        """Threads that are inside a call: those in work and those left behind."""
        return sum(bool(worker.running) for worker in (*self._workers, *self._left_behind))

    def close(self) -> None:
        """Let every thread end after the job that it has."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.closed = True
        for _ in self._workers:
            self._wake_one()

    def _wake_one(self) -> None:
        with suppress(IndexError):  # all are at work, and look for more when they have done
            self.idle.pop().wake.release()

    def finish(self, jobs: Sequence[Job[Any]], outcomes: Sequence[Any], seconds: float) -> None:
        """Take results over from a worker; a caller who was told 408 already does not hear of them."""
        self.in_flight -= len(jobs)
        called = sum(not isinstance(outcome, ExpiredError) for outcome in outcomes)
        self.calls += called
        self.expired += len(jobs) - called
        if called:
            self.job_seconds += (seconds / called - self.job_seconds) * _NEWEST
        for job, outcome in zip(jobs, outcomes, strict=True):
            if job.future.done():
                self.calls_late += not isinstance(outcome, ExpiredError)
                continue
            if isinstance(outcome, BaseException):
                job.future.set_exception(outcome)
            else:
                job.future.set_result(outcome)

    def _start_worker(self) -> None:
        self._started += 1
        worker = Worker(self, self._started)
        self._workers.append(worker)
        worker.start()

    def _set_timer(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due = due
        self._timer = self._loop.call_later(max(0.0, due - monotonic()), self._look_at_deadlines)

    def _look_at_deadlines(self) -> None:
        self._timer = None
        now = monotonic()
        next_due = self._expire_waiting(now)
        seen = len(self.waiting)
        for worker in list(self._workers):
            jobs = worker.running
            if not jobs:
                continue
            seen += len(jobs)
            stuck_at = worker.running_since + jobs[0].budget
            for job in jobs:
                if job.deadline <= now:
                    _fail(job, "no time left: the model was still running at the deadline of the request")
            if stuck_at <= now:
                self._write_off(worker, jobs)
            else:
                next_due = min(next_due, stuck_at, *(job.deadline for job in jobs if job.deadline > now))
        if seen < self.in_flight:  # on its way from the queue to a thread, or from a thread to `finish`
            next_due = min(next_due, now + 0.01)
        if next_due < math.inf:
            self._set_timer(next_due)

    def _expire_waiting(self, now: float) -> float:
        """Fail what waits and is late; returns the earliest deadline of what remains."""
        earliest = math.inf
        for job in list(self.waiting):
            if job.deadline > now:
                earliest = min(earliest, job.deadline)
                continue
            try:
                self.waiting.remove(job)
            except ValueError:
                continue  # a worker has just taken it; it sees the deadline itself
            self.in_flight -= 1
            self.expired += 1
            _fail(job, _EXPIRED)
        return earliest

    def _write_off(self, worker: Worker, jobs: tuple[Job[Any], ...]) -> None:
        with worker.lock:
            if worker.running is not jobs:
                return  # it has just come back
            worker.written_off = True
        self._workers.remove(worker)
        self._left_behind = [*(one for one in self._left_behind if one.running), worker]
        self._start_worker()
        for job in jobs:
            _fail(job, "no time left: the call has run for as long as a whole request may take")
        self.in_flight -= len(jobs)
        self.calls += len(jobs)
        self.calls_late += len(jobs)
        self.write_offs += 1
        logger.error(
            "a call outlived its time budget; its thread is written off and replaced",
            extra={"worker": worker.name, "write_offs": self.write_offs, "threads": self.threads},
        )
        if len(self._left_behind) == self.threads and not self._exhausted:
            self._exhausted = True
            self._on_exhausted()


def _outcomes(jobs: Sequence[Job[Any]], now: float) -> Sequence[Any]:
    """Do jobs; of each a result, or the error for its caller. Late ones are not done."""
    late = ExpiredError(_EXPIRED)
    try:
        if len(jobs) == 1:
            (job,) = jobs
            return (job.work(*job.arguments) if job.deadline > now else late,)
        live = [job for job in jobs if job.deadline > now]
        done = iter(live[0].together([job.arguments for job in live]) if live and live[0].together else ())
        return [next(done) if job.deadline > now else late for job in jobs]
    except BaseException as raised:  # whatever it is, the callers are waiting for it
        return [raised] * len(jobs)


def _fail(job: Job[Any], message: str) -> None:
    if not job.future.done():
        job.future.set_exception(DeadlineError(message))
