"""Both clients, against a real HTTP server that speaks the wire format."""

from __future__ import annotations

import asyncio
import inspect
import threading
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pytest

from recserve.client import (
    AsyncClient,
    Client,
    ClientError,
    NotAuthorizedError,
    NotReadyError,
    OverloadedError,
    RefusedError,
    Retry,
    ServiceError,
    TimedOutError,
    UnreachableError,
)
from recserve.columns import to_arrow
from recserve.errors import RequestError
from recserve.messages import ScoreResponse, TensorResponse
from recserve.wire import compression, tensors, torchrec
from recserve.wire.auth import Authorizer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.client.conftest import Answer, Answering, Received

    #: Calls made one after the other on one client, which is closed in the end; gives their results.
    Calls: TypeAlias = Callable[..., list[Any]]

ONCE = Retry(tries=1)


@pytest.fixture(params=["Client", "AsyncClient"])
def calls(request: pytest.FixtureRequest) -> Calls:
    """Make calls through either client: `calls(url, lambda client: client.score(…), …, **options)`."""

    def blocking(url: Any, *each: Callable[[Any], Any], **options: Any) -> list[Any]:
        with Client(url, options.pop("name", "rank"), **options) as client:
            return [call(client) for call in each]

    async def awaiting(url: Any, *each: Callable[[Any], Any], **options: Any) -> list[Any]:
        async with AsyncClient(url, options.pop("name", "rank"), **options) as client:
            return [await call(client) for call in each]

    def awaited(url: Any, *each: Callable[[Any], Any], **options: Any) -> list[Any]:
        return asyncio.run(awaiting(url, *each, **options))

    return blocking if request.param == "Client" else awaited


def score_a(client: Any) -> Any:
    return client.score(item_ids=["a"])


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


def test_scores_come_back_as_arrays_by_output_name(answering: Answering, calls: Calls) -> None:
    with answering(numbers) as server:
        (scores,) = calls(
            server.url,
            lambda client: client.score(user={"u": 1}, item_ids=["a", "b", "c"], context={"c": [1, 2, 3]}),
        )

    assert list(scores) == ["probs"]
    assert scores["probs"].tolist() == [0.0, 1.0, 2.0]
    assert scores.item_ids == ["a", "b", "c"]
    assert scores.request_id == "r-1"
    assert scores.stages_ms == {"decode": 0.25, "run": 3.5}
    assert scores.pass_through == {"model_version": "7"}
    assert server.received[0].head.startswith("POST /api/predict/rank HTTP/1.1")


def test_what_is_sent_is_what_was_given(answering: Answering, calls: Calls) -> None:
    with answering(numbers) as server:
        calls(
            server.url,
            lambda client: client.score(
                {"u": "x"},
                ["a"],
                item_features={"p": [2.5]},
                meta={"k": "v"},
                debug_level=2,
                neighbours=9,
                request_id="mine",
            ),
        )

    request = torchrec.Decoder().decode(server.received[0].body)
    assert to_arrow(request.user["u"]).to_pylist() == ["x"]
    assert to_arrow(request.item_features["p"]).to_pylist() == [2.5]
    assert (request.meta, request.debug_level, request.neighbours) == ({"k": "v"}, 2, 9)
    assert header_of(server.received[0], "X-Request-Id") == "mine"


def test_both_clients_take_the_same_arguments() -> None:
    for name in ("score", "send", "run", "post"):
        blocking, awaited = getattr(Client, name), getattr(AsyncClient, name)
        assert inspect.signature(blocking) == inspect.signature(awaited), name


def test_tensors_are_sent_and_answered_by_name_or_by_position(answering: Answering, calls: Calls) -> None:
    async def doubles(request: Received, _number: int) -> Answer:
        asked = tensors.decode(request.body)
        outputs = [2 * array for array in asked.inputs if array is not None]
        named = {name: 2 * array for name, array in asked.named_inputs.items()}
        chosen = [outputs[place] for place in asked.output_filter] or outputs
        return 200, {}, tensors.encode(TensorResponse(chosen, named))

    arrays = [np.array([1, 2], np.int32), [[0.5]], [3]]
    with answering(doubles) as server:
        by_name, by_place, chosen = calls(
            server.url,
            lambda client: client.run({"x": arrays[0]}),
            lambda client: client.run(arrays),
            lambda client: client.run(arrays, fetch=[1], debug_level=903),
        )

    assert {name: array.tolist() for name, array in by_name.named_outputs.items()} == {"x": [2, 4]}
    assert [array.tolist() for array in by_place.outputs] == [[2, 4], [[1.0]], [6]]
    assert [array.tolist() for array in chosen.outputs] == [[[1.0]]]
    assert tensors.decode(server.received[-1].body).debug_level == 903


def test_what_is_no_tensor_is_refused_before_it_is_sent(answering: Answering, calls: Calls) -> None:
    with answering(numbers) as server:
        with pytest.raises(RequestError, match="input 'x' is no tensor"):
            calls(server.url, lambda client: client.run({"x": [[1], [1, 2]]}))
        with pytest.raises(RequestError, match="inputs are one array; write"):
            calls(server.url, lambda client: client.run(np.zeros(2)))

    assert server.received == []


def test_connections_are_kept(answering: Answering, calls: Calls) -> None:
    with answering(numbers) as server:
        calls(server.url, *[score_a] * 5)

    assert server.connections == 1


def test_a_connection_that_the_server_closes_is_replaced(answering: Answering, calls: Calls) -> None:
    async def closes(request: Received, number: int) -> Answer:
        status, headers, body = await numbers(request, number)
        return status, {**headers, "Connection": "close"}, body

    with answering(closes) as server:
        calls(server.url, *[score_a] * 3, retry=ONCE)

    assert server.connections == 3


