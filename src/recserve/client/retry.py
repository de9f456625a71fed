"""Whether a request is sent again, and after how long. Scoring changes nothing, so it may be.

| what came                                 | again?                                       |
|-------------------------------------------|----------------------------------------------|
| no connection, or it broke                | yes; at once if there is another address     |
| 429 450 too much traffic, 503 not ready   | yes                                          |
| 500 502 failed on the way                 | yes                                          |
| no answer in time, 408, 504               | no: the time that there was is spent         |
| 400 401 404 405 413 415                   | no: the answer will be the same              |

Waits grow from `first_wait_s` to `longest_wait_s`, each drawn at random below its bound, so that callers who
failed together do not come back together. An answer's `Retry-After` is kept to. Nothing is tried again that
could not be answered within the call's own timeout. And since tries on top of tries are how an overload
stays one, all calls of a client share a budget: in the long run `share` of them may be tried again.
"""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass

from recserve.client.errors import ClientError, TimedOutError, UnreachableError

_STATUSES = frozenset((429, 450, 500, 502, 503))
#: Tries that a client may be ahead of what its calls have earned.
_IN_ADVANCE = 10.0


@dataclass(frozen=True, slots=True)
class Retry:
    """How often, and after how long; see the table above."""

    tries: int = 3  # of one call in all; 1: never again
    first_wait_s: float = 0.025
    longest_wait_s: float = 1.0
    share: float = 0.2  # of all calls, tried once more; inf: no budget

    def __post_init__(self) -> None:
        if self.tries < 1:
            raise ValueError(f"tries is {self.tries}; a call is tried at least once")


class RetryBudget:
    """What the calls of one client have earned; for any number of threads."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._earned = _IN_ADVANCE
        self._lock = threading.Lock()

    def earn(self) -> None:
        """A call begins."""
        with self._lock:
            self._earned = min(self._earned + self._share, _IN_ADVANCE)

    def spend(self) -> bool:
        """Whether one more try may be made."""
        with self._lock:
            if self._earned < 1 and self._share < 1:
                return False
            self._earned -= 1
            return True


class Tries:
    """The tries of one call, and the time that is left for them."""

    def __init__(self, retry: Retry, budget: RetryBudget, timeout_s: float) -> None:
        self._retry = retry
        self._budget = budget
        self._timeout_s = timeout_s
        self._deadline = time.monotonic() + timeout_s
        self._failed = 0
        budget.earn()

    def left_s(self, url: str) -> float:
        """Seconds that are left for the next try; TimedOutError if there are none."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimedOutError(f"{url} did not answer within {self._timeout_s:g} s")
        return left

    def wait_s(self, error: ClientError, *, elsewhere: bool) -> float:
        """Seconds to wait after a failure; raises `error` if that was the last try.

        `elsewhere`: there is another address to ask.
        """
        self._failed += 1
        wait = self._backoff_s(error, elsewhere)
        worth_it = (
            (isinstance(error, UnreachableError) or error.code in _STATUSES)
            and self._failed < self._retry.tries
            and time.monotonic() + wait < self._deadline
            and self._budget.spend()
        )
        if not worth_it:
            if self._failed > 1:
                error.add_note(f"tried {self._failed} times")
            raise error
        return wait

    def _backoff_s(self, error: ClientError, elsewhere: bool) -> float:
        if error.retry_after_s is not None:
            return error.retry_after_s
        if elsewhere and isinstance(error, UnreachableError):
            return 0.0
        most = min(self._retry.first_wait_s * 2 ** (self._failed - 1), self._retry.longest_wait_s)
        return random.uniform(most / 2, most)
