"""Requests that wait at the same time share calls of the model, and nobody can tell by the scores."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from tests.processors.conftest import service_of, write_bundle
from tests.server.conftest import Running, running_bundle

from recserve.client.request import build_request
from recserve.wire.torchrec import decode_response, encode_request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("rank"))


@pytest.fixture
def batching(bundle: Path) -> Iterator[Running]:
    options = {"batching": True, "worker_threads": 1, "max_queue_size": 200, "max_batch_timeout": 20}
    with running_bundle(bundle, service_of(), **options) as server:
        yield server


def bodies(count: int) -> list[bytes]:
    drawn = random.Random(7)
    ids = ["i1", "i2", "i3", "unknown"]
    return [
        encode_request(
            build_request(
                user={"taste": drawn.randrange(100), "likes": {"a": drawn.random()}},
                item_ids=drawn.choices(ids, k=drawn.randrange(1, 30)),
                debug_level=drawn.choice([0, 0, 0, 2]),
            )
        )
        for _ in range(count)
    ]


def scores(server: Running, body: bytes) -> dict[str, Any]:
    answer = server.post(body)
    assert answer.status == 200, answer.data
    return {name: values.tolist() for name, values in decode_response(answer.data).outputs.items()}


def counted(server: Running, name: str) -> float:
    return server.metric(f"recserve_shared_{name}_total")


def test_many_clients_share_calls_and_get_the_answers_that_they_get_alone(
    bundle: Path, batching: Running
) -> None:
    asked = bodies(160)
    with running_bundle(bundle, service_of()) as alone:
        expected = [scores(alone, body) for body in asked]

    with ThreadPoolExecutor(16) as clients:
        answers = list(clients.map(lambda body: scores(batching, body), asked))

    assert answers == expected
    assert 0 < counted(batching, "calls") < counted(batching, "requests")


def test_a_broken_request_harms_nobody_who_waits_beside_it(batching: Running) -> None:
    good = encode_request(build_request(user={"taste": 3}, item_ids=["i1", "i2"]))
    asked = [good, b"\xff\xff broken", good] * 20

    with ThreadPoolExecutor(12) as clients:
        statuses = list(clients.map(lambda body: batching.post(body).status, asked))

    assert statuses == [200, 400, 200] * 20


def test_a_request_with_more_rows_than_a_call_takes_is_scored_alone(bundle: Path) -> None:
    body = encode_request(build_request(item_ids=["i2"] * 40))
    with running_bundle(bundle, service_of(), batching=True, max_batch_rows=8) as server:
        assert len(scores(server, body)["score"]) == 40
        assert counted(server, "requests") == 0
