"""The load generator, against a real server whose answers the test decides."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from recserve.client.errors import UnreachableError
from recserve.client.load import LoadPlan, percentile, run_load
from recserve.errors import RequestError

if TYPE_CHECKING:
    from tests.client.conftest import Answer, Answering, Received


async def ok(_request: Received, _number: int) -> Answer:
    return 200, {}, b"scores"


def test_a_closed_loop_sends_what_is_planned_over_one_connection_per_caller(
    answering: Answering,
) -> None:
    with answering(ok) as server:
        result = run_load(server.url, [b"a", b"b"], LoadPlan(duration_s=30, requests=100, concurrency=4))

    assert (result.loop, result.requests, result.answered, result.failures) == ("closed", 100, 100, {})
    assert server.connections <= 4
    assert [request.body for request in server.received].count(b"a") == 50


def test_a_run_ends_with_its_duration(answering: Answering) -> None:
    with answering(ok) as server:
        result = run_load(server.url, [b"a"], LoadPlan(duration_s=0.3, concurrency=2))

    assert result.requests == len(server.received) > 10
    assert result.throughput == pytest.approx(result.answered / result.duration_s)


def test_an_open_loop_keeps_its_rate(answering: Answering) -> None:
    with answering(ok) as server:
        plan = LoadPlan(duration_s=0.5, rate=200, arrivals="constant", concurrency=8)
        result = run_load(server.url, [b"a"], plan)

    assert (result.loop, result.answered) == ("open", 100)


def test_random_arrivals_are_the_same_for_the_same_seed(answering: Answering) -> None:
    with answering(ok) as server:
        plan = LoadPlan(duration_s=0.5, rate=200, concurrency=8, seed=1)
        counts = {run_load(server.url, [b"a"], plan).requests for _ in range(2)}

    assert len(counts) == 1
    assert 60 < counts.pop() < 140


def test_a_stall_counts_for_every_request_that_it_delayed(answering: Answering) -> None:
    """Coordinated omission: one stall of 500 ms at 100 requests per second delays fifty, not one."""

    async def stalls_once(_request: Received, number: int) -> Answer:
        if number == 20:
            await asyncio.sleep(0.5)
        return 200, {}, b"x"

    with answering(stalls_once) as server:
        plan = LoadPlan(duration_s=1, rate=100, arrivals="constant", concurrency=1)
        result = run_load(server.url, [b"a"], plan)

    delayed = int((result.latencies_ms > 100).sum())
    assert result.answered == 100
    assert delayed >= 35  # those due in the first 400 ms of the stall, at least
    assert result.p50_ms < 400 < result.max_ms


def test_a_closed_loop_sees_the_same_stall_once(answering: Answering) -> None:
    async def stalls_once(_request: Received, number: int) -> Answer:
        if number == 20:
            await asyncio.sleep(0.5)
        return 200, {}, b"x"

    with answering(stalls_once) as server:
        result = run_load(server.url, [b"a"], LoadPlan(requests=100))

    assert int((result.latencies_ms > 400).sum()) == 1


def test_latencies_are_those_that_the_server_took(answering: Answering) -> None:
    async def slow(_request: Received, number: int) -> Answer:
        await asyncio.sleep(0.2 if number % 10 == 0 else 0.0)
        return 200, {}, b"x"

    with answering(slow) as server:
        result = run_load(server.url, [b"a"], LoadPlan(duration_s=30, requests=50))

    assert int((result.latencies_ms >= 200).sum()) == 5
    assert result.p50_ms < 200 <= result.p99_ms <= result.p999_ms <= result.max_ms


def test_failures_are_counted_by_status_and_not_as_latencies(answering: Answering) -> None:
    async def mixed(_request: Received, number: int) -> Answer:
        return (450 if number % 4 == 0 else 200), {}, b"x"

    with answering(mixed) as server:
        result = run_load(server.url, [b"a"], LoadPlan(requests=40))

    assert (result.answered, result.failures) == (30, {"450": 10})
    assert len(result.latencies_ms) == 30


def test_refusals_have_latencies_of_their_own(answering: Answering) -> None:
    async def slow_refusals(_request: Received, number: int) -> Answer:
        await asyncio.sleep(0.2 if number % 2 == 0 else 0)
        return (450 if number % 2 == 0 else 200), {}, b"x"

    with answering(slow_refusals) as server:
        result = run_load(server.url, [b"a"], LoadPlan(requests=10))

    assert 200 <= result.refused_p50_ms <= result.refused_p99_ms
    assert int((result.latencies_ms >= 200).sum()) == 0


def test_without_a_refusal_there_is_no_latency_of_one(answering: Answering) -> None:
    async def echo(_request: Received, number: int) -> Answer:
        return 200, {}, b"x"

    with answering(echo) as server:
        result = run_load(server.url, [b"a"], LoadPlan(requests=3))

    assert result.to_json()["refused_p50_ms"] is None


def test_after_a_timeout_the_connection_is_not_used_again(
    answering: Answering,
) -> None:
    async def never(_request: Received, number: int) -> Answer:
        await asyncio.sleep(0.3 if number == 1 else 0)
        return 200, {}, b"x"

    with answering(never) as server:
        result = run_load(server.url, [b"a"], LoadPlan(requests=3, timeout_s=0.1))

        assert result.failures == {"timeout": 1}
        assert server.connections == 2


def test_a_connection_that_the_server_closes_is_opened_again(answering: Answering) -> None:
    async def closes(_request: Received, number: int) -> Answer:
        return 200, {"Connection": "close"} if number % 2 else {}, b"x"

    with answering(closes) as server:
        result = run_load(server.url, [b"a"], LoadPlan(requests=10))

    assert (result.answered, server.connections) == (10, 6)


def test_a_connection_dropped_before_the_answer_is_a_failure(answering: Answering) -> None:
    async def drops(_request: Received, number: int) -> Answer:
        return (-1 if number == 2 else 200), {}, b"x"

    with answering(drops) as server:
        result = run_load(server.url, [b"a"], LoadPlan(requests=5))

    assert (result.answered, result.failures) == (4, {"connection": 1})


def test_the_warm_up_is_sent_and_not_counted(answering: Answering) -> None:
    with answering(ok) as server:
        plan = LoadPlan(duration_s=0.2, warm_up_s=0.2, rate=100, arrivals="constant", concurrency=4)
        result = run_load(server.url, [b"a"], plan)

        assert result.requests == 20
        assert len(server.received) == 40


def test_headers_reach_the_server(answering: Answering) -> None:
    with answering(ok) as server:
        run_load(
            f"{server.url}/api/predict/m?x=1", [b"a"], LoadPlan(requests=1), headers={"Authorization": "t"}
        )

    head = server.received[0].head
    assert head.startswith("POST /api/predict/m?x=1 HTTP/1.1\r\n")
    assert "\r\nAuthorization: t\r\n" in head


def test_progress_goes_from_zero_to_about_one(answering: Answering) -> None:
    seen: list[float] = []
    with answering(ok) as server:
        run_load(server.url, [b"a"], LoadPlan(duration_s=0.5), progress=seen.append)

    assert seen == sorted(seen)
    assert 0 <= seen[0] < 0.3 < seen[-1] <= 1


def test_a_server_that_is_not_there_is_an_error_at_once(answering: Answering) -> None:
    with answering(ok) as server:
        url = server.url
    with pytest.raises(UnreachableError, match=r"127\.0\.0\.1:\d+: "):
        run_load(url, [b"a"], LoadPlan())


def test_an_answer_that_is_not_http_is_a_failure(answering: Answering) -> None:
    async def speaks_another_language(_request: Received, _number: int) -> Answer:
        return -1, {}, b"SSH-2.0-x\r\n"

    with answering(speaks_another_language) as server:
        result = run_load(server.url, [b"a"], LoadPlan(requests=1))

    assert result.failures == {"connection": 1}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"duration_s": 0}, "duration_s is 0; it must be greater than 0"),
        ({"concurrency": -1}, "concurrency is -1"),
        ({"rate": 0}, "rate is 0"),
        ({"warm_up_s": -1}, "warm_up_s is -1; it must not be negative"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(values: dict[str, float], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        LoadPlan(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("url", ["ftp://a/b", "http://", ""])
def test_what_is_no_url_of_a_service_is_refused(url: str) -> None:
    with pytest.raises(RequestError, match="is not the URL of a service"):
        run_load(url, [b"a"], LoadPlan())


@pytest.mark.parametrize(
    ("share", "expected"), [(0, 1), (50, 500), (90, 900), (99, 990), (99.9, 999), (99.91, 1000), (100, 1000)]
)
def test_a_percentile_is_a_value_that_was_measured(share: float, expected: float) -> None:
    assert percentile(np.arange(1.0, 1001.0), share) == expected


def test_figures_without_an_answer_are_null_in_json(answering: Answering) -> None:
    async def refuses(_request: Received, _number: int) -> Answer:
        return 401, {}, b"not authorized"

    with answering(refuses) as server:
        figures = run_load(server.url, [b"a"], LoadPlan(requests=2)).to_json()

    assert json.loads(json.dumps(figures, allow_nan=False))["p99_ms"] is None
    assert figures["failures"] == {"401": 2}
