from __future__ import annotations

import base64
import gzip
import json
from typing import TYPE_CHECKING, Any

import numpy as np
from tests.processors.conftest import write_bundle
from tests.server.conftest import Doubler

from recserve.bundle import Bundle
from recserve.client.request import build_request
from recserve.config import service
from recserve.messages import TensorRequest
from recserve.processors.load import load
from recserve.server.endpoint import ScoreEndpoint, TensorEndpoint
from recserve.server.warm_up_files import MOST_REQUESTS, WarmUpFiles, read_requests
from recserve.wire import log_data, tensors
from recserve.wire.torchrec import Decoder, encode_request

if TYPE_CHECKING:
    from pathlib import Path

REQUEST = build_request({"taste": "5"}, ["i1", "i2"], debug_level=100)
BODY = encode_request(REQUEST)


def read(folder: Path, document: dict[str, Any]) -> WarmUpFiles:
    """What the small service reads with this service file."""
    bundle = write_bundle(folder / "model")
    document.setdefault("model_config", {}).setdefault("fg_mode", "normal")
    spec = service.load(document, {}, base_dir=folder)
    scorer: Any = load(Bundle.open(bundle), spec)
    try:
        return read_requests(spec, ScoreEndpoint(scorer, spec.rpc))
    finally:
        scorer.close()


def names(found: WarmUpFiles) -> list[str]:
    return [request.name.rpartition("/")[2] for request in found.requests]


def test_kept_requests_are_read_by_name_and_ask_for_scores_only(tmp_path: Path) -> None:
    folder = tmp_path / "warm"
    folder.mkdir()
    (folder / "b.pb").write_bytes(BODY)
    (folder / "a.pb").write_bytes(log_data.encode(BODY, {"i1": "x"}, {}))
    (folder / ".c.pb.part").write_bytes(BODY)
    (folder / "readme.txt").write_text("hello")

    found = read(tmp_path, {"model_config": {"warmup_data_path": "warm"}})

    assert names(found) == ["a.pb", "b.pb"]
    assert not found.broken
    for request in found.requests:
        decoded = Decoder().decode(request.body)
        assert (decoded.rows, decoded.debug_level) == (2, 0)


def test_files_of_every_kind_are_read(tmp_path: Path) -> None:
    as_json = json.dumps({"user": {"taste": "5"}, "item_ids": ["i1"]})
    (tmp_path / "plain.bin").write_bytes(BODY)
    (tmp_path / "packed.pb").write_bytes(gzip.compress(BODY))
    (tmp_path / "lines.txt").write_text(f"{as_json}\n\n{base64.b64encode(BODY).decode()}\n")
    more = tmp_path / "more"
    more.mkdir()
    (more / "z.bin").write_bytes(BODY)
    (more / "notes.md").write_text("# mine")

    found = read(tmp_path, {"warm_up_data_path": ["plain.bin", "packed.pb", "lines.txt", "more"]})

    assert not found.broken
    assert names(found) == ["plain.bin", "packed.pb", "lines.txt, line 1", "lines.txt, line 3", "z.bin"]
    assert [Decoder().decode(request.body).rows for request in found.requests] == [2, 2, 1, 2, 2]


def test_kept_requests_are_plain_whatever_clients_send(tmp_path: Path) -> None:
    (tmp_path / "plain.pb").write_bytes(BODY)

    document = {"warm_up_data_path": "plain.pb", "metadata": {"rpc": {"decompressor": "gzip"}}}

    assert names(read(tmp_path, document)) == ["plain.pb"]


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "kind.csv").write_text("a,b")
    (tmp_path / "lines.txt").write_text('{"item_ids": 3}\nno base64!\n')
    (tmp_path / "large.bin").write_bytes(bytes(2000))
    (tmp_path / "cut.pb").write_bytes(b"\x0a\x05a")
    paths = ["kind.csv", "lines.txt", "large.bin", "cut.pb", "missing.bin"]

    found = read(tmp_path, {"warm_up_data_path": paths, "metadata": {"rpc": {"max_body_bytes": 1000}}})

    broken = {name.rpartition("/")[2]: reason for name, reason in found.broken.items()}
    assert not found.requests
    assert broken.keys() == {"kind.csv", "lines.txt, line 1", "lines.txt, line 2", *paths[2:]}
    assert "known: .pb, .bin, .txt" in broken["kind.csv"]
    assert "neither JSON nor base64" in broken["lines.txt, line 2"]
    assert "max_body_bytes is 1000" in broken["large.bin"]
    assert "failed to parse capture" in broken["cut.pb"]
    assert "No such file" in broken["missing.bin"]


def test_a_folder_that_was_filled_for_years_is_read_in_part(tmp_path: Path) -> None:
    folder = tmp_path / "warm"
    folder.mkdir()
    for number in range(MOST_REQUESTS + 5):
        (folder / f"{number:05}.pb").write_bytes(BODY)

    found = read(tmp_path, {"model_config": {"warmup_data_path": "warm"}})

    assert (len(found.requests), found.left_out) == (MOST_REQUESTS, 5)


def test_a_folder_that_both_keys_name_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "warm").mkdir()
    (tmp_path / "warm" / "a.pb").write_bytes(BODY)

    document = {"warm_up_data_path": "warm", "model_config": {"warmup_data_path": "warm"}}

    assert names(read(tmp_path, document)) == ["a.pb"]


def test_without_any_path_there_is_nothing(tmp_path: Path) -> None:
    assert read(tmp_path, {}) == WarmUpFiles()


def test_requests_of_tensors_are_read_too(tmp_path: Path) -> None:
    body = tensors.encode_request(TensorRequest((), {"x": np.ones(3, np.float32)}, debug_level=100))
    (tmp_path / "kept.pb").write_bytes(body)
    (tmp_path / "lines.txt").write_text('{"inputs": {"x": [1.0, 2.0]}}')
    spec = service.load({"warm_up_data_path": ["kept.pb", "lines.txt"]}, {}, base_dir=tmp_path)

    found = read_requests(spec, TensorEndpoint(Doubler(), spec.rpc))

    decoded = [tensors.decode(request.body) for request in found.requests]
    assert [(len(request.named_inputs["x"]), request.debug_level) for request in decoded] == [(3, 0), (2, 0)]
