"""Compressed bodies are understood without a word on the wire, and never inflate beyond the limit."""

from __future__ import annotations

import gzip
import os
import random
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from tests.wire import random_messages

from recserve.errors import ConfigError, RequestError, TooLargeError
from recserve.wire.compression import COMPRESSORS, DECOMPRESSORS, deflate, inflate
from recserve.wire.descriptors import message_class

if TYPE_CHECKING:
    from collections.abc import Callable

PBRequest = message_class("com.alibaba.pairec.processor.PBRequest")
LIMIT = 1 << 20


def codec(name: str) -> Callable[[bytes], bytes]:
    def compress(body: bytes) -> bytes:
        result: bytes = pa.Codec(name).compress(body, asbytes=True)
        return result

    return compress


COMPRESS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    # name -> the decompressor that understands it, and what compresses
    "gzip": ("gzip", gzip.compress),
    "zlib": ("zlib", zlib.compress),
    "zlib, fast": ("zlib", lambda body: zlib.compress(body, 1)),
    "zlib, best": ("zlib", lambda body: zlib.compress(body, 9)),
    "snappy": ("snappy", codec("snappy")),
    "zstd": ("zstd", codec("zstd")),
    "lz4 frame": ("lz4", codec("lz4")),
    "raw lz4": ("lz4", codec("lz4_raw")),
}
MARKED = [name for name in COMPRESS if name != "raw lz4"]


def requests(count: int, seed: int = 1) -> list[bytes]:
    """Plain requests of 0 to some 2,000 bytes."""
    rng = random.Random(seed)
    return [
        b"".join(random_messages.request(rng) for _ in range(rng.choice([1, 1, 2, 8]))) for _ in range(count)
    ]


@pytest.mark.parametrize("name", MARKED)
def test_a_body_says_by_itself_how_it_is_compressed(name: str) -> None:
    for body in requests(500):
        if body:
            assert inflate(COMPRESS[name][1](body), None, LIMIT) == body


@pytest.mark.parametrize("name", COMPRESS)
def test_a_service_may_say_how_bodies_are_compressed(name: str) -> None:
    decompressor, compress = COMPRESS[name]
    for body in requests(100):
        assert inflate(compress(body), decompressor, LIMIT) == body


@pytest.mark.parametrize("name", COMPRESSORS)
def test_what_a_client_compresses_is_read_with_and_without_being_told(name: str) -> None:
    for body in requests(100):
        packed = deflate(body, name)
        assert inflate(packed, name, LIMIT) == body
        assert not body or inflate(packed, None, LIMIT) == body


def test_3000_plain_requests_stay_what_they_are_and_come_back_from_snappy() -> None:
    snappy = COMPRESS["snappy"][1]
    for body in requests(3000, seed=2):
        assert inflate(body, None, LIMIT) == body
        assert inflate(body, "", LIMIT) == body
        assert inflate(snappy(body), None, LIMIT) == body


def test_snappy_bodies_that_parse_as_a_message_are_inflated_all_the_same() -> None:
    """One in eight does, so that protobuf must never be tried first."""
    snappy = COMPRESS["snappy"][1]
    parsing = 0
    for body in requests(1000, seed=3):
        compressed = snappy(body)
        try:
            PBRequest.FromString(compressed)
        except Exception:
            continue
        parsing += 1
        assert inflate(compressed, None, LIMIT) == body
    assert parsing > 10


def test_a_snappy_body_that_begins_like_zlib_is_snappy() -> None:
    rng = random.Random(5)
    body = rng.randbytes(40) + b"a" * 80  # 120 bytes, first literal of 40: "78 9c"
    compressed = bytes([120, (40 - 1) << 2]) + body[:40] + COMPRESS["snappy"][1](b"a" * 80)[1:]
    assert compressed[:2] == b"\x78\x9c"
    assert inflate(compressed, None, LIMIT) == body


def test_any_bytes_are_handed_on_or_refused() -> None:
    rng = random.Random(6)
    heads = [b"", b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18", b"\x78\x9c"]
    for _ in range(3000):
        body = rng.choice(heads) + rng.randbytes(rng.randrange(60))
        for decompressor in (None, *DECOMPRESSORS):
            with suppress(RequestError):
                assert len(inflate(body, decompressor, 1000)) <= 1000


BOMBS = {
    "gzip": lambda size: gzip.compress(bytes(size)),
    "zlib": lambda size: zlib.compress(bytes(size)),
    "zstd": lambda size: codec("zstd")(bytes(size)),
    "lz4 frame": lambda size: codec("lz4")(bytes(size)),
    "raw lz4": lambda size: codec("lz4_raw")(bytes(size)),
    "snappy": lambda size: codec("snappy")(bytes(size)),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_and_one_byte_less_is_not(name: str) -> None:
    decompressor = COMPRESS[name][0]
    detected = decompressor if name == "raw lz4" else None
    for explicit in (detected, decompressor):
        assert len(inflate(BOMBS[name](LIMIT), explicit, LIMIT)) == LIMIT
        for size in (LIMIT + 1, 64 * LIMIT):
            with pytest.raises(TooLargeError, match=r"failed to read request: .* larger than 1048576 bytes"):
                inflate(BOMBS[name](size), explicit, LIMIT)


def test_a_snappy_length_that_its_body_cannot_hold_is_not_allocated() -> None:
    body = b"\xff\xff\xff\xff\x0f" + b"\x00a"  # 4 GiB in two bytes
    assert inflate(body, None, LIMIT) == body
    with pytest.raises(RequestError, match="its length does not fit"):
        inflate(body, "snappy", LIMIT)


def test_a_plain_body_over_the_limit_is_refused() -> None:
    assert inflate(b"\x12" * 100, None, 100) == b"\x12" * 100
    with pytest.raises(TooLargeError):
        inflate(b"\x12" * 101, None, 100)


@pytest.mark.parametrize("name", MARKED)
def test_a_body_cut_short_is_refused_where_its_kind_is_known(name: str) -> None:
    decompressor, compress = COMPRESS[name]
    body = compress(os.urandom(50) * 3 + b"abc" * 50)
    for end in range(1, len(body)):
        with pytest.raises(RequestError, match=f"its {decompressor} body is damaged or not {decompressor}"):
            inflate(body[:end], decompressor, LIMIT)


@pytest.mark.parametrize("name", ["gzip", "zlib"])
def test_bytes_after_the_end_are_refused(name: str) -> None:
    decompressor, compress = COMPRESS[name]
    with pytest.raises(RequestError, match="2 bytes follow its end"):
        inflate(compress(b"body") + b"xx", decompressor, LIMIT)


@pytest.mark.parametrize("decompressor", DECOMPRESSORS)
def test_a_plain_body_is_refused_where_the_service_wants_another(decompressor: str) -> None:
    with pytest.raises(RequestError, match=f"not {decompressor}"):
        inflate(b"\x1a\x03abc\x1a\x03abd", decompressor, LIMIT)


def test_an_unknown_decompressor_is_named() -> None:
    with pytest.raises(
        ConfigError, match="unknown decompressor 'brotli'; known: gzip, zlib, snappy, zstd, lz4"
    ):
        inflate(b"", "brotli", LIMIT)
