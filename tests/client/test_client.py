"""The client, against a real HTTP server that speaks the wire format."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import numpy as np
import pytest

from recserve.client.client import Client, Scheme, Scores, server_timing
from recserve.client.errors import (
    ClientError,
    NotAuthorizedError,
    NotReadyError,
    OverloadedError,
    RefusedError,
    ServiceError,
    TimedOutError,
    UnreachableError,
)
from recserve.columns import to_arrow
from recserve.messages import ScoreResponse
from recserve.wire import torchrec
from recserve.wire.auth import Authorizer

if TYPE_CHECKING:
    from tests.client.conftest import Answer, Answering, Received


async def numbers(request: Received, _number: int) -> Answer:
    """Score item k with k."""
    asked = torchrec.Decoder().decode(request.body)
    scores = np.arange(asked.rows, dtype=np.float32)
    response = ScoreResponse(asked.item_ids, {"probs": scores}, {"model_version": "7"})
    headers = {"X-Request-Id": "r-1", "Server-Timing": "decode;dur=0.25, run;dur=3.5"}
    return 200, headers, torchrec.encode(response)


def header_of(request: Received, name: str) -> str:
    lines = dict(line.split(": ", 1) for line in request.head.split("\r\n")[1:] if line)
    return {key.lower(): value for key, value in lines.items()}.get(name.lower(), "")


def test_scores_come_back_as_arrays_by_output_name(answering: Answering) -> None:
    with answering(numbers) as server, Client(server.url, "rank") as client:
        scores = client.score(user={"u": 1}, item_ids=["a", "b", "c"], context={"c": [1, 2, 3]})

    assert list(scores) == ["probs"]
    assert scores["probs"].tolist() == [0.0, 1.0, 2.0]
    assert scores.item_ids == ["a", "b", "c"]
    assert scores.request_id == "r-1"
    assert scores.stages_ms == {"decode": 0.25, "run": 3.5}
    assert scores.pass_through == {"model_version": "7"}
    assert server.received[0].head.startswith("POST /api/predict/rank HTTP/1.1")


def test_what_is_sent_is_what_was_given(answering: Answering) -> None:
    with answering(numbers) as server, Client(server.url, "rank") as client:
        client.score({"u": "x"}, ["a"], item_features={"p": [2.5]}, meta={"k": "v"}, request_id="mine")

    request = torchrec.Decoder().decode(server.received[0].body)
    assert to_arrow(request.user["u"]).to_pylist() == ["x"]
    assert to_arrow(request.item_features["p"]).to_pylist() == [2.5]
    assert request.meta == {"k": "v"}
    assert header_of(server.received[0], "X-Request-Id") == "mine"


def test_connections_are_kept(answering: Answering) -> None:
    with answering(numbers) as server, Client(server.url, "rank") as client:
        for _ in range(5):
            client.score(item_ids=["a"])

    assert server.connections == 1


def test_a_token_is_sent_as_it_is_and_a_signature_proves_it_without_sending_it(answering: Answering) -> None:
    with answering(numbers) as server:
        schemes: tuple[Scheme, Scheme] = ("token", "signature")
        for scheme in schemes:
            with Client(server.url, "rank", "s3cret", scheme=scheme) as client:
                client.score(item_ids=["a"])
        with Client(server.url, "rank") as client:
            client.score(item_ids=["a"])

    plain, signed, none = server.received
    assert header_of(plain, "Authorization") == "s3cret"
    assert "s3cret" not in signed.head
    names = ("authorization", "content-md5", "content-type", "date")
    Authorizer(["s3cret"]).check(
        "POST", "/api/predict/rank", {name: header_of(signed, name) for name in names}
    )
    assert header_of(none, "Authorization") == ""


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, RefusedError),
        (401, NotAuthorizedError),
        (404, RefusedError),
        (408, TimedOutError),
        (413, RefusedError),
        (429, OverloadedError),
        (450, OverloadedError),
        (500, ServiceError),
        (503, NotReadyError),
        (504, ServiceError),
    ],
)
def test_a_status_becomes_its_error_with_the_text_of_the_service(
    answering: Answering, status: int, error: type[ClientError]
) -> None:
    async def refuses(_request: Received, _number: int) -> Answer:
        return status, {"X-Request-Id": "r-2"}, b"not this way"

    message = f"/api/predict/rank answered {status}: not this way"
    with (
        answering(refuses) as server,
        Client(server.url, "rank") as client,
        pytest.raises(error, match=message) as raised,
    ):
        client.score(item_ids=["a"])

    assert (raised.value.code, raised.value.request_id) == (status, "r-2")
    assert len(server.received) == 1  # whether to try again is the caller's decision


def test_an_answer_that_is_no_response_is_the_services_error(answering: Answering) -> None:
    async def babbles(_request: Received, _number: int) -> Answer:
        return 200, {}, b"\xff\xff"

    message = "answered 200 with what is not a response"
    with (
        answering(babbles) as server,
        Client(server.url, "rank") as client,
        pytest.raises(ServiceError, match=message),
    ):
        client.score(item_ids=["a"])


def test_a_late_answer_is_a_timeout_and_no_server_is_unreachable(answering: Answering) -> None:
    async def sleeps(_request: Received, _number: int) -> Answer:
        await asyncio.sleep(2)
        return 200, {}, b""

    with answering(sleeps) as server, pytest.raises(TimedOutError, match="did not answer in time"):
        Client(server.url, "rank", timeout_s=0.1).score(item_ids=["a"])
    with Client(server.url, "rank") as client, pytest.raises(UnreachableError, match="cannot be reached"):
        client.score(item_ids=["a"])


def test_the_best_items_come_first_and_equal_ones_in_the_order_sent() -> None:
    scores = Scores({"p": np.array([0.1, 0.9, 0.9])}, ["a", "b", "c"])

    assert scores.top(2) == [("b", 0.9), ("c", 0.9)]


@pytest.mark.parametrize(
    ("header", "stages"),
    [("", {}), ("run;dur=1.5", {"run": 1.5}), ('a;desc="x";dur=2, cache', {"a": 2.0})],
)
def test_server_timing_is_read(header: str, stages: dict[str, float]) -> None:
    assert server_timing(header) == stages
