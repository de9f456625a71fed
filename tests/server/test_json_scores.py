"""The JSON door: the same scores, limits and refusals as the predict route, in other words."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.processors.conftest import service_of, write_bundle
from tests.server.conftest import Rank, Running, running, running_bundle, tensors_of

from recserve.wire import json_scores, torchrec

if TYPE_CHECKING:
    from collections.abc import Iterator

    import urllib3

REQUEST: dict[str, Any] = {
    "user": {"taste": 5, "likes": {"a": 0.5, "b": 0.25}},
    "item_ids": ["i1", "i2", "i3", "nobody", "i1"],
    "context": {"hour": [0, 1, 2, 3, 4]},
}


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_bundle(write_bundle(tmp_path_factory.mktemp("json")), service_of()) as server:
        yield server


def post(
    server: Running, content: Any, path: str = "/v1/score/rank", **headers: str
) -> urllib3.BaseHTTPResponse:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    sent = {"Authorization": "token", **{name.replace("_", "-"): text for name, text in headers.items()}}
    return server.http.request("POST", path, body=body, headers=sent)


# --- features ---


def test_scores_come_as_lists_by_output_in_the_order_of_the_ids(scores: Running) -> None:
    response = post(scores, REQUEST)

    assert (response.status, response.headers["content-type"]) == (200, "application/json")
    assert json.loads(response.data) == {
        "item_ids": ["i1", "i2", "i3", "nobody", "i1"],
        "outputs": {"score": [6.5, 8.25, 10.0, -1.0, 10.5], "tags": [30.0, 0.0, 500.0, -1.0, 30.0]},
    }
    assert "decode;dur=" in response.headers["server-timing"]


@pytest.mark.parametrize("level", [0, 1, 2, 3, 903, 77])
@pytest.mark.parametrize(
    "change",
    [
        {},
        {"user": {}},
        {"user": {"taste": "5", "likes": "a:0.5\x1db:0.25"}},
        {"item_features": {"price": [9.5]}},
        {"item_features": {"price": [1, 2, None, 4, 5]}},
        {"context": {"hour": ["0", "", "2", "x", "4"]}},
        {"item_ids": [], "item_features": {"price": [1.5, 2.5], "cat": ["a", "b"]}, "context": {}},
    ],
)
def test_every_request_means_the_same_on_both_doors(
    scores: Running, change: dict[str, Any], level: int
) -> None:
    content = {**REQUEST, **change, "debug_level": level}
    body = torchrec.encode_request(json_scores.from_json(content))

    told, answer = post(scores, content), post(scores, body, "/api/predict/rank")

    assert told.status == answer.status
    if answer.status == 200:
        assert told.data == json_scores.encode(torchrec.decode_response(answer.data))
    else:
        assert json.loads(told.data)["detail"] == answer.data.decode()


def test_texts_of_features_come_by_item_id(scores: Running) -> None:
    told = json.loads(post(scores, {**REQUEST, "debug_level": 1}).data)

    assert told["outputs"] == {}
    assert told["generate_features"].keys() == told["raw_features"].keys() == set(REQUEST["item_ids"])


# --- tensors ---


def test_a_service_without_features_takes_tensors(rank: Rank) -> None:
    response = post(rank, {"inputs": {"x": [1.5, 2]}})

    assert (response.status, response.headers["content-type"]) == (200, "application/json")
    assert json.loads(response.data) == {
        "outputs": {"y": {"dtype": "float32", "shape": [2], "values": [3.0, 4.0]}}
    }


# --- what is refused ---


@pytest.mark.parametrize(
    ("status", "content", "path", "headers", "detail"),
    [
        (400, b"garbage", "/v1/score/rank", {}, "failed to parse request: "),
        (400, {"items": []}, "/v1/score/rank", {}, "unknown key 'items'"),
        (400, tensors_of(x=1), "/v1/score/rank", {}, "failed to parse request: "),
        (401, {}, "/v1/score/rank", {"Authorization": "wrong"}, "not authorized"),
        (404, {}, "/v1/score/other", {}, "no such path: /v1/score/other; this server answers"),
        (404, {}, "/v1/score/rank/sub", {}, "no such path"),
        (413, b"{" + b" " * 2000, "/v1/score/rank", {}, "max_body_bytes is 1000"),
    ],
)
def test_what_is_refused_is_a_problem_and_the_connection_lives_on(
    status: int, content: Any, path: str, headers: dict[str, str], detail: str
) -> None:
    with running(max_body_bytes=1000) as rank:
        response = post(rank, content, path, X_Request_Id="r1", **headers)
        told = json.loads(response.data)
        assert (response.status, response.headers["content-type"]) == (status, "application/problem+json")
        assert (told["status"], told["request_id"]) == (status, "r1")
        assert told.keys() == {"title", "status", "detail", "request_id"}
        assert detail in told["detail"]
        assert post(rank, {"inputs": {"x": [1]}}).status == 200
        assert rank.http.num_connections == 1


def test_a_method_that_the_path_lacks_is_405(rank: Rank) -> None:
    response = rank.get("/v1/score/rank", Authorization="token")

    assert (response.status, response.headers["allow"]) == (405, "POST")
    assert json.loads(response.data)["title"] == "Method Not Allowed"


def test_while_it_loads_the_door_says_so() -> None:
    with running(ready=False) as rank:
        response = post(rank, {})
        if response.status == 503:  # it may have become ready meanwhile
            assert json.loads(response.data)["detail"] == "no healthy upstream"


def test_a_failure_of_ours_is_told_without_our_insides(rank: Rank) -> None:
    response = post(rank, {"inputs": {"x": [1], "fail": [1]}})

    assert response.status == 500
    assert b"internal" not in response.data
    assert "under request id" in json.loads(response.data)["detail"]


def test_the_rate_is_one_for_all_doors() -> None:
    with running(rate_limit=0.01) as rank:
        assert rank.post().status == 200
        response = post(rank, {"inputs": {"x": [1]}})
        assert (response.status, json.loads(response.data)["title"]) == (429, "Too Many Requests")


def test_a_request_over_its_budget_is_408_and_closes() -> None:
    with running(keepalive=150) as rank:
        response = post(rank, {"inputs": {"x": [1], "wait": [1]}})
        assert (response.status, response.headers["connection"]) == (408, "close")
        assert json.loads(response.data)["title"] == "Request Timeout"


def test_a_full_queue_has_a_title_too() -> None:
    with running(worker_threads=1, max_queue_size=0) as rank:
        rank.server._pool.capacity = 0
        response = post(rank, {"inputs": {"x": [1]}})
        assert (response.status, json.loads(response.data)["title"]) == (450, "Queue Full")


# --- compression and counts ---


@pytest.mark.parametrize("decompressor", ["", "gzip", "snappy", "none"])
def test_a_body_that_is_json_at_sight_is_plain_whatever_the_service_unpacks(decompressor: str) -> None:
    with running(decompressor=decompressor) as rank:
        assert post(rank, {"inputs": {"x": [1]}}).status == 200


def test_a_packed_body_is_unpacked(rank: Rank) -> None:
    assert post(rank, gzip.compress(b'{"inputs": {"x": [1]}}')).status == 200


def test_requests_are_counted_by_door(rank: Rank) -> None:
    post(rank, {"inputs": {"x": [1]}})
    post(rank, b"{")
    rank.post()

    assert rank.metric("recserve_requests_total", door="json", status="200") == 1
    assert rank.metric("recserve_requests_total", door="json", status="400") == 1
    assert rank.metric("recserve_requests_total", door="predict", status="200") == 1


def test_numbers_survive_the_way_through_json() -> None:
    values = np.random.default_rng(1).normal(size=100).astype(np.float32)
    with running() as rank:
        told = json.loads(post(rank, {"inputs": {"x": values.tolist()}}).data)
        assert np.array_equal(np.array(told["outputs"]["y"]["values"], np.float32), 2 * values)
