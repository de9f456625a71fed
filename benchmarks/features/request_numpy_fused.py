"""The features of a workload in numpy by hand: each step over all columns that take it.

No generator of features could be this: which columns are hashed together is written into it, and it takes the
workload's data to have no missing values and no several values in a text. It is the least that numpy needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from benchmarks.features.request_numpy import DEVIATION, LIMITS, MASKS, MEAN, murmur

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.features.request_columns import Columns
    from benchmarks.workloads import Feature, Workload
    from numpy.typing import NDArray


class FusedNumpy:
    """Generates the tensors of one request."""

    def __init__(self, workload: Workload) -> None:
        self.rows = workload.candidates
        self.features = {
            (side, kind): [f for f in workload.features if (f.side, f.kind) == (side, kind)]
            for side in ("user", "item", "pair")
            for kind in ("string", "int", "tags", "bucketised", "float", "lookup", "combo", "sequence")
        }
        self.map = self.features["pair", "lookup"][0].reads[0]
        self.hashed = [
            feature
            for group in (("user", "string"), ("item", "string"), ("user", "tags"), ("item", "tags"))
            for feature in self.features[group]
        ] + self.features["user", "sequence"]
        self.texts = [*(feature.name for feature in self.hashed), self.map]
        self.buckets = [*(np.uint64(feature.rows) for feature in self.hashed), np.uint64(1)]

    def generate(self, columns: Columns) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Give the int and the float buffer that the core would make."""
        rows, features = self.rows, self.features
        words, lengths, slots = self._tokens(columns)
        hashes = murmur(words, lengths)
        ends = [slot.stop - slot.start for slot in slots]
        ids = (hashes % np.repeat(self.buckets, np.array(ends) + 1)).astype(np.int64)
        id_of = dict(zip(self.texts, (ids[slot] for slot in slots), strict=True))
        slot_of = dict(zip(self.texts, slots, strict=True))

        integers = self._integers(columns)
        buckets = self._buckets(columns)
        ints: list[NDArray[np.int64]] = []
        for side in ("user", "item"):
            singles = [id_of[feature.name] for feature in features[side, "string"]]
            singles += [integers[feature.name] for feature in features[side, "int"]]
            ints.append(self._singles(singles))
            for feature in features[side, "tags"]:
                ints += self._lists(id_of[feature.name], columns.row_ends[feature.name], user=side == "user")
            ints.append(self._singles([buckets[feature.name] for feature in features[side, "bucketised"]]))
        ints.append(self._combos(words, lengths, slot_of))
        for feature in features["user", "sequence"]:
            steps = id_of[feature.name]
            ints += [np.tile(steps, rows), np.full(rows, len(steps))]
        return np.concatenate(ints), np.concatenate(
            [*self._floats(columns), self._lookups(columns, hashes, slot_of)]
        )

    def _tokens(self, columns: Columns) -> tuple[list[NDArray[np.uint64]], NDArray[np.int64], list[slice]]:
        """The words and lengths of the tokens of all columns, and where each column's are.

        Behind the tokens of a column there is one of length 0: the gap between two columns' ends.
        """
        texts = [columns.texts[name] for name in self.texts]
        ends = np.concatenate([text.ends for text in texts])
        counts = np.array([len(text.ends) for text in texts])
        sizes = np.array([len(text.text) for text in texts])
        last = np.cumsum(counts) - 1
        lengths = np.zeros(len(ends), np.int64)
        lengths[:-1] = ends[1:] - ends[:-1]
        lengths[last] = 0
        starts = ends + np.repeat(np.cumsum(sizes) - sizes, counts)
        text = np.concatenate([*(text.text for text in texts), np.zeros(int(lengths.max()) + 8, np.uint8)])
        unaligned = np.ndarray((len(text) - 7,), np.uint64, text, strides=(1,))
        words = []
        for begin in range(0, max(int(lengths.max()), 1), 8):
            left = np.clip(lengths - begin, 0, 8)
            words.append(unaligned[starts + begin] & MASKS[left])
        first = last - counts + 1
        return words, lengths, [slice(int(a), int(b)) for a, b in zip(first, last, strict=True)]

    def _integers(self, columns: Columns) -> dict[str, NDArray[np.int64]]:
        found = [*self.features["user", "int"], *self.features["item", "int"]]
        values = [columns.integers[feature.name] for feature in found]
        limits = np.repeat([feature.rows for feature in found], [len(column) for column in values])
        joined = np.concatenate(values)
        joined = np.where((joined >= 0) & (joined < limits), joined, 0)
        return _parted(found, values, joined)

    def _buckets(self, columns: Columns) -> dict[str, NDArray[np.int64]]:
        found = [*self.features["user", "bucketised"], *self.features["item", "bucketised"]]
        values = [columns.floats[feature.name] for feature in found]
        return _parted(found, values, np.searchsorted(LIMITS, np.concatenate(values), side="right"))

    def _floats(self, columns: Columns) -> list[NDArray[np.float32]]:
        user = [columns.floats[feature.name] for feature in self.features["user", "float"]]
        item = [columns.floats[feature.name] for feature in self.features["item", "float"]]
        values = np.concatenate([np.repeat(np.concatenate(user), self.rows), *item])
        return [(values - MEAN) / DEVIATION]

    def _lookups(
        self, columns: Columns, hashes: NDArray[np.uint64], slot_of: dict[str, slice]
    ) -> NDArray[np.float32]:
        """The value of the user's map at each item's key, compared by their hashes; 0 where there is none."""
        keys = hashes[slot_of[self.map]]
        order = np.argsort(keys)
        wanted = np.concatenate([hashes[slot_of[f.reads[1]]] for f in self.features["pair", "lookup"]])
        at = np.minimum(np.searchsorted(keys, wanted, sorter=order), len(keys) - 1)
        at = order[at]
        found: NDArray[np.float32] = np.where(keys[at] == wanted, columns.floats[self.map][at], np.float32(0))
        return found

    def _combos(
        self, words: list[NDArray[np.uint64]], lengths: NDArray[np.int64], slot_of: dict[str, slice]
    ) -> NDArray[np.int64]:
        """Hashes of user text, `_`, item text, put together as bytes."""
        combos = self.features["pair", "combo"]
        user = [slot_of[feature.reads[0]].start for feature in combos]
        longest = 8 * (2 * len(words) + 1)
        joined = np.zeros((len(combos), self.rows, longest), np.uint8)
        items = np.stack(words, axis=-1)
        user_lengths = lengths[user]
        user_bytes = np.ascontiguousarray(items[user]).view(np.uint8)
        sizes = []
        for k, feature in enumerate(combos):
            slot, length = slot_of[feature.reads[1]], int(user_lengths[k])
            joined[k, :, :length] = user_bytes[k, :length]
            joined[k, :, length] = ord("_")
            joined[k, :, length + 1 : length + 1 + 8 * len(words)] = items[slot].view(np.uint8)
            sizes.append(lengths[slot] + (length + 1))
        size = np.stack(sizes)
        parts = joined.view(np.uint64)
        used = -(-int(size.max()) // 8)
        hashed = murmur([np.ascontiguousarray(parts[:, :, k]) for k in range(used)], size)
        ids = hashed % np.array([[np.uint64(feature.rows)] for feature in combos])
        return self._singles(list(ids.astype(np.int64)))

    def _singles(self, values: list[NDArray[np.int64]]) -> NDArray[np.int64]:
        """One id in every row of each: values, then lengths. A user's id is repeated."""
        block = np.ones((len(values), 2, self.rows), np.int64)
        for k, ids in enumerate(values):
            block[k, 0] = ids
        return block.reshape(-1)

    def _lists(
        self, ids: NDArray[np.int64], ends: NDArray[np.int32], *, user: bool
    ) -> list[NDArray[np.int64]]:
        lengths = (ends[1:] - ends[:-1]).astype(np.int64)
        return [np.tile(ids, self.rows), np.repeat(lengths, self.rows)] if user else [ids, lengths]


def _parted(
    features: list[Feature],
    columns: Sequence[NDArray[Any]],
    joined: NDArray[np.int64],
) -> dict[str, NDArray[np.int64]]:
    """What was computed for all columns in one array, by feature."""
    ends = np.cumsum([len(column) for column in columns])
    parts = zip(features, columns, ends, strict=True)
    return {feature.name: joined[end - len(column) : end] for feature, column, end in parts}
