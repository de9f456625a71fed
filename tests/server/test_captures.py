"""Which requests a running service keeps, where and as what."""

from __future__ import annotations

import gzip
import json
import re
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.processors.conftest import service_of, write_bundle
from tests.server.conftest import Running, running_bundle

from recserve.client.request import build_request
from recserve.messages import TensorRequest
from recserve.wire import log_data, tensors, torchrec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

USER = {"taste": "5", "likes": {"a": 0.5}}


def body(level: int = 100, ids: tuple[str, ...] = ("i1", "i2"), **meta: str) -> bytes:
    """A request that the small service answers."""
    request = build_request(USER, ids, context={"hour": [1.0] * len(ids)}, debug_level=level, meta=meta)
    return torchrec.encode_request(request)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def written(rank: Running, count: int) -> None:
    wait_for(lambda: rank.metric("recserve_captures_written_total") == count)


def kept(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.pb"))


def test_a_chosen_request_is_kept_with_the_features_of_its_items(tmp_path: Path) -> None:
    sent = body(request_id="r-1")
    with running_bundle(write_bundle(tmp_path), service_of(request_log_path="log")) as rank:
        chosen = rank.post(sent)
        plain = rank.post(body(0))
        written(rank, 1)

    assert chosen.data == plain.data
    (file,) = kept(tmp_path / "log")
    assert re.fullmatch(r"\d{10}", file.parent.name)
    assert re.fullmatch(r"r-1_[0-9a-f]{12}\.pb", file.name)
    data = log_data.decode(file.read_bytes())
    assert data.request == sent
    assert data.raw_features.keys() == data.generate_features.keys() == {"i1", "i2"}
    assert "price" in data.raw_features["i1"]
    assert "price" in data.generate_features["i1"]
    assert not (tmp_path / "bundle" / "torch_req").exists()


def test_without_a_path_chosen_requests_are_kept_beside_the_model(tmp_path: Path) -> None:
    with running_bundle(write_bundle(tmp_path), service_of()) as rank:
        rank.post(body(), X_Request_Id="of-the-header")
        written(rank, 1)

    (file,) = kept(tmp_path / "bundle" / "torch_req")
    assert file.name.startswith("of-the-header_")


@pytest.mark.parametrize(
    "request_id", ["../../etc/passwd", "a/b", "line\nbreak", "\x00", "x" * 10_240, "", ".", "中文", "-rf"]
)
def test_a_request_cannot_choose_its_place(tmp_path: Path, request_id: str) -> None:
    with running_bundle(write_bundle(tmp_path), service_of(request_log_path="log")) as rank:
        assert rank.post(body(request_id=request_id)).status == 200
        written(rank, 1)

    (file,) = kept(tmp_path)
    assert file.parent.parent == tmp_path / "log"
    assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,80}\.pb", file.name)


def test_a_request_in_json_is_kept_as_the_message_that_it_stands_for(tmp_path: Path) -> None:
    request = {"user": USER, "item_ids": ["i1"], "debug_level": 100, "meta": {"request_id": "r"}}
    with running_bundle(write_bundle(tmp_path), service_of(request_log_path="log")) as rank:
        headers = {"Authorization": "token"}
        answer = rank.http.request("POST", "/v1/score/rank", body=json.dumps(request), headers=headers)
        assert answer.status == 200
        written(rank, 1)

    (file,) = kept(tmp_path / "log")
    assert file.name.startswith("r_")
    data = log_data.decode(file.read_bytes())
    assert torchrec.Decoder().decode(data.request).debug_level == 100
    assert data.raw_features.keys() == {"i1"}


def test_a_compressed_request_is_kept_plain(tmp_path: Path) -> None:
    sent = body(request_id="r")
    with running_bundle(write_bundle(tmp_path), service_of(request_log_path="log")) as rank:
        assert rank.post(gzip.compress(sent)).status == 200
        written(rank, 1)

    assert log_data.decode(kept(tmp_path / "log")[0].read_bytes()).request == sent


def test_a_chosen_request_that_fails_is_kept(tmp_path: Path) -> None:
    nan = build_request(USER, ["i1"], context={"hour": [float("nan")]}, debug_level=100)
    with running_bundle(
        write_bundle(tmp_path), service_of(request_log_path="log", not_finite="fail")
    ) as rank:
        assert rank.post(torchrec.encode_request(nan)).status == 500
        written(rank, 1)

    assert len(kept(tmp_path / "log")) == 1


