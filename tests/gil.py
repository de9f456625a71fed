"""Whether native code lets other Python threads run while it works."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

#: A busy machine may have no core for another thread the first times; a kept GIL keeps it out every time.
_ATTEMPTS = 30
#: Of its time, how long work may keep the others waiting at once.
_SHARE = 0.8


def beside_others(work: Callable[[], T]) -> T:
    """The result of `work`; an AssertionError if it keeps the GIL. Done again where others found no core.

    A thread that waits for the GIL does not take it here: it runs when the GIL is given away.
    """
    shares = []
    for _ in range(_ATTEMPTS):
        result, share = _longest_wait(work)
        if share < _SHARE:
            return result
        shares.append(share)
    raise AssertionError(f"other threads had to wait for {min(shares):.0%} of its time at once")


def _longest_wait(work: Callable[[], T]) -> tuple[T, float]:
    """The result, and for which share of the time nobody else came to its turn."""
    ticks: list[float] = []
    began, done = threading.Event(), threading.Event()

    def tick() -> None:
        while not done.is_set():
            ticks.append(time.perf_counter())
            began.set()
            time.sleep(0.0003)

    with _nobody_takes_the_gil():
        ticker = threading.Thread(target=tick)
        ticker.start()
        began.wait()
        start = time.perf_counter()
        try:
            result = work()
        finally:
            end = time.perf_counter()
            done.set()
            ticker.join()
    inside = [start, *(at for at in ticks if start < at < end), end]
    return result, max(b - a for a, b in pairwise(inside)) / (end - start)


@contextmanager
def _nobody_takes_the_gil() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(60)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)
