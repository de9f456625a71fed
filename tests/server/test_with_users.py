"""Requests whose user the server looks up: there and back, and never later than allowed."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from tests.feature_store.shop import REGISTRY, write_shop
from tests.processors.conftest import service_of, write_bundle
from tests.server.conftest import Running, running_bundle

from recserve.bundle import Bundle
from recserve.columns import Batch, batch_from_arrow, column_from_arrow
from recserve.config import service
from recserve.feature_store.users import UserFigures
from recserve.messages import ScoreRequest
from recserve.processors.load import load
from recserve.processors.normal import Normal
from recserve.server.serve import Server
from recserve.wire import torchrec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: user → taste, which is what such a user adds to a price.
TASTES = {"u1": "5", "7": "7"}


class Users:
    """Users in a dict, as the feature store's look-up has them; "late" comes when it is let."""

    key = "user_id"

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.threads: set[str] = set()
        self.figures = UserFigures()
        self.closed = False

    async def look_up(self, user_id: str) -> Batch:
        self.asked.append(user_id)
        self.threads.add(threading.current_thread().name)
        if user_id == "late":
            await asyncio.sleep(3600)
        taste = pa.array([TASTES.get(user_id)], pa.string())
        return batch_from_arrow({"taste": taste, "likes": pa.array(["a:0.5"])})

    def completed(self, sent: Batch, found: Batch) -> Batch:
        whole = Batch(1)
        for name in sent.names:
            whole.add(name, sent[name])
        for name in found.names:
            if name not in sent:
                whole.add(name, found[name])
        return whole

    def close(self) -> None:
        self.closed = True


class Serving:
    """A service that asks these users."""

    def __init__(self, running: Running, users: Users) -> None:
        self.running = running
        self.users = users

    def post(self, rows: int = 2, **user: Any) -> Any:
        ids = column_from_arrow(pa.array(["i1", "i2", "i3"][:rows]))
        columns = (
            batch_from_arrow({name: pa.array([value]) for name, value in user.items()}) if user else Batch(1)
        )
        return self.running.post(
            torchrec.encode_request(ScoreRequest(columns, ids, Batch(rows), Batch(rows), rows))
        )

    def scores(self, **user: Any) -> list[float]:
        response = self.post(**user)
        assert response.status == 200, response.data
        return [float(score) for score in torchrec.decode_response(response.data).outputs["score"]]


@contextmanager
def serving(folder: Path, **rpc: Any) -> Iterator[Serving]:
    bundle = write_bundle(folder)
    document = {**service_of(), "metadata": {"rpc": {"drain_ms": 0, **rpc}}}
    spec = service.load(document, {}, base_dir=folder)
    users, ready = Users(), threading.Event()

    def load_bundle(progress: Any) -> Normal:
        rank = load(Bundle.open(bundle), spec, progress)
        assert isinstance(rank, Normal)
        rank.users = users  # type: ignore[assignment]
        return rank

    running = Running(Server(spec, load_bundle, on_ready=lambda _: ready.set()))
    try:
        assert ready.wait(20)
        yield Serving(running, users)
    finally:
        running.stop()


@pytest.fixture
def rank(tmp_path: Path) -> Iterator[Serving]:
    with serving(tmp_path) as server:
        yield server


@pytest.mark.parametrize("user_id", ["u1", ["u1"]])
def test_features_of_the_user_are_looked_up_by_the_id_that_the_request_sends(
    rank: Serving, user_id: Any
) -> None:
    assert rank.scores(user_id=user_id) == [1 + 5 + 0.5, 2 + 5]
    assert rank.users.asked == ["u1"]


def test_a_user_id_may_be_a_number(rank: Serving) -> None:
    assert rank.scores(user_id=7) == [1 + 7 + 0.5, 2 + 7]
    assert rank.users.asked == ["7"]


def test_the_json_door_looks_users_up_too(rank: Serving) -> None:
    response = rank.running.http.request(
        "POST",
        "/v1/score/rank",
        json={"user": {"user_id": "u1"}, "item_ids": ["i1", "i2"]},
        headers={"Authorization": "token"},
    )

    assert response.json()["outputs"]["score"] == [1 + 5 + 0.5, 2 + 5]
    assert rank.users.asked == ["u1"]


