"""MurmurHash64A and FarmHash Fingerprint64, from their public descriptions, in arbitrary-size integers."""

from __future__ import annotations

import math
import struct

MASK = (1 << 64) - 1
SEED = 0xC70F6907

# Primes of FarmHash.
K0 = 0xC3A5C85C97CB3127
K1 = 0xB492B66FBE98F273
K2 = 0x9AE16A3B2F90404F


def murmur(data: bytes) -> int:
    """MurmurHash64A with the seed of libstdc++'s `std::hash<std::string>` (5.2)."""
    multiplier, shift = 0xC6A4A7935BD1E995, 47
    full = len(data) // 8 * 8
    h = SEED ^ (len(data) * multiplier & MASK)
    for at in range(0, full, 8):
        k = word(data, at) * multiplier & MASK
        k = (k ^ k >> shift) * multiplier & MASK
        h = (h ^ k) * multiplier & MASK
    if data[full:]:
        h = (h ^ int.from_bytes(data[full:], "little")) * multiplier & MASK
    h = (h ^ h >> shift) * multiplier & MASK
    return h ^ h >> shift


def hashed(*texts: str, buckets: int = 100) -> list[int]:
    """The buckets of texts under the default hash."""
    return [murmur(text.encode()) % buckets for text in texts]


def murmur_float32(number: float) -> int:
    """`std::hash<float>`: both zeros give 0, all else the hash of the four bytes, NaN positive (5.2)."""
    return 0 if number == 0 else murmur(struct.pack("<f", _one_nan(number)))


def murmur_float64(number: float) -> int:
    """`std::hash<double>`, the same over eight bytes (5.2)."""
    return 0 if number == 0 else murmur(struct.pack("<d", _one_nan(number)))


def _one_nan(number: float) -> float:
    """The number; every NaN, whose sign no platform promises, as the same one."""
    return math.nan if math.isnan(number) else number


def fingerprint(data: bytes) -> int:
    """FarmHash Fingerprint64, by length of the text."""
    if len(data) <= 16:
        return _up_to_16(data)
    if len(data) <= 32:
        return _up_to_32(data)
    if len(data) <= 64:
        return _up_to_64(data)
    return _over_64(data)


def word(data: bytes, at: int) -> int:
    """Eight bytes, little endian; a negative position counts from the end."""
    at = at if at >= 0 else len(data) + at
    return int.from_bytes(data[at : at + 8], "little")


def _half_word(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little")


def _rotate(value: int, by: int) -> int:
    value &= MASK
    return (value >> by | value << (64 - by)) & MASK


def _shift_mix(value: int) -> int:
    value &= MASK
    return value ^ value >> 47


def _mix(u: int, v: int, multiplier: int) -> int:
    a = _shift_mix(((u ^ v) & MASK) * multiplier)
    b = _shift_mix(((v ^ a) & MASK) * multiplier)
    return b * multiplier & MASK


def _up_to_16(data: bytes) -> int:
    size = len(data)
    multiplier = K2 + size * 2
    if size >= 8:
        a, b = word(data, 0) + K2, word(data, -8)
        c = _rotate(b, 37) * multiplier + a
        d = (_rotate(a, 25) + b) * multiplier
        return _mix(c & MASK, d & MASK, multiplier)
    if size >= 4:
        return _mix(size + (_half_word(data, 0) << 3), _half_word(data, size - 4), multiplier)
    if size > 0:
        y = data[0] + (data[size >> 1] << 8)
        z = size + (data[-1] << 2)
        return _shift_mix(y * K2 ^ z * K0) * K2 & MASK
    return K2


def _up_to_32(data: bytes) -> int:
    multiplier = K2 + len(data) * 2
    a, b = word(data, 0) * K1, word(data, 8)
    c, d = word(data, -8) * multiplier, word(data, -16) * K2
    first = _rotate(a + b, 43) + _rotate(c, 30) + d
    second = a + _rotate(b + K2, 18) + c
    return _mix(first & MASK, second & MASK, multiplier)


def _up_to_64(data: bytes) -> int:
    multiplier = K2 + len(data) * 2
    a, b = word(data, 0) * K2, word(data, 8)
    c, d = word(data, -8) * multiplier, word(data, -16) * K2
    y = (_rotate(a + b, 43) + _rotate(c, 30) + d) & MASK
    z = _mix(y, (a + _rotate(b + K2, 18) + c) & MASK, multiplier)
    e, f = word(data, 16) * multiplier, word(data, 24)
    g = (y + word(data, -32)) * multiplier
    h = (z + word(data, -24)) * multiplier
    first = _rotate(e + f, 43) + _rotate(g, 30) + h
    second = e + _rotate(f + a, 18) + g
    return _mix(first & MASK, second & MASK, multiplier)


def _over_64(data: bytes) -> int:
    x = 81
    y = (81 * K1 + 113) & MASK
    z = _shift_mix(y * K2 + 113) * K2 & MASK
    v, w = (0, 0), (0, 0)
    x = (x * K2 + word(data, 0)) & MASK
    for at in range(0, (len(data) - 1) // 64 * 64, 64):
        x = _rotate(x + y + v[0] + word(data, at + 8), 37) * K1 & MASK
        y = _rotate(y + v[1] + word(data, at + 48), 42) * K1 & MASK
        x ^= w[1]
        y = (y + v[0] + word(data, at + 40)) & MASK
        z = _rotate(z + w[0], 33) * K1 & MASK
        v = _weak(data, at, v[1] * K1, x + w[0])
        w = _weak(data, at + 32, z + w[1], y + word(data, at + 16))
        z, x = x, z
    multiplier = K1 + ((z & 0xFF) << 1)
    last = len(data) - 64
    w = (w[0] + (len(data) - 1 & 63), w[1])
    v = (v[0] + w[0], v[1])
    w = (w[0] + v[0], w[1])
    x = _rotate(x + y + v[0] + word(data, last + 8), 37) * multiplier
    y = _rotate(y + v[1] + word(data, last + 48), 42) * multiplier
    x = (x & MASK) ^ (w[1] * 9 & MASK)
    y += v[0] * 9 + word(data, last + 40)
    z = _rotate(z + w[0], 33) * multiplier
    v = _weak(data, last, v[1] * multiplier, x + w[0])
    w = _weak(data, last + 32, z + w[1], y + word(data, last + 16))
    z, x = x, z
    first = _mix(v[0], w[0], multiplier) + _shift_mix(y) * K0 + z
    second = _mix(v[1], w[1], multiplier) + x
    return _mix(first & MASK, second & MASK, multiplier)


def _weak(data: bytes, at: int, a: int, b: int) -> tuple[int, int]:
    w, x, y, z = (word(data, at + offset) for offset in (0, 8, 16, 24))
    a += w
    b = _rotate(b + a + z, 21)
    c = a
    a += x + y
    b += _rotate(a, 44)
    return (a + z) & MASK, (b + c) & MASK
