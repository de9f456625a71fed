"""Requests per second, bounded."""

from __future__ import annotations

from time import monotonic

from recserve.errors import RateLimitError


class RateLimit:
    """A bucket that holds the requests of one second and fills at `per_second`; 0 lets everything in."""

    def __init__(self, per_second: float) -> None:
        self.per_second = per_second
        self._size = max(1.0, per_second)
        self._left = self._size
        self._at = monotonic()

    def take(self) -> None:
        """Let one request in, or raise RateLimitError."""
        if not self.per_second:
            return
        now = monotonic()
        self._left = min(self._size, self._left + (now - self._at) * self.per_second)
        self._at = now
        if self._left < 1.0:
            raise RateLimitError(
                f"no more than {self.per_second:g} requests per second are let in (rate_limit)"
            )
        self._left -= 1.0
