"""What is tried again, how often, after how long, and when not."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

import pytest
from tests.client.test_client import calls, numbers, score_a

from recserve.client import ClientError, OverloadedError, Retry, UnreachableError
from recserve.client.errors import NotReadyError, TimedOutError, retry_after_s
from recserve.client.retry import RetryBudget, Tries

if TYPE_CHECKING:
    from tests.client.conftest import Answer, Answerer, Answering, Received
    from tests.client.test_client import Calls

__all__ = ["calls"]  # the fixture

QUICK = Retry(tries=4, first_wait_s=0.001, longest_wait_s=0.002)


def fails(times: int, status: int, **headers: str) -> Answerer:
    """Answer so many requests with a status, and then scores."""

    async def answer(request: Received, number: int) -> Answer:
        if number > times:
            return await numbers(request, number)
        return status, {name.replace("_", "-"): value for name, value in headers.items()}, b"later"

    return answer


@pytest.mark.parametrize("status", [429, 450, 500, 502, 503])
def test_what_may_pass_is_tried_again(answering: Answering, calls: Calls, status: int) -> None:
    with answering(fails(3, status)) as server:
        (scores,) = calls(server.url, score_a, retry=QUICK)

    assert scores.item_ids == ["a"]
    assert len(server.received) == 4


@pytest.mark.parametrize("status", [400, 401, 404, 405, 408, 413, 501, 504])
def test_what_will_not_pass_is_not(answering: Answering, calls: Calls, status: int) -> None:
    with answering(fails(1, status)) as server, pytest.raises(ClientError):
        calls(server.url, score_a, retry=QUICK)

    assert len(server.received) == 1


def test_after_the_last_try_the_error_says_how_many_there_were(answering: Answering, calls: Calls) -> None:
    with answering(fails(9, 450)) as server, pytest.raises(OverloadedError, match="later") as raised:
        calls(server.url, score_a, retry=QUICK)

    assert raised.value.__notes__ == ["tried 4 times"]
    assert len(server.received) == 4


def test_a_broken_connection_is_tried_again(answering: Answering, calls: Calls) -> None:
    async def breaks_once(request: Received, number: int) -> Answer:
        return (-1, {}, b"") if number == 1 else await numbers(request, number)

    with answering(breaks_once) as server:
        calls(server.url, score_a, retry=QUICK)

    assert len(server.received) == 2


def test_retry_after_is_kept_to_where_there_is_time_for_it(answering: Answering, calls: Calls) -> None:
    with answering(fails(1, 429, Retry_After="1")) as server:
        begin = time.monotonic()
        calls(server.url, score_a, retry=QUICK)
        assert time.monotonic() - begin >= 1
    with answering(fails(1, 503, Retry_After="60")) as server, pytest.raises(NotReadyError) as raised:
        calls(server.url, score_a, retry=QUICK)
    assert raised.value.retry_after_s == 60
    assert len(server.received) == 1


def test_all_tries_share_the_timeout_of_the_call(answering: Answering, calls: Calls) -> None:
    async def slow_then_busy(_request: Received, _number: int) -> Answer:
        await asyncio.sleep(0.2)
        return 500, {}, b"failed"

    with answering(slow_then_busy) as server, pytest.raises(ClientError):
        calls(server.url, score_a, timeout_s=0.5, retry=Retry(tries=99, first_wait_s=0.001))

    assert 2 <= len(server.received) <= 3


def test_a_budget_keeps_an_overload_from_growing() -> None:
    """A hundred calls that all fail ask some thirty times more, not three hundred times."""
    budget, again = RetryBudget(0.2), 0
    for _ in range(100):
        tries = Tries(QUICK, budget, 1.0)
        with suppress(OverloadedError):
            while True:
                tries.wait_s(OverloadedError("busy", 450), elsewhere=False)
                again += 1

    assert 25 <= again <= 35


def test_another_address_is_asked_at_once_and_the_same_one_later() -> None:
    def wait_s(error: ClientError, *, elsewhere: bool) -> float:
        return Tries(Retry(), RetryBudget(1), 5.0).wait_s(error, elsewhere=elsewhere)

    assert wait_s(UnreachableError("gone"), elsewhere=True) == 0
    assert wait_s(UnreachableError("gone"), elsewhere=False) > 0
    assert wait_s(OverloadedError("busy", 450), elsewhere=True) > 0


def test_waits_grow_differ_and_stay_bounded() -> None:
    def waits() -> list[float]:
        tries = Tries(Retry(tries=99, first_wait_s=0.01, longest_wait_s=0.1), RetryBudget(1), 5.0)
        return [tries.wait_s(OverloadedError("busy", 450), elsewhere=False) for _ in range(9)]

    first, second = waits(), waits()
    bounds = [min(0.01 * 2**k, 0.1) for k in range(9)]
    assert all(bound / 2 <= wait <= bound for wait, bound in zip(first, bounds, strict=True))
    assert first != second


def test_time_that_is_spent_is_a_timeout() -> None:
    with pytest.raises(TimedOutError, match="http://a did not answer within 0 s"):
        Tries(Retry(), RetryBudget(1), 0.0).left_s("http://a")


def test_a_call_is_tried_at_least_once() -> None:
    with pytest.raises(ValueError, match="tries is 0"):
        Retry(tries=0)


def test_retry_after_is_a_number_or_a_date() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)

    assert retry_after_s(" 7 ") == 7
    assert 28 <= (retry_after_s(later) or 0) <= 30
    assert retry_after_s("Fri, 20 Nov 2020 18:00:00 GMT") == 0
    assert retry_after_s("Fri, 20 Nov 2020 18:00:00 -0000") == 0
    assert [retry_after_s(text) for text in ("", "soon", "-1", "1.5", "٣")] == [None] * 5
