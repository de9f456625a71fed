"""The features of a workload in numpy, feature by feature: what a generator is that a config drives.

Each feature is one function over whole columns, without a loop over rows, and asks what it has to ask of its
column: is a text missing, does one hold several values? Texts are hashed as words of eight bytes, which are
gathered through an unaligned view of the column's bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from benchmarks.workloads import BOUNDARIES, Feature, Workload

if TYPE_CHECKING:
    from benchmarks.features.request_columns import Columns, Texts
    from numpy.typing import NDArray

SEED = np.uint64(0xC70F6907)
MULTIPLIER = np.uint64(0xC6A4A7935BD1E995)
SHIFT = np.uint64(47)
MASKS = np.array([(1 << 8 * length) - 1 for length in range(9)], np.uint64)  # of the first bytes of a word
MEAN, DEVIATION = np.float32(0.5), np.float32(0.29)
LIMITS = np.array(BOUNDARIES, np.float32)
SEPARATOR = 0x1D

Ids = tuple["NDArray[np.int64]", "NDArray[np.int64]"]  # values, and how many each row has


def murmur(words: list[NDArray[np.uint64]], lengths: NDArray[np.int64]) -> NDArray[np.uint64]:
    """MurmurHash64A of texts: `words[k]` holds bytes 8k to 8k + 8 of each, zeros behind its end."""
    result = SEED ^ (lengths.astype(np.uint64) * MULTIPLIER)
    for k, word in enumerate(words):
        mixed = word * MULTIPLIER
        mixed = (mixed ^ (mixed >> SHIFT)) * MULTIPLIER
        left = lengths - 8 * k  # 8 and more: a whole word; 1 to 7: the rest
        with_rest = np.where(left > 0, (result ^ word) * MULTIPLIER, result)
        result = np.where(left >= 8, (result ^ mixed) * MULTIPLIER, with_rest)
    result = (result ^ (result >> SHIFT)) * MULTIPLIER
    hashed: NDArray[np.uint64] = result ^ (result >> SHIFT)
    return hashed


def words_of(texts: Texts) -> tuple[list[NDArray[np.uint64]], NDArray[np.int64]]:
    """The bytes of texts as words, and their lengths."""
    if (texts.text == SEPARATOR).any():
        raise ValueError("a text holds several values, which no workload for numpy may have")
    lengths = np.diff(texts.ends).astype(np.int64)
    longest = int(lengths.max(initial=1))
    text = np.concatenate([texts.text, np.zeros(longest + 8, np.uint8)])
    unaligned = np.ndarray((len(text) - 7,), np.uint64, text, strides=(1,))
    starts = texts.ends[:-1]
    return [
        unaligned[starts + begin] & MASKS[np.clip(lengths - begin, 0, 8)] for begin in range(0, longest, 8)
    ], lengths


def hashes(texts: Texts) -> NDArray[np.uint64]:
    """The hash of every text."""
    return murmur(*words_of(texts))


def ids(texts: Texts, buckets: int) -> Ids:
    """The id of each text; a missing one has none."""
    words, lengths = words_of(texts)
    values = (murmur(words, lengths) % np.uint64(buckets)).astype(np.int64)
    present = lengths > 0
    return values if present.all() else values[present], present.astype(np.int64)


def tags(texts: Texts, row_ends: NDArray[np.int32], buckets: int) -> Ids:
    """The ids of each row's list."""
    values, present = ids(texts, buckets)
    if len(values) != len(present):
        raise ValueError("a list holds empty entries, which no workload for numpy may have")
    return values, np.diff(row_ends).astype(np.int64)


def combos(user: Texts, items: Texts, buckets: int) -> Ids:
    """The id of the user's text, `_` and each item's text, put together as bytes."""
    words, lengths = words_of(items)
    prefix = len(user.text) + 1
    joined = np.zeros((len(lengths), -(-(prefix + 8 * len(words)) // 8) * 8), np.uint8)
    joined[:, : prefix - 1] = user.text
    joined[:, prefix - 1] = ord("_")
    joined[:, prefix : prefix + 8 * len(words)] = np.stack(words, axis=1).view(np.uint8)
    parts = joined.view(np.uint64)
    values = murmur([np.ascontiguousarray(parts[:, k]) for k in range(parts.shape[1])], lengths + prefix)
    present = (lengths > 0) & (prefix > 1)
    return (values % np.uint64(buckets)).astype(np.int64)[present], present.astype(np.int64)


def lookups(keys: Texts, values: NDArray[np.float32], wanted: Texts) -> NDArray[np.float32]:
    """The value of the user's map at each item's key, compared by hash; 0 where there is none."""
    known = hashes(keys)
    order = np.argsort(known)
    asked = hashes(wanted)
    at = order[np.minimum(np.searchsorted(known, asked, sorter=order), len(known) - 1)]
    found: NDArray[np.float32] = np.where(known[at] == asked, values[at], np.float32(0))
    return found


class NumpyFeatures:
    """Generates the tensors of one request."""

    def __init__(self, workload: Workload) -> None:
        self.features = workload.features
        self.rows = workload.candidates

    def generate(self, columns: Columns) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Give the int and the float buffer that the core would make."""
        ints: list[NDArray[np.int64]] = []
        floats: list[NDArray[np.float32]] = []
        for feature in self.features:
            if feature.dense:
                values = self._numbers(feature, columns)
                floats.append(np.repeat(values, self.rows) if len(values) == 1 else values)
                continue
            tokens, lengths = self._ids(feature, columns)
            if len(lengths) == 1:
                tokens, lengths = np.tile(tokens, self.rows), np.repeat(lengths, self.rows)
            ints += [tokens, lengths]
        return np.concatenate(ints), np.concatenate(floats)

    def _numbers(self, feature: Feature, columns: Columns) -> NDArray[np.float32]:
        if feature.kind == "float":
            normalized: NDArray[np.float32] = (columns.floats[feature.name] - MEAN) / DEVIATION
            return normalized
        user, item = feature.reads
        return lookups(columns.texts[user], columns.floats[user], columns.texts[item])

    def _ids(self, feature: Feature, columns: Columns) -> Ids:
        name = feature.name
        match feature.kind:
            case "string":
                return ids(columns.texts[name], feature.rows)
            case "tags":
                return tags(columns.texts[name], columns.row_ends[name], feature.rows)
            case "combo":
                return combos(columns.texts[feature.reads[0]], columns.texts[feature.reads[1]], feature.rows)
            case "sequence":
                values, present = ids(columns.texts[name], feature.rows)
                return values, np.array([len(present)])
            case "int":
                column = columns.integers[name]
                return np.where((column >= 0) & (column < feature.rows), column, 0), np.ones(
                    len(column), np.int64
                )
        buckets = np.searchsorted(LIMITS, columns.floats[name], side="right")
        return buckets, np.ones(len(buckets), np.int64)
