"""The features of a workload in numba by hand: one compiled function, fitted to this workload.

As with its numpy sister, what the workload is made of is written into it, and missing values or several
values in a text are not asked for. It is the least that numba needs. Columns of one kind come as a tuple of
arrays, so one call from Python does everything; both buffers are written in place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from benchmarks.features.request_numba import DEVIATION, MAP_SLOTS, MEAN, bucket, fill_map, murmur
from numba import njit

if TYPE_CHECKING:
    from benchmarks.features.request_columns import Columns
    from benchmarks.workloads import Workload
    from numpy.typing import NDArray

LONGEST_COMBO = 256  # bytes


@njit(cache=False)
def write_single(ints: Any, at: int, rows: int, value: int) -> int:
    """A user's one id: values, then lengths."""
    ints[at : at + rows] = value
    ints[at + rows : at + 2 * rows] = 1
    return at + 2 * rows


@njit(cache=False)
def write(  # noqa: PLR0912, PLR0915, PLR0917 - one call from Python is the point of it
    ints: Any,
    floats: Any,
    rows: int,
    user_texts: Any,
    user_sizes: Any,
    user_ints: Any,
    user_int_sizes: Any,
    user_tags: Any,
    user_tag_sizes: Any,
    user_buckets: Any,
    user_floats: Any,
    item_texts: Any,
    item_ends: Any,
    item_sizes: Any,
    item_ints: Any,
    item_int_sizes: Any,
    item_tags: Any,
    item_tag_ends: Any,
    item_tag_rows: Any,
    item_tag_sizes: Any,
    item_buckets: Any,
    item_floats: Any,
    map_keys: Any,
    map_ends: Any,
    map_values: Any,
    lookups: Any,
    combos: Any,
    combo_sizes: Any,
    clicks: Any,
    click_ends: Any,
    click_sizes: Any,
) -> None:
    """Write both buffers, feature by feature."""
    at = 0
    for k in range(len(user_texts)):
        hashed = murmur(user_texts[k], 0, len(user_texts[k]))
        at = write_single(ints, at, rows, np.int64(hashed % np.uint64(user_sizes[k])))
    for k in range(len(user_ints)):
        value = user_ints[k][0]
        at = write_single(ints, at, rows, value if 0 <= value < user_int_sizes[k] else 0)
    for k in range(len(user_tags[0])):
        text, ends = user_tags[0][k], user_tags[1][k]
        count = len(ends) - 1
        for i in range(count):
            hashed = murmur(text, ends[i], ends[i + 1])
            ints[at + i] = np.int64(hashed % np.uint64(user_tag_sizes[k]))
        for row in range(1, rows):
            ints[at + row * count : at + (row + 1) * count] = ints[at : at + count]
        at += rows * count
        ints[at : at + rows] = count
        at += rows
    for k in range(len(user_buckets)):
        at = write_single(ints, at, rows, bucket(user_buckets[k][0]))
    for k in range(len(item_texts)):
        text, ends, size = item_texts[k], item_ends[k], np.uint64(item_sizes[k])
        for i in range(rows):
            ints[at + i] = np.int64(murmur(text, ends[i], ends[i + 1]) % size)
        ints[at + rows : at + 2 * rows] = 1
        at += 2 * rows
    for k in range(len(item_ints)):
        for i in range(rows):
            value = item_ints[k][i]
            ints[at + i] = value if 0 <= value < item_int_sizes[k] else 0
        ints[at + rows : at + 2 * rows] = 1
        at += 2 * rows
    for k in range(len(item_tags)):
        text, ends, row_ends, size = (
            item_tags[k],
            item_tag_ends[k],
            item_tag_rows[k],
            np.uint64(item_tag_sizes[k]),
        )
        count = row_ends[rows]
        for i in range(count):
            ints[at + i] = np.int64(murmur(text, ends[i], ends[i + 1]) % size)
        at += count
        for i in range(rows):
            ints[at + i] = row_ends[i + 1] - row_ends[i]
        at += rows
    for k in range(len(item_buckets)):
        for i in range(rows):
            ints[at + i] = bucket(item_buckets[k][i])
        ints[at + rows : at + 2 * rows] = 1
        at += 2 * rows
    joined = np.empty(LONGEST_COMBO, np.uint8)
    for k in range(len(combos)):
        user, text, ends = user_texts[combos[k, 0]], item_texts[combos[k, 1]], item_ends[combos[k, 1]]
        length = len(user)
        joined[:length] = user
        joined[length] = 95  # _
        for i in range(rows):
            size = ends[i + 1] - ends[i]
            for b in range(size):
                joined[length + 1 + b] = text[ends[i] + b]
            ints[at + i] = np.int64(murmur(joined, 0, length + 1 + size) % np.uint64(combo_sizes[k]))
        ints[at + rows : at + 2 * rows] = 1
        at += 2 * rows
    for k in range(len(clicks)):
        text, ends, size = clicks[k], click_ends[k], np.uint64(click_sizes[k])
        count = len(ends) - 1
        for i in range(count):
            ints[at + i] = np.int64(murmur(text, ends[i], ends[i + 1]) % size)
        for row in range(1, rows):
            ints[at + row * count : at + (row + 1) * count] = ints[at : at + count]
        at += rows * count
        ints[at : at + rows] = count
        at += rows

    at = 0
    for k in range(len(user_floats)):
        floats[at : at + rows] = (user_floats[k][0] - MEAN) / DEVIATION
        at += rows
    for k in range(len(item_floats)):
        for i in range(rows):
            floats[at + i] = (item_floats[k][i] - MEAN) / DEVIATION
        at += rows
    hashes = np.empty(MAP_SLOTS, np.uint64)
    places = np.full(MAP_SLOTS, -1)
    fill_map(map_keys, map_ends, hashes, places)
    for k in range(len(lookups)):
        text, ends = item_texts[lookups[k]], item_ends[lookups[k]]
        for i in range(rows):
            hashed = murmur(text, ends[i], ends[i + 1])
            slot = np.int64(hashed & np.uint64(MAP_SLOTS - 1))
            while places[slot] >= 0 and hashes[slot] != hashed:
                slot = (slot + 1) & (MAP_SLOTS - 1)
            floats[at + i] = map_values[places[slot]] if places[slot] >= 0 else np.float32(0)
        at += rows


