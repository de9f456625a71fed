from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from recserve.errors import DeadlineError, QueueFullError
from recserve.server.workers import Together, WorkerPool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LONG = 30.0


def in_a_pool(
    use: Callable[[WorkerPool], Any],
    *,
    threads: int = 1,
    in_work: int = 1,
    max_queue: int = 4,
    budget: float = LONG,
    on_exhausted: Callable[[], None] = lambda: None,
    batches: Together | None = None,
) -> Any:
    """Run `use(pool)` on an event loop and return its result."""

    async def main() -> Any:
        pool = WorkerPool(
            asyncio.get_running_loop(),
            threads=threads,
            in_work=in_work,
            max_queue=max_queue,
            budget=budget,
            on_exhausted=on_exhausted,
            together=batches,
        )
        try:
            return await use(pool)
        finally:
            pool.close()

    return asyncio.run(main())


def after(seconds: float) -> float:
    return time.monotonic() + seconds


def test_work_runs_on_a_thread_and_its_result_comes_back() -> None:
    async def use(pool: WorkerPool) -> tuple[int, str]:
        def work(a: int, b: int) -> tuple[int, str]:
            return a + b, threading.current_thread().name

        return await pool.submit(work, 2, 3, deadline=after(LONG))

    result, thread = in_a_pool(use)

    assert result == 5
    assert thread.startswith("recserve-worker")


