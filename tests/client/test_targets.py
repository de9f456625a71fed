"""Several addresses: each has its turn, those that fail rest, and discovery says who there is."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from tests.client.test_client import calls, numbers, score_a

from recserve.client import NotReadyError, OverloadedError, Retry, ServiceError, UnreachableError
from recserve.client.targets import Discovery, Targets, discovered

if TYPE_CHECKING:
    from tests.client.conftest import Answer, Answering, Received
    from tests.client.test_client import Calls

__all__ = ["calls"]  # the fixture

GONE = "http://127.0.0.1:1"


def test_addresses_have_their_turn_by_weight_and_evenly() -> None:
    targets = Targets([("a", 3), ("b", 1), ("none", 0)])

    turns = [targets.next() for _ in range(8)]

    assert turns == ["a", "a", "b", "a"] * 2


def test_an_address_that_fails_rests_and_works_again() -> None:
    targets = Targets([("a", 1), ("b", 1)])

    targets.failed("a", UnreachableError("gone"))
    assert {targets.next() for _ in range(4)} == {"b"}
    assert not targets.others("b")
    targets.worked("a")
    assert {targets.next() for _ in range(4)} == {"a", "b"}


def test_when_all_rest_the_one_that_is_up_first_is_asked() -> None:
    targets = Targets([("a", 1), ("b", 1)])
    targets.failed("b", NotReadyError("loading", 503))
    for _ in range(3):
        targets.failed("a", UnreachableError("gone"))

    assert {targets.next() for _ in range(4)} == {"b"}


def test_who_is_busy_does_not_rest_but_is_not_asked_twice_in_a_row() -> None:
    targets = Targets([("a", 1), ("b", 1)])

    targets.failed("a", OverloadedError("busy", 450))

    assert [targets.next(but="a") for _ in range(3)] == ["b"] * 3
    assert {targets.next() for _ in range(4)} == {"a", "b"}


def test_nothing_replaces_nothing() -> None:
    targets = Targets([("a", 1)])

    targets.replace([])
    targets.replace([("b", 0)])
    assert targets.next() == "a"
    with pytest.raises(UnreachableError, match="no address"):
        Targets().next()


def test_calls_go_to_all_servers_in_turn(answering: Answering, calls: Calls) -> None:
    with answering(numbers) as one, answering(numbers) as other:
        calls([one.url, other.url], *[score_a] * 6)

    assert (len(one.received), len(other.received)) == (3, 3)


def test_a_server_that_is_gone_costs_no_call(answering: Answering, calls: Calls) -> None:
    with answering(numbers) as server:
        answers = calls([GONE, server.url], *[score_a] * 5)

    assert len(answers) == len(server.received) == 5


def test_a_server_that_is_not_ready_is_left_alone(answering: Answering, calls: Calls) -> None:
    async def loading(_request: Received, _number: int) -> Answer:
        return 503, {}, b"no healthy upstream"

    with answering(loading) as one, answering(numbers) as other:
        answers = calls([one.url, other.url], *[score_a] * 5, retry=Retry(first_wait_s=0.001))

    assert len(answers) == len(other.received) == 5
    assert len(one.received) == 1


def listing(*items: dict[str, Any]) -> bytes:
    return json.dumps({"endpoints": {"items": items}}).encode()


def endpoint_of(url: str, weight: int = 1) -> dict[str, Any]:
    ip, _, port = url.removeprefix("http://").partition(":")
    return {"app": "rank", "ip": ip, "port": int(port), "weight": weight}


def test_discovery_says_who_serves(answering: Answering, calls: Calls) -> None:
    with ExitStack() as servers:
        one, other = (servers.enter_context(answering(numbers)) for _ in range(2))

        async def tell(_request: Received, _number: int) -> Answer:
            return 200, {}, listing(endpoint_of(one.url, 3), endpoint_of(other.url))

        told = servers.enter_context(answering(tell))
        calls("", *[score_a] * 8, discovery=told.url, name="rank/sub")

    assert (len(one.received), len(other.received)) == (6, 2)
    assert told.received[0].head.startswith("GET /api/v1/servicediscovery/upstreams/rank HTTP/1.1")
    assert one.received[0].head.startswith("POST /api/predict/rank/sub HTTP/1.1")
    assert len(told.received) == 1  # an answer counts for some seconds


def test_without_an_answer_of_discovery_there_is_nobody_to_ask(answering: Answering, calls: Calls) -> None:
    async def loading(_request: Received, _number: int) -> Answer:
        return 503, {}, b"no healthy upstream"

    with pytest.raises(UnreachableError):
        calls("", score_a, discovery=GONE, retry=Retry(first_wait_s=0.001))
    with answering(loading) as server, pytest.raises(NotReadyError):
        calls("", score_a, discovery=server.url, retry=Retry(first_wait_s=0.001))
    assert len(server.received) == 3


def test_a_failed_look_up_leaves_what_is_known() -> None:
    targets = Targets([("http://a", 1)])
    discovery = Discovery("b", "rank", targets)

    assert discovery.due()
    assert not discovery.due()  # somebody asks already
    discovery.asked(None)
    assert targets.next() == "http://a"
    assert not discovery.due()  # not again at once
    with pytest.raises(ServiceError, match="no list of endpoints"):
        discovery.asked(b"{}")


@pytest.mark.parametrize(
    "answer", [b"", b"[]", b'{"endpoints": 1}', b'{"endpoints": {"items": [{"ip": "1.1.1.1"}]}}', b"\xff"]
)
def test_what_is_no_list_of_endpoints_is_the_servers_error(answer: bytes) -> None:
    with pytest.raises(ServiceError, match="http://d answered 200 with what is no list of endpoints"):
        discovered("http://d", answer)