class FusedNumba:
    """Generates the tensors of one request."""

    def __init__(self, workload: Workload) -> None:
        self.rows = workload.candidates
        self.names: dict[tuple[str, str], list[str]] = {}
        self.sizes: dict[tuple[str, str], NDArray[np.int64]] = {}
        for side in ("user", "item", "pair"):
            for kind in ("string", "int", "tags", "bucketised", "float", "lookup", "combo", "sequence"):
                found = [f for f in workload.features if (f.side, f.kind) == (side, kind)]
                self.names[side, kind] = [feature.name for feature in found]
                self.sizes[side, kind] = np.array([feature.rows for feature in found], np.int64)
        reads = {feature.name: feature.reads for feature in workload.features}
        users, items = self.names["user", "string"], self.names["item", "string"]
        self.map = reads[self.names["pair", "lookup"][0]][0]
        self.lookups = np.array([items.index(reads[name][1]) for name in self.names["pair", "lookup"]])
        self.combos = np.array(
            [
                (users.index(reads[name][0]), items.index(reads[name][1]))
                for name in self.names["pair", "combo"]
            ]
        )

    def generate(self, columns: Columns) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Give the int and the float buffer that the core would make."""
        rows, names, sizes = self.rows, self.names, self.sizes
        texts, integers, numbers = columns.texts, columns.integers, columns.floats
        user_texts = [texts[name] for name in names["user", "string"]]
        user_tags = [texts[name] for name in names["user", "tags"]]
        item_texts = [texts[name] for name in names["item", "string"]]
        item_tags = [texts[name] for name in names["item", "tags"]]
        clicks = [texts[name] for name in names["user", "sequence"]]
        pairs = [key for key in names if key[1] in ("string", "int", "bucketised", "combo")]
        listed = sum(len(tags.ends) - 1 for tags in (*user_tags, *clicks)) * rows
        listed += sum(len(tags.ends) - 1 for tags in item_tags)
        lists = len(user_tags) + len(item_tags) + len(clicks)
        ints = np.empty(sum(2 * len(names[key]) for key in pairs) * rows + listed + lists * rows, np.int64)
        dense = [key for key in names if key[1] in ("float", "lookup")]
        floats = np.empty(sum(len(names[key]) for key in dense) * rows, np.float32)
        write(
            ints,
            floats,
            rows,
            tuple([text.text for text in user_texts]),
            sizes["user", "string"],
            tuple([integers[name] for name in names["user", "int"]]),
            sizes["user", "int"],
            (tuple([tags.text for tags in user_tags]), tuple([tags.ends for tags in user_tags])),
            sizes["user", "tags"],
            tuple([numbers[name] for name in names["user", "bucketised"]]),
            tuple([numbers[name] for name in names["user", "float"]]),
            tuple([text.text for text in item_texts]),
            tuple([text.ends for text in item_texts]),
            sizes["item", "string"],
            tuple([integers[name] for name in names["item", "int"]]),
            sizes["item", "int"],
            tuple([tags.text for tags in item_tags]),
            tuple([tags.ends for tags in item_tags]),
            tuple([columns.row_ends[name] for name in names["item", "tags"]]),
            sizes["item", "tags"],
            tuple([numbers[name] for name in names["item", "bucketised"]]),
            tuple([numbers[name] for name in names["item", "float"]]),
            texts[self.map].text,
            texts[self.map].ends,
            numbers[self.map],
            self.lookups,
            self.combos,
            sizes["pair", "combo"],
            tuple([text.text for text in clicks]),
            tuple([text.ends for text in clicks]),
            sizes["user", "sequence"],
        )
        return ints, floats
