from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from recserve.client.captures import cells, find, read
from recserve.client.request import build_request
from recserve.columns import to_arrow
from recserve.errors import RequestError
from recserve.messages import InputSchema, TensorRequest
from recserve.wire import log_data, tensors
from recserve.wire.torchrec import encode_request

if TYPE_CHECKING:
    from pathlib import Path

REQUEST = build_request({"age": 3, "tags": {"a": 0.5}}, ["i1", "i2"], debug_level=100)
BODY = encode_request(REQUEST)


def test_files_are_found_in_folders_and_ordered_by_hour(tmp_path: Path) -> None:
    for name in ("2026032016/a_1.pb", "2026032015/b_2.pb", "2026032015/.c_3.pb.part", "readme.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(BODY)
    single = tmp_path / "readme.md"

    assert [file.name for file in find([tmp_path, single])] == ["b_2.pb", "a_1.pb", "readme.md"]


def test_a_path_without_captures_is_told(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no captures in"):
        find([tmp_path])
    with pytest.raises(RequestError, match="does not exist"):
        find([tmp_path / "missing"])


def test_a_kept_request_is_read_with_its_texts(tmp_path: Path) -> None:
    file = tmp_path / "r_1_0a1b2c.pb"
    file.write_bytes(log_data.encode(BODY, {"i1": "x:1"}, {"i1": "y:2"}))

    kept = read(file)

    assert kept.request_id == "r_1"
    assert kept.size == file.stat().st_size
    assert kept.written.timestamp() == pytest.approx(file.stat().st_mtime)
    assert kept.data.raw_features == {"i1": "x:1"}
    request = kept.request(InputSchema(user={"age": "float32"}))
    assert to_arrow(request.item_ids).to_pylist() == ["i1", "i2"]
    assert str(to_arrow(request.user["age"]).type) == "float"
    assert cells(request.user["tags"]) == [{"a": 0.5}]


def test_a_bare_request_of_either_kind_is_read(tmp_path: Path) -> None:
    features, tensor = tmp_path / "a.pb", tmp_path / "b.pb"
    features.write_bytes(BODY)
    tensor.write_bytes(tensors.encode_request(TensorRequest([np.ones(3, np.float32)], {})))

    assert read(features).request().rows == 2
    assert read(features).request_id == "a"
    assert len(read(tensor).tensors().inputs) == 1
    with pytest.raises(RequestError, match=r"b\.pb: holds tensors"):
        read(tensor).request()


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "r.pb"
    file.write_bytes(b"\x0a\x05a")

    with pytest.raises(RequestError, match=r"r\.pb: failed to parse capture"):
        read(file)
    with pytest.raises(RequestError, match="cannot be read: No such file"):
        read(tmp_path / "missing.pb")
