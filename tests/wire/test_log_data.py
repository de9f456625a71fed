from __future__ import annotations

import random
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from tests.wire import random_messages

from recserve.errors import RequestError
from recserve.messages import TensorRequest
from recserve.wire import tensors
from recserve.wire.descriptors import message_class
from recserve.wire.log_data import LogData, decode, encode
from recserve.wire.torchrec import Decoder

PBLogData = message_class("com.alibaba.pairec.processor.PBLogData")
PBRequest = message_class("com.alibaba.pairec.processor.PBRequest")
PredictRequest = message_class("pytorch.eas.PredictRequest")

RAW = {"i1": "price:1.5|tags:a\x1db", "商品": "", "": "x" * 300}
GENERATED = {"i1": "price:1.5"}


def request(**fields: Any) -> bytes:
    encoded: bytes = PBRequest(**fields).SerializeToString()
    return encoded


def test_it_is_the_message_that_the_library_reads() -> None:
    body = request(debug_level=100, item_ids=["i1", "i2"], meta_data={"request_id": "r"})

    read = PBLogData.FromString(encode(body, RAW, GENERATED))

    assert read.request.SerializeToString() == body
    assert dict(read.raw_features) == RAW
    assert dict(read.generate_features) == GENERATED


def test_what_the_library_writes_is_read() -> None:
    written = PBLogData(raw_features=RAW, generate_features=GENERATED)
    written.request.debug_level = 100
    written.request.item_ids.extend(["i1", "i2"])

    read = decode(written.SerializeToString())

    assert read == LogData("features", request(debug_level=100, item_ids=["i1", "i2"]), RAW, GENERATED)


def test_what_is_written_is_read_back_whatever_the_request() -> None:
    for seed in range(200):
        body = b"\x08\x64" + random_messages.request(random.Random(seed))

        assert decode(encode(body, RAW, GENERATED)) == LogData("features", body, RAW, GENERATED), seed


X = np.zeros(3, np.float32)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "features"),
        (request(debug_level=100), "features"),
        (request(item_ids=["i1"]), "features"),
        (request(item_ids=["\n"]), "features"),
        (request(item_ids=["\n\x01a\x12\x01"]), "features"),  # nearly an entry of a map
        (request(meta_data={"a": "b"}), "features"),
        (request(faiss_neigh_num=3), "features"),
        (tensors.encode_request(TensorRequest([X], {})), "tensors"),
        (tensors.encode_request(TensorRequest([None, X], {})), "tensors"),
        (tensors.encode_request(TensorRequest((), {"x": X})), "tensors"),
        (tensors.encode_request(TensorRequest((), {"x": X}, debug_level=100)), "tensors"),
    ],
)
def test_a_bare_request_is_told_by_its_first_field(content: bytes, kind: str) -> None:
    assert decode(content) == LogData(kind, content)  # type: ignore[arg-type]


def test_a_request_is_sent_again_without_its_level() -> None:
    kept = decode(encode(request(debug_level=100, item_ids=["i1"]), {}, {}))
    assert Decoder().decode(kept.without_level()).debug_level == 0

    kept = decode(tensors.encode_request(TensorRequest([X], {}, debug_level=100)))
    assert tensors.decode(kept.without_level()).debug_level == 0

    plain = request(item_ids=["i1"])
    assert decode(plain).without_level() == plain


@pytest.mark.parametrize(
    "content",
    [
        b"\x0a",
        b"\x0a\x05ab",
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x0a\x02\x08\x64\x12\x03\x0a",
        b"\x0a\x02\x08\x64\x0b",
        b"\x0a\x02\x08\x64\x02\x00",
        b"\x0a\x02\x08\x64\x25\x00",
    ],
)
def test_a_broken_file_is_refused(content: bytes) -> None:
    with pytest.raises(RequestError, match="failed to parse capture"):
        decode(content)


def test_broken_text_is_readable_all_the_same() -> None:
    read = decode(b"\x0a\x02\x08\x64\x12\x07\x0a\x01\xff\x12\x02\xc3\x28")

    assert read.raw_features == {"\ufffd": "\ufffd("}


def test_any_bytes_are_read_or_refused() -> None:
    whole = encode(request(debug_level=100, item_ids=["i1", "i2"]), RAW, GENERATED)
    generator = random.Random(0)
    for _ in range(3000):
        broken = bytearray(whole[: generator.randrange(len(whole))])
        for _ in range(generator.randrange(4)):
            if broken:
                broken[generator.randrange(len(broken))] = generator.randrange(256)
        with suppress(RequestError):
            decode(bytes(broken))
