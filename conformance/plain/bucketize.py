"""Bucketizers in plain Python: one function per key of fg.json, from a value to the id of its bucket.

A value is one of the cases of `bucketize.json`: `text`, `integer` (a token of a discrete feature), or
`float32`, `float64`, `int64` (a result of a numeric feature, by its value_type).
"""

from __future__ import annotations

import math
import re
import struct
from typing import Any

from conformance.plain.hash import fingerprint64, hash_double, hash_float, murmur64a


def float32(number: float) -> float:
    """Rounds to float32, as a double."""
    try:
        return float(struct.unpack("<f", struct.pack("<f", number))[0])
    except OverflowError:
        return math.copysign(math.inf, number)


def bucket(bucketizer: dict[str, Any], kind: str, value: Any) -> int | None:
    """The id of `value`; None where the token must be a number and is not."""
    if "hash_bucket_size" in bucketizer:
        return _hash(kind, value, farm=bool(bucketizer.get("farm"))) % int(bucketizer["hash_bucket_size"])
    if "num_buckets" in bucketizer:
        number = _integer(value) if kind == "text" else _truncated(value)
        return number if number is None or 0 <= number < bucketizer["num_buckets"] else 0
    if "vocab" in bucketizer:
        index = dict(bucketizer["vocab"])
        return int(index.get(_text(kind, value), bucketizer["default"]))
    x = _number(value) if kind == "text" else value
    return None if x is None else sum(not float32(x) < b for b in bucketizer["boundaries"])


def _hash(kind: str, value: Any, *, farm: bool) -> int:
    if kind == "float32":
        return hash_float(value)
    if kind == "float64":
        return hash_double(value)
    if kind == "int64":
        return int(value) % 2**64
    return (fingerprint64 if farm else murmur64a)(str(value).encode())


def _text(kind: str, value: Any) -> str:
    return f"{value + 0.0:.6g}" if kind.startswith("float") else str(value)


def _integer(text: str) -> int | None:
    return int(text) if re.fullmatch(r"\s*[+-]?[0-9]+\s*", text, re.ASCII) else None


def _number(text: str) -> float | None:
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


def _truncated(value: float) -> int:
    if math.isnan(value):
        return 0
    return math.trunc(max(-(2.0**64), min(value, 2.0**64))) if isinstance(value, float) else value
