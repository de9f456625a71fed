"""Waiting ends when it should: by time, by what others do, and always by the end."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from tests.items.manual_clock import ManualClock

from recserve.items.clock import Backoff, Bell, ClosedError, SystemClock
from recserve.items.read_ahead import ReadAhead

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_a_wait_ends_when_time_is_over() -> None:
    assert not Bell(SystemClock()).wait(lambda: False, 0.001)


def test_a_wait_ends_when_it_is_done() -> None:
    bell, done = Bell(SystemClock()), threading.Event()

    def do() -> None:
        done.set()
        bell.ring()

    threading.Thread(target=do).start()

    assert bell.wait(done.is_set, 20)


def test_a_wait_ends_with_the_keeper() -> None:
    bell = Bell(ManualClock())
    threading.Thread(target=bell.close).start()

    with pytest.raises(ClosedError):
        bell.pause(1e9)
    with pytest.raises(ClosedError):
        bell.wait(lambda: True)


def test_pauses_grow_with_failures_and_start_again_after_a_success() -> None:
    backoff = Backoff()

    pauses = [backoff.next() for _ in range(12)]

    for number, pause in enumerate(pauses):
        longest = min(0.5 * 2.0**number, 60.0)
        assert 0.75 * longest <= pause <= longest
    backoff.reset()
    assert backoff.next() <= 0.5


def test_a_source_is_read_only_so_far_ahead() -> None:
    bell, read = Bell(SystemClock()), 0

    def numbers() -> Iterator[int]:
        nonlocal read
        for number in range(100):
            read = number
            yield number

    with ReadAhead(numbers, bell, depth=3) as ahead:
        first = [next(ahead) for _ in range(10)]
        assert read <= 10 + 3
        rest = list(ahead)

    assert first + rest == list(range(100))


def test_an_error_of_the_source_is_raised_behind_its_last_item() -> None:
    def numbers() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    with ReadAhead(numbers, Bell(SystemClock())) as ahead:
        assert next(ahead) == 1
        with pytest.raises(ValueError, match="broken"):
            next(ahead)


def test_a_reader_that_is_left_closes_its_source() -> None:
    closed = threading.Event()

    def numbers() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    with ReadAhead(numbers, Bell(SystemClock())) as ahead:
        next(ahead)

    assert closed.wait(20)
