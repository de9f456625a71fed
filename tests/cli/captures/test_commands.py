from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from recserve.client.request import build_request
from recserve.messages import TensorRequest
from recserve.wire import log_data, tensors
from recserve.wire.torchrec import encode_request

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

    Call = Callable[..., Result]

USER = {"age": 30, "affinities": {"a": 0.5}}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Two kept requests: one with texts, one of tensors."""
    hour = tmp_path / "log" / "2026032015"
    hour.mkdir(parents=True)
    request = build_request(
        USER, ["i1", "i2"], context={"position": [1, 2]}, debug_level=100, meta={"request_id": "r1"}
    )
    texts = {"i1": "price:1.5", "i2": "price:2"}
    (hour / "r1_0a1b.pb").write_bytes(log_data.encode(encode_request(request), texts, texts))
    body = tensors.encode_request(TensorRequest([], {"x": np.ones((1, 2), np.float32)}, debug_level=100))
    (hour / "r2_0c1d.pb").write_bytes(body)
    return tmp_path / "log"


def test_ls_lists_what_was_kept(call: Call, log: Path) -> None:
    result = call("captures", "ls", str(log))

    assert result.exit_code == 0
    title, first, second = result.stdout.splitlines()
    assert title.split() == ["time", "request", "kind", "items", "level", "bytes", "file"]
    assert first.split()[1:] == [
        "r1",
        "features",
        "and",
        "texts",
        "2",
        "100",
        first.split()[-2],
        first.split()[-1],
    ]
    assert second.split()[1:4] == ["r2", "tensors", "100"]


def test_ls_prints_json_and_the_newest_only(call: Call, log: Path) -> None:
    result = call("captures", "ls", str(log), "--json", "--limit", "1")

    (row,) = json.loads(result.stdout)
    assert row["request"] == "r2"


def test_ls_names_what_it_cannot_read(call: Call, log: Path) -> None:
    (log / "x.pb").write_bytes(b"\x0a\x05a")

    result = call("captures", "ls", str(log))

    assert result.exit_code == 1
    assert "x.pb: failed to parse capture" in result.stderr
    assert "r1" in result.stdout


def test_show_prints_a_request_that_can_be_scored_again(call: Call, log: Path) -> None:
    result = call("captures", "show", str(log / "2026032015" / "r1_0a1b.pb"))

    shown = json.loads(result.stdout)
    assert shown["request_id"] == "r1"
    assert shown["request"] == {
        "user": USER,
        "item_ids": ["i1", "i2"],
        "context": {"position": [1, 2]},
        "debug_level": 100,
        "meta": {"request_id": "r1"},
    }
    assert shown["raw_features"] == {"i1": "price:1.5", "i2": "price:2"}


def test_show_takes_the_newest_of_a_folder(call: Call, log: Path) -> None:
    (log / "newest.pb").write_bytes(encode_request(build_request(USER, ["i3"])))

    assert json.loads(call("captures", "show", str(log)).stdout)["request_id"] == "newest"


def test_show_prints_tensors(call: Call, log: Path) -> None:
    result = call("captures", "show", str(log / "2026032015" / "r2_0c1d.pb"))

    assert json.loads(result.stdout)["request"]["inputs"] == {
        "x": {"dtype": "float32", "shape": [1, 2], "values": [[1.0, 1.0]]}
    }


def test_to_parquet_writes_a_row_per_item(call: Call, log: Path, tmp_path: Path) -> None:
    result = call("captures", "to-parquet", str(log), str(tmp_path / "t.parquet"))

    assert result.exit_code == 0
    assert "2 items of 1 requests" in result.stderr
    assert "left out" in result.stderr
    rows: list[dict[str, Any]] = pq.read_table(tmp_path / "t.parquet").to_pylist()
    assert [row["item_id"] for row in rows] == ["i1", "i2"]
    assert [row["age"] for row in rows] == [30, 30]


def test_to_parquet_takes_types_from_a_bundle(call: Call, log: Path, tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir(exist_ok=True)
    (tmp_path / "bundle" / "input_schema.json").write_text('{"user": {"age": "float32"}}')

    call(
        "captures", "to-parquet", str(log), str(tmp_path / "t.parquet"), "--bundle", str(tmp_path / "bundle")
    )

    assert str(pq.read_schema(tmp_path / "t.parquet").field("age").type) == "float"


@pytest.mark.parametrize("command", ["ls", "to-parquet"])
def test_a_folder_without_captures_is_an_error(call: Call, tmp_path: Path, command: str) -> None:
    (tmp_path / "empty").mkdir()

    result = call("captures", command, str(tmp_path / "empty"), *(["t"] if command == "to-parquet" else []))

    assert result.exit_code == 1
    assert "no captures in" in result.stderr