def test_a_request_that_cannot_be_read_is_not_kept(tmp_path: Path) -> None:
    with running_bundle(write_bundle(tmp_path), service_of(request_log_path="log")) as rank:
        assert rank.post(b"\x08\x64\xff").status == 400
        rank.post(body())
        written(rank, 1)

    assert len(kept(tmp_path / "log")) == 1


def test_in_bypass_mode_the_request_is_kept_as_it_is(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "column_sum.json").write_text(json.dumps({"outputs": {"y": ["x"]}}))
    sent = tensors.encode_request(TensorRequest((), {"x": np.ones(2, np.float32)}, debug_level=100))
    document: dict[str, Any] = {
        "name": "rank",
        "token": "token",
        "model_config": {"fg_mode": "bypass", "request_log_path": "log"},
    }
    with running_bundle(bundle, document) as rank:
        assert rank.post(sent).status == 200
        written(rank, 1)

    assert kept(tmp_path / "log")[0].read_bytes() == sent


def test_slow_requests_are_kept_as_they_are(tmp_path: Path) -> None:
    config = service_of(save_long_request=True, long_request_threshold=1, request_log_path="log")
    ids = ("i1",) * 20_000  # takes more than a millisecond anywhere
    with running_bundle(write_bundle(tmp_path), config) as rank:
        rank.post(body(0, ids, request_id="slow"))
        rank.post(body(100, ids, request_id="chosen"))
        written(rank, 2)

    (slow,) = kept(tmp_path / "bundle" / "torch_req")
    assert slow.name.startswith("slow_")
    assert slow.read_bytes() == body(0, ids, request_id="slow")
    assert [file.name.split("_")[0] for file in kept(tmp_path / "log")] == ["chosen"]


@pytest.mark.parametrize(
    "config", [{"save_long_request": False}, {"save_long_request": True, "long_request_threshold": 0}]
)
def test_slow_requests_are_not_kept_unasked(tmp_path: Path, config: dict[str, Any]) -> None:
    config = {"long_request_threshold": 1, **config}
    with running_bundle(write_bundle(tmp_path), service_of(**config)) as rank:
        rank.post(body(0, ("i1",) * 20_000))
        rank.post(body(100))
        written(rank, 1)

    assert len(kept(tmp_path)) == 1


def test_a_model_folder_that_cannot_be_written_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As root, no mode makes a folder read-only.
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with running_bundle(write_bundle(tmp_path), service_of(save_long_request=True)) as rank:
        assert rank.post(body()).status == 200
        assert rank.metric("recserve_captures_dropped_total", reason="no_folder") == 1

    assert "save_long_request is off: the model's folder cannot be written" in caplog.messages
    assert any("say with request_log_path where they belong" in message for message in caplog.messages)
    assert kept(tmp_path) == []


def test_a_folder_that_cannot_be_written_does_not_hurt_answers(tmp_path: Path) -> None:
    (tmp_path / "log").touch()
    with running_bundle(write_bundle(tmp_path), service_of(request_log_path="log")) as rank:
        assert [rank.post(body()).status for _ in range(5)] == [200] * 5
        wait_for(lambda: rank.metric("recserve_captures_dropped_total", reason="disk") == 5)


def test_the_first_requests_are_kept_for_the_next_warm_up(tmp_path: Path) -> None:
    config = service_of(warmup_data_path="warm", warmup_pb_files_count=3)
    with running_bundle(write_bundle(tmp_path), config) as rank:
        assert rank.post(b"\xff").status == 400
        for number in range(5):
            assert rank.post(body(0, request_id=f"r{number}")).status == 200
        written(rank, 3)

    files = kept(tmp_path / "warm")
    assert [file.name.split("_")[0] for file in files] == ["r0", "r1", "r2"]
    assert files[0].read_bytes() == body(0, request_id="r0")
    assert files[0].parent == tmp_path / "warm"


def test_a_start_that_finds_some_keeps_only_what_is_missing(tmp_path: Path) -> None:
    config = service_of(warmup_data_path="warm", warmup_pb_files_count=3)
    (tmp_path / "warm").mkdir()
    for number in range(2):
        (tmp_path / "warm" / f"{number}.pb").write_bytes(body(0))
    with running_bundle(write_bundle(tmp_path), config) as rank:
        for _ in range(5):
            rank.post(body(0))
        written(rank, 1)

    assert len(kept(tmp_path / "warm")) == 3
