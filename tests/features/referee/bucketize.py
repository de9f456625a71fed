"""Bucketizers (5.2): tokens and numbers to ids."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tests.features.referee.cells import (
    UnspecifiedError,
    float32,
    number_to_text,
    text_to_integer,
    text_to_number,
)
from tests.features.referee.hashing import fingerprint, murmur, murmur_float32, murmur_float64

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from tests.features.referee.config import Feature


class Bucketizer:
    """The bucketizer of one feature."""

    def __init__(self, feature: Feature, *, farm_hash: bool = False) -> None:
        self.feature = feature
        self.hash_text: Callable[[bytes], int] = fingerprint if farm_hash else murmur
        self.words = words_of(feature)

    def token(self, text: str, bare: str) -> int:
        """The id of a token; `bare` is a match's value without its prefix (6.5)."""
        spec = self.feature.spec
        match self.feature.bucketizer:
            case "hash_bucket_size":
                return self.hash_text(text.encode()) % int(spec["hash_bucket_size"])
            case "num_buckets":
                number = text_to_integer(bare)
                return in_range(number or 0, int(spec["num_buckets"]))
            case "boundaries":
                parsed = text_to_number(text)
                if parsed is None:
                    raise UnspecifiedError("boundaries over text that is no number")
                return bucket_of(float32(parsed), spec["boundaries"])
            case _:
                unknown = int(spec.get("default_bucketize_value", 0))
                return self.words.get(text, self.words.get(bare, unknown))

    def number(self, value: int | float) -> int:
        """The id of a numeric result, already of the feature's value_type."""
        spec = self.feature.spec
        match self.feature.bucketizer:
            case "hash_bucket_size":
                return hash_number(value, self.feature.value_type) % int(spec["hash_bucket_size"])
            case "num_buckets":
                whole = 0 if math.isnan(value) or math.isinf(value) else math.trunc(value)
                return in_range(whole, int(spec["num_buckets"]))
            case "boundaries":
                return bucket_of(float32(value), spec["boundaries"])
            case _:
                return self.words.get(number_to_text(value), int(spec.get("default_bucketize_value", 0)))


def in_range(number: int, buckets: int) -> int:
    """Itself, or 0 when out of range; no modulo."""
    return number if 0 <= number < buckets else 0


def bucket_of(value: np.float32, boundaries: list[float]) -> int:
    """The number of boundaries <= value; NaN goes to the last bucket."""
    return sum(1 for boundary in boundaries if not value < float32(boundary))


def hash_number(value: int | float, value_type: str) -> int:
    """The unsigned hash of a number."""
    if value_type == "int":
        return int(value) % (1 << 64)
    return murmur_float64(float(value)) if value_type == "double" else murmur_float32(float(value))


def words_of(feature: Feature) -> dict[str, int]:
    """Token to id of the three vocabularies; the last entry of a word wins."""
    spec = feature.spec
    match feature.bucketizer:
        case "vocab_list":
            return {word: at for at, word in enumerate(spec["vocab_list"])}
        case "vocab_dict":
            return {word: int(number) for word, number in spec["vocab_dict"].items()}
        case "vocab_file":
            return words_of_text(feature.files[spec["vocab_file"]])
    return {}


def words_of_text(text: str) -> dict[str, int]:
    """One entry per line: a word, or a word, a blank and its index; blank lines are skipped."""
    result: dict[str, int] = {}
    for at, line in enumerate(text.replace("\r\n", "\n").split("\n")):
        pieces = line.replace("\t", " ").split(" ")
        if len(pieces) == 2:
            result[pieces[0]] = int(pieces[1])
        elif line:
            result[line] = at
    return result
