"""A clock that stands until a test moves it."""

from __future__ import annotations

import threading


class ManualClock:
    """`advance` lets time pass; threads that wait for it look again."""

    def __init__(self) -> None:
        self._now = 0.0
        self._lock = threading.Lock()
        self._conditions: set[threading.Condition] = set()

    def now(self) -> float:
        return self._now

    def time(self) -> float:
        return 1_700_000_000.0 + self._now

    def wait(self, condition: threading.Condition, until: float | None) -> None:
        with self._lock:
            self._conditions.add(condition)
            if until is not None and self._now >= until:
                return
        # Real seconds: `advance` may come between the look at the time and the wait.
        condition.wait(0.02 if until is not None else None)

    def advance(self, seconds: float) -> None:
        with self._lock:
            self._now += seconds
            conditions = set(self._conditions)
        for condition in conditions:
            with condition:
                condition.notify_all()
