from __future__ import annotations

import pytest

from recserve.errors import RateLimitError
from recserve.server import rate_limit
from recserve.server.rate_limit import RateLimit


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(rate_limit, "monotonic", lambda: now[0])
    return now


def let_in(limit: RateLimit, requests: int) -> int:
    count = 0
    for _ in range(requests):
        try:
            limit.take()
            count += 1
        except RateLimitError:
            pass
    return count


@pytest.mark.parametrize(("per_second", "expected"), [(5, 5), (0.5, 1), (0, 100)])
def test_one_second_of_requests_is_let_in_at_once(
    clock: list[float], per_second: float, expected: int
) -> None:
    assert let_in(RateLimit(per_second), 100) == expected


def test_the_bucket_fills_with_time_and_not_above_one_second(clock: list[float]) -> None:
    limit = RateLimit(10)
    let_in(limit, 100)

    clock[0] += 0.35
    assert let_in(limit, 100) == 3
    clock[0] += 60
    assert let_in(limit, 100) == 10
