"""The Open Inference Protocol over real sockets."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.processors.conftest import service_of, write_bundle
from tests.server.conftest import Doubler, Rank, Running, running, running_bundle

if TYPE_CHECKING:
    from pathlib import Path

    import urllib3

INFER = "/v2/models/rank/infer"
X = {"inputs": [{"name": "x", "shape": [2], "datatype": "FP32", "data": [1.5, 2.0]}]}


def infer(server: Running, content: Any, path: str = INFER, **headers: str) -> urllib3.BaseHTTPResponse:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    sent = {"Authorization": "token", **{name.replace("_", "-"): text for name, text in headers.items()}}
    return server.http.request("POST", path, body=body, headers=sent)


@pytest.mark.parametrize("path", [INFER, "/v2/models/rank/versions/1/infer"])
def test_tensors_are_answered(rank: Rank, path: str) -> None:
    response = infer(rank, {**X, "id": "r"}, path)

    assert (response.status, response.headers["content-type"]) == (200, "application/json")
    assert json.loads(response.data) == {
        "model_name": "rank",
        "model_version": "1",
        "id": "r",
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [2], "data": [3.0, 4.0]}],
    }


def test_binary_data_comes_and_goes_behind_the_json(rank: Rank) -> None:
    values = np.arange(1000, dtype="<f4")
    entry = {"name": "x", "shape": [1000], "datatype": "FP32", "parameters": {"binary_data_size": 4000}}
    head = json.dumps({"inputs": [entry], "parameters": {"binary_data_output": True}}).encode()

    response = infer(rank, head + values.tobytes(), Inference_Header_Content_Length=str(len(head)))

    end = int(response.headers["inference-header-content-length"])
    assert response.headers["content-type"] == "application/octet-stream"
    assert json.loads(response.data[:end])["outputs"][0]["parameters"] == {"binary_data_size": 4000}
    assert np.array_equal(np.frombuffer(response.data[end:], "<f4"), 2 * values)


def test_server_and_model_describe_themselves(rank: Rank) -> None:
    server = json.loads(rank.get("/v2", Authorization="token").data)
    model = json.loads(rank.get("/v2/models/rank", Authorization="token").data)

    assert server["name"] == "recserve"
    assert server["extensions"] == ["binary_tensor_data"]
    assert model == {
        "name": "rank",
        "versions": ["1"],
        "platform": "doubler",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1]}],
    }


@pytest.mark.parametrize("path", ["/v2", "/v2/models/rank", "/v2/models/rank/versions/1"])
def test_what_describes_needs_the_token(rank: Rank, path: str) -> None:
    response = rank.get(path)

    assert response.status == 401
    assert json.loads(response.data).keys() == {"error"}


def test_health_needs_none_and_follows_the_life_of_the_server() -> None:
    gate = threading.Event()

    def load() -> Doubler:
        gate.wait(20)
        return Doubler()

    with running(load, ready=False) as rank:
        assert rank.get("/v2/health/live").status == 200
        loading = [rank.get(path).status for path in ("/v2/health/ready", "/v2/models/rank/ready")]
        refused = infer(rank, X)
        gate.set()
        while rank.get("/readyz").status != 200:
            pass
        ready = [rank.get(path).status for path in ("/v2/health/ready", "/v2/models/rank/ready")]

    assert (loading, ready) == ([503, 503], [200, 200])
    assert (refused.status, json.loads(refused.data)) == (503, {"error": "no healthy upstream"})


@pytest.mark.parametrize(
    ("status", "content", "path", "headers"),
    [
        (400, b"garbage", INFER, {}),
        (400, {"inputs": [{"name": "x"}]}, INFER, {}),
        (400, {**X, "outputs": [{"name": "z"}]}, INFER, {}),
        (400, X, INFER, {"Inference_Header_Content_Length": "x"}),
        (400, X, INFER, {"Inference_Header_Content_Length": "9" * 30}),
        (401, X, INFER, {"Authorization": "wrong"}),
        (404, X, "/v2/models/other/infer", {}),
        (404, X, "/v2/models/rank/versions/2/infer", {}),
        (405, X, "/v2/models/rank", {}),
        (413, b"{" + b" " * 2000, INFER, {}),
    ],
)
def test_what_is_refused_is_an_error_object(
    status: int, content: Any, path: str, headers: dict[str, str]
) -> None:
    with running(max_body_bytes=1000) as rank:
        response = infer(rank, content, path, **headers)
        told = json.loads(response.data)
        assert (response.status, told.keys()) == (status, {"error"})
        assert isinstance(told["error"], str)
        assert infer(rank, X).status == 200
        assert rank.metric("recserve_requests_total", door="open_inference", status=str(status)) == 1


def test_a_service_with_features_describes_itself_and_refuses_tensors(tmp_path: Path) -> None:
    with running_bundle(write_bundle(tmp_path), service_of()) as server:
        model = json.loads(server.get("/v2/models/rank", Authorization="token").data)
        response = infer(server, X)

    assert {"name": "taste", "datatype": "BYTES", "shape": [1]} in model["inputs"]
    assert response.status == 400
    assert "ask /v1/score/rank" in json.loads(response.data)["error"]
