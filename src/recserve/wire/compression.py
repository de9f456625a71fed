"""Compressed request bodies. No client says how; the service's `decompressor` does, or the bytes.

| first bytes     | body                                                         |
|-----------------|--------------------------------------------------------------|
| 1f 8b           | gzip                                                         |
| 28 b5 2f fd     | zstd                                                         |
| 04 22 4d 18     | LZ4 frame                                                    |
| 78, mod 31 = 0  | zlib, unless it does not inflate: snappy may begin like that |
| anything        | snappy, if it is a whole and exact block; else plain         |

A raw LZ4 block has no mark at all and is understood only where the service says `lz4`. Nothing is tried as
protobuf: one snappy body in eight parses as a message.

Nothing inflates beyond `limit`: snappy and raw LZ4 say their size first, the others are read piece by piece.
"""

from __future__ import annotations

import zlib
from contextlib import suppress
from typing import TYPE_CHECKING

import pyarrow as pa

from recserve._core import lz4_block_size
from recserve.errors import ConfigError, RequestError, TooLargeError

if TYPE_CHECKING:
    from collections.abc import Callable

_LZ4_FRAME = b"\x04\x22\x4d\x18"
_PIECE = 1 << 20


def inflate(body: bytes, decompressor: str | None, limit: int) -> bytes:
    """Give the plain body, at most `limit` bytes. `decompressor` as configured; None or "" = by the bytes.

    Raises TooLargeError over the limit, RequestError for a body that is damaged or not what was configured.
    """
    if decompressor:
        try:
            return DECOMPRESSORS[decompressor](body, limit)
        except KeyError:
            raise ConfigError(
                f"unknown decompressor '{decompressor}'; known: {', '.join(DECOMPRESSORS)}"
            ) from None
    for magic, decompress in _BY_MAGIC:
        if body.startswith(magic):
            return decompress(body, limit)
    if body.startswith(b"\x78") and len(body) > 1 and int.from_bytes(body[:2], "big") % 31 == 0:
        try:
            return _zlib(body, limit)
        except RequestError as e:
            if isinstance(e, TooLargeError):
                raise
    size = _snappy_size(body)
    if size is not None and _could_be_snappy(len(body), size):
        _check(size, limit)
        with suppress(RequestError):  # not an exact block: plain
            return _decode("snappy", body, size)
    _check(len(body), limit)
    return body


def deflate(body: bytes, compressor: str) -> bytes:
    """Give the body as `inflate` reads it; `compressor` is one of COMPRESSORS, lz4 makes a frame."""
    return COMPRESSORS[compressor](body)


def _gzip(body: bytes, limit: int) -> bytes:
    return _inflate_stream("gzip", zlib.MAX_WBITS | 16, body, limit)


def _zlib(body: bytes, limit: int) -> bytes:
    return _inflate_stream("zlib", zlib.MAX_WBITS, body, limit)


def _inflate_stream(name: str, window_bits: int, body: bytes, limit: int) -> bytes:
    stream = zlib.decompressobj(window_bits)
    try:
        plain = stream.decompress(body, limit + 1)
    except zlib.error as e:
        raise _broken(name, str(e)) from e
    _check(len(plain), limit)
    if not stream.eof:
        raise _broken(name, "it is cut short")
    if stream.unused_data:
        raise _broken(name, f"{len(stream.unused_data)} bytes follow its end")
    return plain


def _snappy(body: bytes, limit: int) -> bytes:
    size = _snappy_size(body)
    if size is None or not _could_be_snappy(len(body), size):
        raise _broken("snappy", "its length does not fit")
    _check(size, limit)
    return _decode("snappy", body, size)


def _snappy_size(body: bytes) -> int | None:
    """The plain length that a raw snappy block begins with, a varint of at most 32 bits."""
    size = 0
    for i, byte in enumerate(body[:5]):
        size |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            return size if size < 1 << 32 else None
    return None


def _could_be_snappy(compressed: int, plain: int) -> bool:
    """By sizes alone: this decides for nearly every plain request, whose first byte reads as a tiny length.

    Snappy grows data by a sixth and 32 bytes at most, and a copy of 64 bytes takes 2 of its own at least.
    """
    return compressed <= 32 + plain + plain // 6 and plain <= 64 * compressed


def _zstd(body: bytes, limit: int) -> bytes:
    return _read_stream("zstd", body, limit)


def _lz4(body: bytes, limit: int) -> bytes:
    """A frame (its magic cannot begin a block) or a raw block."""
    if body.startswith(_LZ4_FRAME):
        return _read_stream("lz4", body, limit)
    size = lz4_block_size(body)
    if size is None:
        raise _broken("lz4", "it is neither a frame nor a block")
    _check(size, limit)
    return _decode("lz4_raw", body, size)


def _decode(codec: str, body: bytes, size: int) -> bytes:
    try:
        plain: bytes = pa.Codec(codec).decompress(body, size, asbytes=True)
    except OSError as e:
        raise _broken(codec.removesuffix("_raw"), str(e)) from e
    return plain


def _read_stream(codec: str, body: bytes, limit: int) -> bytes:
    pieces, size = [], 0
    try:
        with pa.CompressedInputStream(pa.BufferReader(body), codec) as stream:
            while piece := stream.read(min(_PIECE, limit - size + 1)):
                size += len(piece)
                _check(size, limit)
                pieces.append(piece)
    except OSError as e:
        raise _broken(codec, str(e)) from e
    return b"".join(pieces)


def _check(size: int, limit: int) -> None:
    if size > limit:
        raise TooLargeError(f"failed to read request: its body is larger than {limit} bytes (max_body_bytes)")


def _broken(name: str, why: str) -> RequestError:
    return RequestError(f"failed to parse request: its {name} body is damaged or not {name}: {why}")


DECOMPRESSORS: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": _gzip,
    "zlib": _zlib,
    "snappy": _snappy,
    "zstd": _zstd,
    "lz4": _lz4,
}
_BY_MAGIC = ((b"\x1f\x8b", _gzip), (b"\x28\xb5\x2f\xfd", _zstd), (_LZ4_FRAME, _lz4))


def _codec(name: str) -> Callable[[bytes], bytes]:
    def compress(body: bytes) -> bytes:
        compressed: bytes = pa.Codec(name).compress(body, asbytes=True)
        return compressed

    return compress


COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda body: zlib.compress(body, 1, zlib.MAX_WBITS | 16),
    "zlib": lambda body: zlib.compress(body, 1),
    "snappy": _codec("snappy"),
    "zstd": _codec("zstd"),
    "lz4": _codec("lz4"),
}