def test_a_token_is_sent_as_it_is_and_a_signature_proves_it_without_sending_it(
    answering: Answering, calls: Calls
) -> None:
    with answering(numbers) as server:
        for scheme in ("token", "signature"):
            calls(server.url, score_a, token="s3cret", scheme=scheme)
        calls(server.url, score_a)

    plain, signed, none = server.received
    assert header_of(plain, "Authorization") == "s3cret"
    assert "s3cret" not in signed.head
    names = ("authorization", "content-md5", "content-type", "date")
    Authorizer(["s3cret"]).check(
        "POST", "/api/predict/rank", {name: header_of(signed, name) for name in names}
    )
    assert header_of(none, "Authorization") == ""


@pytest.mark.parametrize("packed", compression.COMPRESSORS)
def test_requests_are_compressed_where_that_is_wanted(
    answering: Answering, calls: Calls, packed: str
) -> None:
    async def inflates(request: Received, number: int) -> Answer:
        request.body = compression.inflate(request.body, packed, 10_000)
        return await numbers(request, number)

    with answering(inflates) as server:
        (scores,) = calls(server.url, score_a, compression=packed)

    assert scores.item_ids == ["a"]


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
    answering: Answering, calls: Calls, status: int, error: type[ClientError]
) -> None:
    async def refuses(_request: Received, _number: int) -> Answer:
        return status, {"X-Request-Id": "r-2"}, b"not this way"

    message = f"/api/predict/rank answered {status}: not this way"
    with answering(refuses) as server, pytest.raises(error, match=message) as raised:
        calls(server.url, score_a, retry=ONCE)

    assert (raised.value.code, raised.value.request_id) == (status, "r-2")
    assert len(server.received) == 1


def test_an_answer_that_is_no_response_is_the_services_error(answering: Answering, calls: Calls) -> None:
    async def babbles(_request: Received, _number: int) -> Answer:
        return 200, {}, b"\xff\xff"

    message = "answered 200 with what is not a response"
    with answering(babbles) as server, pytest.raises(ServiceError, match=message):
        calls(server.url, score_a)

    assert len(server.received) == 1


def test_an_answer_that_is_no_http_is_unreachable(answering: Answering, calls: Calls) -> None:
    async def speaks_otherwise(_request: Received, _number: int) -> Answer:
        return -1, {}, b"220 mail.example ESMTP\r\n\r\n"

    with answering(speaks_otherwise) as server, pytest.raises(UnreachableError):
        calls(server.url, score_a, retry=ONCE)


def test_a_late_answer_is_a_timeout_and_no_server_is_unreachable(answering: Answering, calls: Calls) -> None:
    async def sleeps(_request: Received, _number: int) -> Answer:
        await asyncio.sleep(2)
        return 200, {}, b""

    with answering(sleeps) as server:
        with pytest.raises(TimedOutError, match="did not answer"):
            calls(server.url, score_a, timeout_s=0.1)
        assert len(server.received) == 1  # nothing is tried again when the time is spent
    with pytest.raises(UnreachableError, match="cannot be reached") as raised:
        calls(server.url, score_a)
    assert raised.value.__notes__ == ["tried 3 times"]


def test_many_tasks_share_few_connections(answering: Answering) -> None:
    async def run(url: str) -> int:
        async with AsyncClient(url, "rank", connections=4) as client:
            answers = await asyncio.gather(*(client.score(item_ids=[f"i{k}"]) for k in range(40)))
        return len({answer.item_ids[0] for answer in answers})

    with answering(numbers) as server:
        assert asyncio.run(run(server.url)) == 40

    assert server.connections <= 4


def test_a_task_that_is_cancelled_leaves_no_answer_for_the_next(answering: Answering) -> None:
    async def first_is_slow(request: Received, number: int) -> Answer:
        if number == 1:
            await asyncio.sleep(0.5)
        return await numbers(request, number)

    async def run(url: str) -> list[str]:
        async with AsyncClient(url, "rank", connections=1) as client:
            slow = asyncio.create_task(client.score(item_ids=["slow"]))
            while not server.received:
                await asyncio.sleep(0.001)
            slow.cancel()
            return list((await client.score(item_ids=["next"])).item_ids)

    with answering(first_is_slow) as server:
        assert asyncio.run(run(server.url)) == ["next"]


def test_a_client_is_safe_for_threads(answering: Answering) -> None:
    found: list[str] = []
    with answering(numbers) as server, Client(server.url, "rank") as client:

        def ask(worker: int) -> None:
            for k in range(10):
                item = f"{worker}-{k}"
                if client.score(item_ids=[item]).item_ids == [item]:
                    found.append(item)

        threads = [threading.Thread(target=ask, args=(worker,)) for worker in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert len(set(found)) == 80


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "where is the service"),
        ({"url": ""}, "where is the service"),
        ({"url": "http://a", "discovery": "http://b"}, "where is the service"),
        ({"url": "ftp://a"}, "'ftp://a' is not the URL of a server"),
        ({"url": "a", "compression": "brotli"}, "unknown compression 'brotli'; known: none, gzip"),
        ({"url": "a", "ca": "/no/such.pem"}, "/no/such.pem: no certificates can be read"),
    ],
)
def test_a_client_that_cannot_work_is_not_made(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        Client(name="rank", **arguments)


def test_a_client_shows_where_it_asks_and_no_token() -> None:
    client = Client("127.0.0.1:1/", "rank", "s3cret")

    assert repr(client) == "Client('http://127.0.0.1:1/api/predict/rank')"
    assert client.url == "http://127.0.0.1:1/api/predict/rank"