def test_an_error_of_the_work_is_the_callers_and_the_thread_goes_on() -> None:
    async def use(pool: WorkerPool) -> int:
        with pytest.raises(ZeroDivisionError):
            await pool.submit(lambda: 1 // 0, deadline=after(LONG))
        return await pool.submit(lambda: 7, deadline=after(LONG))

    assert in_a_pool(use) == 7


@pytest.mark.parametrize(("in_work", "max_queue"), [(1, 0), (1, 3), (5, 2)])
def test_more_than_in_work_and_waiting_is_refused_at_once(in_work: int, max_queue: int) -> None:
    async def use(pool: WorkerPool) -> int:
        gate = threading.Event()
        accepted = [pool.submit(gate.wait, deadline=after(LONG)) for _ in range(in_work + max_queue)]
        with pytest.raises(QueueFullError, match=f"{in_work + max_queue} requests are in work or waiting"):
            pool.submit(gate.wait, deadline=after(LONG))
        gate.set()
        await asyncio.gather(*accepted)
        await pool.submit(gate.wait, deadline=after(LONG))  # and there is room again
        return pool.in_flight

    assert in_a_pool(use, in_work=in_work, max_queue=max_queue) == 0


def test_what_waits_until_its_deadline_is_never_computed() -> None:
    computed: list[str] = []

    async def use(pool: WorkerPool) -> None:
        gate = threading.Event()
        running = pool.submit(gate.wait, deadline=after(LONG))
        late = pool.submit(computed.append, "late", deadline=after(0.05))
        with pytest.raises(DeadlineError, match="waited in the queue"):
            await late
        assert pool.queue_depth == 0
        gate.set()
        await running

    in_a_pool(use)

    assert computed == []


def test_what_could_not_be_in_time_behind_those_that_wait_is_refused_at_once() -> None:
    async def use(pool: WorkerPool) -> int:
        gate = threading.Event()
        pool.job_seconds = LONG / 3
        accepted = [pool.submit(gate.wait, deadline=after(LONG)) for _ in range(2)]
        while pool.queue_depth > 1:
            await asyncio.sleep(0.001)
        accepted.append(pool.submit(gate.wait, deadline=after(LONG)))
        with pytest.raises(QueueFullError, match="2 requests wait, more than can be answered in time"):
            pool.check_room()
        gate.set()
        await asyncio.gather(*accepted)
        pool.check_room()  # however slow calls are: when nobody waits, they are tried
        return len(accepted)

    assert in_a_pool(use, max_queue=100) == 3


def test_the_pace_is_that_of_the_calls_and_expired_ones_do_not_count() -> None:
    async def use(pool: WorkerPool) -> float:
        for _ in range(3):
            await pool.submit(time.sleep, 0.01, deadline=after(LONG))
        before = pool.job_seconds
        with pytest.raises(DeadlineError):
            await pool.submit(time.sleep, 0.01, deadline=after(-1))
        assert pool.job_seconds == before
        return before

    assert in_a_pool(use) >= 0.01 / 16


def test_calls_are_counted_with_those_that_came_too_late_and_those_never_begun() -> None:
    async def use(pool: WorkerPool) -> tuple[int, int, int]:
        gate = threading.Event()
        await pool.submit(lambda: 7, deadline=after(LONG))
        running, waiting = (pool.submit(gate.wait, deadline=after(0.05)) for _ in range(2))
        for late in (running, waiting):
            with pytest.raises(DeadlineError):
                await late
        gate.set()
        await pool.submit(lambda: 7, deadline=after(LONG))
        return pool.calls, pool.calls_late, pool.expired

    assert in_a_pool(use) == (3, 1, 1)


def test_a_call_over_the_deadline_is_told_at_the_deadline_and_keeps_its_thread_if_it_began_late() -> None:
    async def use(pool: WorkerPool) -> int:
        gate = threading.Event()
        began = time.monotonic()
        with pytest.raises(DeadlineError, match="still running"):
            await pool.submit(gate.wait, deadline=after(0.05))
        assert time.monotonic() - began < LONG / 2
        gate.set()
        await pool.submit(lambda: None, deadline=after(LONG))
        return pool.write_offs

    assert in_a_pool(use, budget=LONG) == 0


def test_a_call_over_its_budget_is_written_off_and_the_next_request_is_answered() -> None:
    gate = threading.Event()

    async def use(pool: WorkerPool) -> tuple[int, int, int]:
        with pytest.raises(DeadlineError):
            await pool.submit(gate.wait, deadline=after(0.05))
        answer = await pool.submit(lambda: 7, deadline=after(LONG))
        in_flight = pool.in_flight
        gate.set()  # the call comes back after all: nobody waits for it
        while pool.computing:
            await asyncio.sleep(0.001)
        assert await pool.submit(lambda: 8, deadline=after(LONG)) == 8
        return answer, pool.write_offs, in_flight

    assert in_a_pool(use, budget=0.05) == (7, 1, 0)


def test_as_many_write_offs_as_threads_are_reported_once() -> None:
    gate = threading.Event()
    reports: list[str] = []

    async def use(pool: WorkerPool) -> list[int]:
        seen: list[int] = []
        for _ in range(3):
            with pytest.raises(DeadlineError):
                await pool.submit(gate.wait, deadline=after(0.03))
            while pool.write_offs == len(seen):
                await asyncio.sleep(0.001)
            seen.append(len(reports))
        gate.set()
        return seen

    result = in_a_pool(
        use, threads=2, in_work=2, budget=0.03, on_exhausted=lambda: reports.append("exhausted")
    )

    assert result == [0, 1, 1]


def test_calls_that_come_back_after_their_write_off_exhaust_nobody() -> None:
    reports: list[str] = []

    async def use(pool: WorkerPool) -> int:
        for number in range(3):
            gate = threading.Event()
            with pytest.raises(DeadlineError):
                await pool.submit(gate.wait, deadline=after(0.03))
            while pool.write_offs == number:
                await asyncio.sleep(0.001)
            gate.set()
            while pool.computing:
                await asyncio.sleep(0.001)
        return pool.write_offs

    assert in_a_pool(use, budget=0.03, threads=2, on_exhausted=lambda: reports.append("exhausted")) == 3
    assert reports == []


def test_threads_compute_beside_one_another() -> None:
    async def use(pool: WorkerPool) -> None:
        together = threading.Barrier(3)
        await asyncio.gather(*(pool.submit(together.wait, 10, deadline=after(LONG)) for _ in range(3)))

    in_a_pool(use, threads=3, in_work=3)


def test_thousands_of_short_and_late_jobs_leave_nothing_behind() -> None:
    async def use(pool: WorkerPool) -> tuple[int, int, int]:
        outcomes: dict[str, int] = {"answered": 0, "late": 0, "refused": 0}

        async def one(number: int) -> None:
            await asyncio.sleep(number % 50 / 1000)
            try:
                await pool.submit(time.sleep, 0.0002, deadline=after(0.002 if number % 3 else LONG))
                outcomes["answered"] += 1
            except DeadlineError:
                outcomes["late"] += 1
            except QueueFullError:
                outcomes["refused"] += 1

        await asyncio.gather(*(one(number) for number in range(2000)))
        assert sum(outcomes.values()) == 2000
        while pool.in_flight:
            await asyncio.sleep(0.001)
        return pool.in_flight, pool.queue_depth, pool.write_offs

    assert in_a_pool(use, threads=2, in_work=5, max_queue=64) == (0, 0, 0)


def together(calls: Sequence[tuple[Any, ...]]) -> list[Any]:
    """The numbers of all calls that were done at once, for each of them."""
    return [sorted(number for number, _ in calls)] * len(calls)


def one_by_one(number: int, gate: threading.Event) -> list[int]:
    gate.wait(LONG)
    return [number]


def test_jobs_that_wait_are_done_together_as_many_as_may_be() -> None:
    async def use(pool: WorkerPool) -> list[list[int]]:
        gate = threading.Event()
        running = pool.submit(gate.wait, LONG, deadline=after(LONG))
        waiting = [
            pool.submit(one_by_one, number, gate, deadline=after(LONG), together=together)
            for number in range(4)
        ]
        gate.set()
        await running
        return [await job for job in waiting]

    assert in_a_pool(use, batches=Together(most=3)) == [[0, 1, 2], [0, 1, 2], [0, 1, 2], [3]]


def test_a_job_waits_for_others_no_longer_than_it_may() -> None:
    async def use(pool: WorkerPool) -> list[list[int]]:
        gate = threading.Event()
        gate.set()
        first = pool.submit(one_by_one, 1, gate, deadline=after(LONG), together=together)
        second = pool.submit(one_by_one, 2, gate, deadline=after(LONG), together=together)
        return [await first, await second]

    assert in_a_pool(use, batches=Together(most=2, linger_seconds=LONG)) == [[1, 2], [1, 2]]
    assert in_a_pool(use, batches=Together(most=3, linger_seconds=0.01)) == [[1, 2], [1, 2]]


def test_other_work_does_not_wait_for_a_batch_and_is_not_part_of_it() -> None:
    async def use(pool: WorkerPool) -> tuple[list[int], str, list[int]]:
        gate = threading.Event()
        running = pool.submit(gate.wait, LONG, deadline=after(LONG))
        first = pool.submit(one_by_one, 1, gate, deadline=after(LONG), together=together)
        other = pool.submit(lambda: "other", deadline=after(LONG))
        last = pool.submit(one_by_one, 2, gate, deadline=after(LONG), together=together)
        gate.set()
        await running
        return await first, await other, await last

    assert in_a_pool(use, batches=Together(most=8)) == ([1], "other", [2])


def test_what_is_late_is_left_out_of_a_batch() -> None:
    async def use(pool: WorkerPool) -> list[int]:
        gate = threading.Event()
        running = pool.submit(gate.wait, LONG, deadline=after(LONG))
        late = pool.submit(one_by_one, 1, gate, deadline=after(0.0), together=together)
        live = pool.submit(one_by_one, 2, gate, deadline=after(LONG), together=together)
        gate.set()
        await running
        with pytest.raises(DeadlineError):
            await late
        result: list[int] = await live
        return result

    assert in_a_pool(use, batches=Together(most=8)) == [2]


def test_an_error_among_the_results_is_that_of_its_job() -> None:
    def some_fail(calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        return [number if number % 2 else ValueError(number) for number, _ in calls]

    async def use(pool: WorkerPool) -> list[Any]:
        gate = threading.Event()
        running = pool.submit(gate.wait, LONG, deadline=after(LONG))
        jobs = [
            pool.submit(one_by_one, number, gate, deadline=after(LONG), together=some_fail)
            for number in range(4)
        ]
        gate.set()
        await running
        return await asyncio.gather(*jobs, return_exceptions=True)

    zero, one, two, three = in_a_pool(use, batches=Together(most=4))

    assert (one, three) == (1, 3)
    assert isinstance(zero, ValueError)
    assert isinstance(two, ValueError)


def test_a_batch_that_hangs_is_written_off_once_for_all_of_its_jobs() -> None:
    gate = threading.Event()

    def hang(calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        gate.wait(LONG)
        return [None] * len(calls)

    async def use(pool: WorkerPool) -> tuple[list[Any], int, int]:
        hold = threading.Event()
        running = pool.submit(hold.wait, LONG, deadline=after(LONG))
        jobs = [
            pool.submit(one_by_one, 1, gate, deadline=after(2.0), budget=0.05, together=hang)
            for _ in range(3)
        ]
        hold.set()
        await running
        ends = await asyncio.gather(*jobs, return_exceptions=True)
        await pool.submit(lambda: None, deadline=after(LONG))
        return ends, pool.write_offs, pool.in_flight

    ends, write_offs, in_flight = in_a_pool(use, batches=Together(most=3))
    gate.set()

    assert all(isinstance(end, DeadlineError) for end in ends)
    assert (write_offs, in_flight) == (1, 0)
