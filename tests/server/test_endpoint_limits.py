"""A request for more items than fit is refused before anything is looked up for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.processors.conftest import service_of, write_bundle
from tests.server.conftest import running_bundle

from recserve.client.request import build_request
from recserve.wire.torchrec import decode_response, encode_request

if TYPE_CHECKING:
    from pathlib import Path


def test_a_million_items_are_413_and_the_next_request_is_answered(tmp_path: Path) -> None:
    with running_bundle(write_bundle(tmp_path), service_of()) as server:
        refused = server.post(encode_request(build_request({}, ["i1"] * 1_000_000)))
        after = server.post(encode_request(build_request({}, ["i1"])))

    assert refused.status == 413
    assert b"1000000 items" in refused.data
    assert b"max_items" in refused.data
    assert after.status == 200


def test_as_many_as_may_be_are_scored(tmp_path: Path) -> None:
    asked = encode_request(build_request({}, ["i2"] * 1000))
    with running_bundle(write_bundle(tmp_path), service_of(), max_items=1000) as server:
        answer = server.post(asked)

    assert answer.status == 200
    assert len(decode_response(answer.data).outputs["score"]) == 1000
