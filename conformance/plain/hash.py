"""The hashes of features in plain Python: slow, and written without a look at the native ones."""

from __future__ import annotations

import math
import struct

MASK = 2**64 - 1
K0, K1, K2 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F


def murmur64a(data: bytes, seed: int = 0xC70F6907) -> int:
    """MurmurHash2, the 64-bit "A" variant."""
    m = 0xC6A4A7935BD1E995
    h = seed ^ (len(data) * m & MASK)
    whole = len(data) // 8 * 8
    for at in range(0, whole, 8):
        k = int.from_bytes(data[at : at + 8], "little") * m & MASK
        k ^= k >> 47
        h = (h ^ (k * m & MASK)) * m & MASK
    if data[whole:]:
        h = (h ^ int.from_bytes(data[whole:], "little")) * m & MASK
    h = (h ^ (h >> 47)) * m & MASK
    return h ^ (h >> 47)


def hash_float(number: float) -> int:
    """A float32: 0 for both zeros, else murmur64a of its four bytes; every NaN as the quiet positive one."""
    return murmur64a(struct.pack("<f", _one_nan(number))) if number != 0 else 0


def hash_double(number: float) -> int:
    """A double: 0 for both zeros, else murmur64a of its eight bytes; every NaN as the quiet positive one."""
    return murmur64a(struct.pack("<d", _one_nan(number))) if number != 0 else 0


def _one_nan(number: float) -> float:
    return math.nan if math.isnan(number) else number


def fingerprint64(data: bytes) -> int:
    """FarmHash Fingerprint64, one function per range of lengths."""
    if len(data) <= 16:
        return _short(data)
    if len(data) <= 32:
        return _medium(data)
    if len(data) <= 64:
        return _large(data)
    return _long(data)


def _u64(data: bytes, at: int) -> int:
    at = at if at >= 0 else len(data) + at
    return int.from_bytes(data[at : at + 8], "little")


def _u32(data: bytes, at: int) -> int:
    at = at if at >= 0 else len(data) + at
    return int.from_bytes(data[at : at + 4], "little")


def _ror(x: int, bits: int) -> int:
    x &= MASK
    return (x >> bits | x << (64 - bits)) & MASK


def _mix(x: int) -> int:
    x &= MASK
    return x ^ x >> 47


def _join(u: int, v: int, mul: int) -> int:
    a = _mix(((u ^ v) & MASK) * mul)
    b = _mix(((v ^ a) & MASK) * mul)
    return b * mul & MASK


def _short(data: bytes) -> int:
    n = len(data)
    mul = K2 + 2 * n
    if n >= 8:
        a, b = _u64(data, 0) + K2, _u64(data, -8)
        return _join(_ror(b, 37) * mul + a, (_ror(a, 25) + b) * mul, mul)
    if n >= 4:
        return _join(n + (_u32(data, 0) << 3), _u32(data, -4), mul)
    if n > 0:
        y = data[0] + (data[n >> 1] << 8)
        z = n + (data[-1] << 2)
        return _mix(y * K2 ^ z * K0) * K2 & MASK
    return K2


def _medium(data: bytes) -> int:
    mul = K2 + 2 * len(data)
    a, b, c, d = _u64(data, 0) * K1, _u64(data, 8), _u64(data, -8) * mul, _u64(data, -16) * K2
    return _join(_ror(a + b, 43) + _ror(c, 30) + d, a + _ror(b + K2, 18) + c, mul)


def _large(data: bytes) -> int:
    mul = K2 + 2 * len(data)
    a, b, c, d = _u64(data, 0) * K2, _u64(data, 8), _u64(data, -8) * mul, _u64(data, -16) * K2
    y = _ror(a + b, 43) + _ror(c, 30) + d
    z = _join(y, a + _ror(b + K2, 18) + c, mul)
    e, f = _u64(data, 16) * mul, _u64(data, 24)
    g, h = (y + _u64(data, -32)) * mul, (z + _u64(data, -24)) * mul
    return _join(_ror(e + f, 43) + _ror(g, 30) + h, e + _ror(f + a, 18) + g, mul)


def _weak(data: bytes, at: int, a: int, b: int) -> tuple[int, int]:
    w, x, y, z = (_u64(data, at + 8 * i) for i in range(4))
    a += w
    b = _ror(b + a + z, 21)
    c = a
    a += x + y
    b += _ror(a, 44)
    return (a + z) & MASK, (b + c) & MASK


def _long(data: bytes) -> int:
    seed = 81
    x, y = seed * K2 + _u64(data, 0), seed * K1 + 113
    z = _mix(y * K2 + 113) * K2
    v0 = v1 = w0 = w1 = 0
    last = (len(data) - 1) // 64 * 64
    for at in range(0, last, 64):
        x = _ror(x + y + v0 + _u64(data, at + 8), 37) * K1 ^ w1
        y = _ror(y + v1 + _u64(data, at + 48), 42) * K1 + v0 + _u64(data, at + 40)
        z = _ror(z + w0, 33) * K1
        x, y, z = x & MASK, y & MASK, z & MASK
        v0, v1 = _weak(data, at, v1 * K1, x + w0)
        w0, w1 = _weak(data, at + 32, z + w1, y + _u64(data, at + 16))
        x, z = z, x
    mul = K1 + ((z & 0xFF) << 1)
    at = len(data) - 64
    w0 += (len(data) - 1) & 63
    v0 += w0
    w0 += v0
    x = _ror(x + y + v0 + _u64(data, at + 8), 37) * mul ^ w1 * 9
    y = _ror(y + v1 + _u64(data, at + 48), 42) * mul + v0 * 9 + _u64(data, at + 40)
    z = _ror(z + w0, 33) * mul
    v0, v1 = _weak(data, at, v1 * mul, x + w0)
    w0, w1 = _weak(data, at + 32, z + w1, y + _u64(data, at + 16))
    x, z = z, x
    return _join(_join(v0, w0, mul) + _mix(y) * K0 + z, _join(v1, w1, mul) + x, mul)
