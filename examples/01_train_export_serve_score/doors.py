"""One request by every door of a service, and the time that each takes a caller.

recserve.client   protobuf    /api/predict/<service>, by its address or by discovery
urllib3           JSON        /v1/score/<service>
grpcio            gRPC        recserve.Predict/Score
urllib3           tensors     /v2/models/<service>/infer, of a service without feature generation
"""

from __future__ import annotations

import statistics
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
import urllib3

from recserve.client import Client, Scores, build_request
from recserve.client.captures import Kept, read
from recserve.wire.torchrec import decode_response, encode_request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from asking import Request
    from torch import Tensor

    from recserve.testing import RunningServer

TIMES = 9  # every door is asked; the median counts


@dataclass(frozen=True, slots=True)
class Answer:
    """What came through a door."""

    door: str
    scores: Mapping[str, Any]  # a score per item, by output name
    ms: float


def client_of(server: RunningServer) -> Client:
    """Our own client, at the server's address."""
    return Client(server.base_url, server.name, server.token)


def plain(asked: Request) -> dict[str, Any]:
    """A request without the types that the EAS client wants beside its values."""
    sides = {side: {name: value for name, (_, value) in asked[side].items()} for side in ("user", "context")}
    return {**sides, "item_ids": asked["item_ids"]}


def keep(client: Client, request: dict[str, Any], folder: Path) -> Kept:
    """Ask with debug level 100, and read the file that the server keeps of it, beside the answer."""
    before = set(folder.rglob("*.pb"))
    client.score(**request, debug_level=100)
    give_up_at = time.monotonic() + 30
    while not (files := set(folder.rglob("*.pb")) - before):
        assert time.monotonic() < give_up_at, f"no request was kept in {folder}"
        time.sleep(0.01)
    return read(files.pop())


def by_features(server: RunningServer, request: dict[str, Any], capture: Kept) -> list[Answer]:
    """Answers of a service that generates features."""
    with ExitStack() as opened:
        client = opened.enter_context(client_of(server))
        found = opened.enter_context(Client(discovery=server.base_url, name=server.name, token=server.token))
        channel = opened.enter_context(grpc.insecure_channel(server.grpc_address))
        return [
            timed(f"protobuf, /api/predict/{server.name}", lambda: client.score(**request)),
            timed("the same, at the address that discovery told", lambda: found.score(**request)),
            timed("the same, with debug level 2", lambda: client.score(**request, debug_level=2)),
            timed("the same, sent again as it was kept", lambda: replayed(client, capture)),
            timed(f"JSON, /v1/score/{server.name}", lambda: ask(server, f"v1/score/{server.name}", request)),
            timed("gRPC, recserve.Predict/Score", lambda: call(channel, server.token, request)),
        ]


def by_tensors(server: RunningServer, tensors: Mapping[str, Tensor]) -> list[Answer]:
    """The answer of a service that takes the model's own tensors, in the Open Inference Protocol."""
    inputs = [
        {
            "name": name,
            "shape": list(tensor.shape),
            "datatype": {"int64": "INT64", "float32": "FP32"}[str(tensor.numpy().dtype)],
            "data": tensor.flatten().tolist(),
        }
        for name, tensor in tensors.items()
    ]
    path = f"v2/models/{server.name}/infer"

    def infer() -> dict[str, Any]:
        return {output["name"]: output["data"] for output in ask(server, path, {"inputs": inputs})}

    return [timed(f"tensors in JSON, /{path}", infer)]


def replayed(client: Client, capture: Kept) -> Scores:
    """Scores of a request as it was kept."""
    return Scores.read(*client.post(capture.data.without_level()))


def call(channel: grpc.Channel, token: str, request: dict[str, Any]) -> Mapping[str, Any]:
    """The outputs of an answer over gRPC; our own codec stands in for generated classes."""
    score = channel.unary_unary("/recserve.Predict/Score")
    body: bytes = score(encode_request(build_request(**request)), metadata=(("authorization", token),))
    return decode_response(body).outputs


def ask(server: RunningServer, path: str, content: dict[str, Any]) -> Any:
    """The outputs of an answer in JSON."""
    response = urllib3.request(
        "POST", f"{server.base_url}/{path}", json=content, headers={"Authorization": server.token}
    )
    assert response.status == 200, response.data
    return response.json()["outputs"]


def timed(door: str, score: Callable[[], Mapping[str, Any]]) -> Answer:
    """Ask a few times; the scores, and the milliseconds that it took in the middle."""
    times = []
    for _ in range(TIMES):
        start = time.perf_counter()
        scores = score()
        times.append(time.perf_counter() - start)
    arrays = {name: np.asarray(values, np.float32) for name, values in scores.items()}
    return Answer(door, arrays, 1e3 * statistics.median(times))
