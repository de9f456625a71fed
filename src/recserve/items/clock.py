"""Time and waiting, as the threads that keep a store see them; a test hands in a clock of its own.

Every thread of a keeper waits on one `Bell`: for a time, for a condition that another thread brings about,
and always for the end, so that closing never waits for a pause to be over.
"""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class Clock(Protocol):
    """What time it is, and how to wait for a later one."""

    def now(self) -> float:
        """Seconds that only grow, from any start."""

    def time(self) -> float:
        """Seconds since 1970; for people, never for cursors."""

    def wait(self, condition: threading.Condition, until: float | None) -> None:
        """Wait, holding `condition`, until it is notified or `now()` reaches `until`; may return early."""


class SystemClock:
    """The machine's own time."""

    def now(self) -> float:
        """Read the monotonic clock."""
        return time.monotonic()

    def time(self) -> float:
        """Read the wall clock."""
        return time.time()

    def wait(self, condition: threading.Condition, until: float | None) -> None:
        """Wait on the condition."""
        condition.wait(None if until is None else max(0.0, until - time.monotonic()))


class ClosedError(Exception):
    """The keeper closes: the thread that sees this ends."""


class Bell:
    """What the threads of a keeper wait on. Ring it after a change of anything that a predicate reads.

    Predicates are read while the bell is held: they read plain fields, and take no lock that somebody may
    hold who rings.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.closed = False
        self.condition = threading.Condition()

    def ring(self) -> None:
        """Let all who wait look again."""
        with self.condition:
            self.condition.notify_all()

    def close(self) -> None:
        """End every wait, now and from now on, with ClosedError."""
        with self.condition:
            self.closed = True
            self.condition.notify_all()

    def wait(self, done: Callable[[], bool], seconds: float | None = None) -> bool:
        """Wait until `done()`; False when the time is over before. Raises ClosedError."""
        until = None if seconds is None else self.clock.now() + seconds
        with self.condition:
            while not self.closed:
                if done():
                    return True
                if until is not None and self.clock.now() >= until:
                    return False
                self.clock.wait(self.condition, until)
        raise ClosedError

    def watch(self, done: Callable[[], bool], seconds: float) -> bool:
        """Wait, for so many seconds of the machine's own time, until `done()`; tells whether it is."""
        with self.condition:
            return self.condition.wait_for(done, seconds)

    def pause(self, seconds: float) -> None:
        """Let time pass. Raises ClosedError."""
        self.wait(lambda: False, seconds)


class Backoff:
    """How long to wait after the first, second, … failure in a row: 0.5 s, doubling up to 60 s.

    A random quarter less each time, so that many servers do not come back all at once.
    """

    FIRST_SECONDS = 0.5
    LONGEST_SECONDS = 60.0

    def __init__(self) -> None:
        self.failures = 0

    def next(self) -> float:
        """Count a failure; seconds to wait."""
        seconds: float = min(self.FIRST_SECONDS * 2.0 ** min(self.failures, 16), self.LONGEST_SECONDS)
        self.failures += 1
        return seconds * random.uniform(0.75, 1.0)

    def reset(self) -> None:
        """Forget the failures: it worked."""
        self.failures = 0