def test_what_the_request_sends_wins(rank: Serving) -> None:
    assert rank.scores(user_id="u1", taste="9") == [1 + 9 + 0.5, 2 + 9]
    assert rank.scores(user_id="u1", likes="b:2") == [1 + 5, 2 + 5 + 2]


@pytest.mark.parametrize("user", [{}, {"user_id": ""}, {"user_id": [[]]}, {"user_id": [1.5]}, {"taste": "9"}])
def test_without_an_id_nobody_is_asked(rank: Serving, user: dict[str, Any]) -> None:
    sent = {name: value[0] if isinstance(value, list) else value for name, value in user.items()}

    assert len(rank.scores(**sent)) == 2
    assert rank.users.asked == []


def test_the_event_loop_waits_and_no_worker_does(rank: Serving) -> None:
    rank.scores(user_id="u1")

    assert not any(name.startswith("recserve-worker") for name in rank.users.threads)


def test_a_look_up_that_outlives_the_request_is_408_and_blocks_nobody(tmp_path: Path) -> None:
    with serving(tmp_path, keepalive=300, worker_threads=1) as rank:
        late: list[int] = []
        client = threading.Thread(target=lambda: late.append(Running.post(rank.running, body("late")).status))
        client.start()
        client.join(20)

        assert late == [408]
        assert rank.scores(user_id="u1") == [6.5, 7.0]
        assert rank.running.server._pool.write_offs == 0


def body(user_id: str) -> bytes:
    user = batch_from_arrow({"user_id": pa.array([user_id])})
    ids = column_from_arrow(pa.array(["i1"]))
    return torchrec.encode_request(ScoreRequest(user, ids, Batch(1), Batch(1), 1))


def test_a_body_that_makes_no_sense_is_400_as_ever(rank: Serving) -> None:
    assert rank.running.post(b"garbage").status == 400
    assert rank.users.asked == []


def test_the_stage_is_timed(rank: Serving) -> None:
    timing = rank.post(user_id="u1").headers["server-timing"]

    stages = [lap.split(";")[0] for lap in timing.split(", ")]
    assert stages.index("decode") < stages.index("look_up_user") < stages.index("look_up")


def test_users_come_from_the_online_store_of_a_registry(tmp_path: Path) -> None:
    """The real thing: a service file with `fs_user_entity`."""
    features: list[dict[str, Any]] = [
        {
            "feature_type": "raw_feature",
            "feature_name": "price",
            "expression": "item:price",
            "default_value": "0",
        },
        {
            "feature_type": "id_feature",
            "feature_name": "city",
            "expression": "user:city",
            "vocab_list": ["bonn", "oslo", "rome"],
            "default_bucketize_value": 9,
        },
    ]
    sums = {"score": ["price.values", "city.values", "city.lengths"]}
    bundle = write_bundle(tmp_path / "shop", features=features, sums=sums)
    write_shop(tmp_path / "shop", REGISTRY.replace("      - {view: clicks}\n", ""))
    store = {
        "fs_project": "shop",
        "fs_model": "rank_v1",
        "fs_user_entity": "user",
        "fs_user_timeout_ms": 10_000,
    }
    document = {
        "name": "rank",
        "token": "token",
        "model_config": {"fg_mode": "normal", "load_feature_from_offlinestore": True, **store},
    }

    with running_bundle(bundle, document, keepalive=20_000) as server:
        found = {user: price_and_city(server, user) for user in ("u1", "u2", "nobody")}
        outcomes = {
            outcome: server.metric("recserve_user_look_ups_total", outcome=outcome)
            for outcome in ("found", "unknown", "late", "failed")
        }

    assert found == {"u1": 1.5 + 1, "u2": 1.5 + 2, "nobody": 1.5}
    assert outcomes == {"found": 2, "unknown": 1, "late": 0, "failed": 0}


def price_and_city(server: Running, user_id: str) -> float:
    response = server.post(body(user_id))
    assert response.status == 200, response.data
    return float(torchrec.decode_response(response.data).outputs["score"][0])


def test_the_end_closes_the_look_up(tmp_path: Path) -> None:
    with serving(tmp_path) as rank:
        users = rank.users

    assert users.closed
