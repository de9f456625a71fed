"""The features of a workload in numba, feature by feature: what a generator is that a config drives.

Each feature is one compiled function with loops over rows, and asks what it has to ask of every text: is it
missing, does it hold several values? Arrays come in and go out of each call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from benchmarks.features.request_numpy import NumpyFeatures
from benchmarks.workloads import BOUNDARIES, Feature
from numba import njit

if TYPE_CHECKING:
    from benchmarks.features.request_columns import Columns

SEED = np.uint64(0xC70F6907)
MULTIPLIER = np.uint64(0xC6A4A7935BD1E995)
SHIFT = np.uint64(47)
MEAN, DEVIATION = np.float32(0.5), np.float32(0.29)
LIMITS = np.array(BOUNDARIES, np.float32)
SEPARATOR = 0x1D
MAP_SLOTS = 512  # a power of two, over twice the keys of any map


@njit(inline="always")
def murmur(text: Any, begin: int, end: int) -> Any:
    """MurmurHash64A of text[begin:end]."""
    result = SEED ^ (np.uint64(end - begin) * MULTIPLIER)
    while end - begin >= 8:
        word = np.uint64(0)
        for i in range(8):
            word |= np.uint64(text[begin + i]) << np.uint64(8 * i)
        word *= MULTIPLIER
        word = (word ^ (word >> SHIFT)) * MULTIPLIER
        result = (result ^ word) * MULTIPLIER
        begin += 8
    if end > begin:
        word = np.uint64(0)
        for i in range(end - begin):
            word |= np.uint64(text[begin + i]) << np.uint64(8 * i)
        result = (result ^ word) * MULTIPLIER
    result = (result ^ (result >> SHIFT)) * MULTIPLIER
    return result ^ (result >> SHIFT)


@njit
def ids(text: Any, ends: Any, buckets: int) -> Any:
    """The ids of the values of each text, and how many there are."""
    rows = len(ends) - 1
    values = np.empty(len(text), np.int64)  # a text has no more values than bytes
    lengths = np.empty(rows, np.int64)
    count = 0
    for row in range(rows):
        before, begin = count, ends[row]
        for at in range(ends[row], ends[row + 1] + 1):
            if at == ends[row + 1] or text[at] == SEPARATOR:
                if at > begin:
                    values[count] = np.int64(murmur(text, begin, at) % np.uint64(buckets))
                    count += 1
                begin = at + 1
        lengths[row] = count - before
    return values[:count], lengths


@njit
def tags(text: Any, ends: Any, row_ends: Any, buckets: int) -> Any:
    """The ids of each row's list."""
    values = np.empty(len(ends) - 1, np.int64)
    lengths = np.empty(len(row_ends) - 1, np.int64)
    count = 0
    for row in range(len(lengths)):
        before = count
        for i in range(row_ends[row], row_ends[row + 1]):
            if ends[i + 1] > ends[i]:
                values[count] = np.int64(murmur(text, ends[i], ends[i + 1]) % np.uint64(buckets))
                count += 1
        lengths[row] = count - before
    return values[:count], lengths


@njit
def integers(column: Any, buckets: int) -> Any:
    """Integers in their range."""
    values = np.empty(len(column), np.int64)
    for i in range(len(column)):
        values[i] = column[i] if 0 <= column[i] < buckets else 0
    return values, np.ones(len(column), np.int64)


@njit
def bucket(value: Any) -> int:
    """How many boundaries are not above the value."""
    low, high = 0, len(LIMITS)
    while low < high:
        middle = (low + high) // 2
        if value < LIMITS[middle]:
            high = middle
        else:
            low = middle + 1
    return low


@njit
def bucketised(column: Any) -> Any:
    """Buckets of numbers."""
    values = np.empty(len(column), np.int64)
    for i in range(len(column)):
        values[i] = bucket(column[i])
    return values, np.ones(len(column), np.int64)


@njit
def normalized(column: Any) -> Any:
    """Numbers from their mean, in deviations."""
    return (column - MEAN) / DEVIATION


@njit
def combos(user: Any, text: Any, ends: Any, buckets: int) -> Any:
    """The id of the user's text, `_` and each item's text; both must be there, with one value."""
    rows = len(ends) - 1
    values, lengths = np.empty(rows, np.int64), np.empty(rows, np.int64)
    longest = 0
    for row in range(rows):
        longest = max(longest, ends[row + 1] - ends[row])
    joined = np.empty(len(user) + 1 + longest, np.uint8)
    joined[: len(user)] = user
    joined[len(user)] = 95  # _
    count = 0
    for row in range(rows):
        size = ends[row + 1] - ends[row]
        for i in range(size):
            byte = text[ends[row] + i]
            if byte == SEPARATOR:
                raise ValueError("several values in a text")
            joined[len(user) + 1 + i] = byte
        lengths[row] = 1 if size > 0 and len(user) > 0 else 0
        if lengths[row] > 0:
            values[count] = np.int64(murmur(joined, 0, len(user) + 1 + size) % np.uint64(buckets))
            count += 1
    return values[:count], lengths


@njit
def fill_map(keys: Any, key_ends: Any, hashes: Any, places: Any) -> None:
    """The user's map as an open-addressing table of hashes."""
    for i in range(len(key_ends) - 1):
        hashed = murmur(keys, key_ends[i], key_ends[i + 1])
        at = np.int64(hashed & np.uint64(MAP_SLOTS - 1))
        while places[at] >= 0:
            at = (at + 1) & (MAP_SLOTS - 1)
        hashes[at] = hashed
        places[at] = i


@njit
def lookups(keys: Any, key_ends: Any, key_values: Any, text: Any, ends: Any) -> Any:
    """The value of the user's map at each item's key, compared by hash; 0 where there is none."""
    hashes = np.empty(MAP_SLOTS, np.uint64)
    places = np.full(MAP_SLOTS, -1)
    fill_map(keys, key_ends, hashes, places)
    found = np.zeros(len(ends) - 1, np.float32)
    for row in range(len(found)):
        hashed = murmur(text, ends[row], ends[row + 1])
        at = np.int64(hashed & np.uint64(MAP_SLOTS - 1))
        while places[at] >= 0 and hashes[at] != hashed:
            at = (at + 1) & (MAP_SLOTS - 1)
        if places[at] >= 0:
            found[row] = key_values[places[at]]
    return found


class NumbaFeatures(NumpyFeatures):
    """Generates the tensors of one request, laid out as numpy's."""

    def _numbers(self, feature: Feature, columns: Columns) -> Any:
        if feature.kind == "float":
            return normalized(columns.floats[feature.name])
        user, item = (columns.texts[name] for name in feature.reads)
        return lookups(user.text, user.ends, columns.floats[feature.reads[0]], item.text, item.ends)

    def _ids(self, feature: Feature, columns: Columns) -> Any:
        name, buckets = feature.name, feature.rows
        match feature.kind:
            case "int":
                return integers(columns.integers[name], buckets)
            case "bucketised":
                return bucketised(columns.floats[name])
            case "combo":
                user, item = (columns.texts[read] for read in feature.reads)
                return combos(user.text, item.text, item.ends, buckets)
        texts = columns.texts[name]
        if feature.kind == "tags":
            return tags(texts.text, texts.ends, columns.row_ends[name], buckets)
        values, lengths = ids(texts.text, texts.ends, buckets)
        return values, np.array([len(lengths)]) if feature.kind == "sequence" else lengths
