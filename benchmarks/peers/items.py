"""What the peers know of items: their features, computed once and kept in files that processes map.

items.parquet ──prepare──▶ <name>-arrays/*.npy ──open──▶ Items: a row per item, a column per feature
                           <name>-arrays/warm_up.json    a few requests

The nightly job that whoever serves with numpy would write.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from benchmarks.features.request_numpy import DEVIATION, LIMITS, MEAN, murmur
from benchmarks.workloads import KEYS, MAX_TAGS, Feature, Workload

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

WARM_UP, WARM_UP_REQUESTS = "warm_up.json", 5
WORD = 8  # bytes: no text of the workloads is longer

#: Strings that the keys of lookups come from.
VOCABULARY = [f"v{key}" for key in range(KEYS)]


@dataclass(frozen=True, slots=True)
class Items:
    """Features of all items; columns stand in the order of the workload's features."""

    names: NDArray[np.bytes_]  # (items,): their ids
    ids: NDArray[np.int64]  # (items, strings + ints + bucketised): what has one id
    tags: NDArray[np.int64]  # (items, tag lists, MAX_TAGS), filled up with -1
    floats: NDArray[np.float32]  # (items, floats)
    keys: NDArray[np.int64]  # (items, lookups): places in VOCABULARY
    words: NDArray[np.uint64]  # (items, combos): the text that is combined with the user's
    lengths: NDArray[np.int64]  # (items, combos): its bytes

    @classmethod
    def prepare(cls, table: Path, workload: Workload, folder: Path) -> None:
        """Write the arrays of a table, if they are not there yet."""
        if (folder / WARM_UP).exists():
            return
        import pyarrow.parquet as pq  # the job's, not that of the servers

        items = cls._of(pq.read_table(table), workload)
        written = folder.with_name(f"{folder.name}.new")
        written.mkdir(parents=True, exist_ok=True)
        for field in fields(cls):
            np.save(written / f"{field.name}.npy", getattr(items, field.name))
        requests = [asdict(request) for request in workload.requests(WARM_UP_REQUESTS)]
        (written / WARM_UP).write_text(json.dumps(requests))
        shutil.rmtree(folder, ignore_errors=True)
        written.rename(folder)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Map the arrays: processes share them."""
        return cls(*(np.load(folder / f"{field.name}.npy", mmap_mode="r") for field in fields(cls)))

    @classmethod
    def _of(cls, table: pa.Table, workload: Workload) -> Self:
        pairs = {kind: [f.reads[1] for f in features(workload, "pair", kind)] for kind in ("lookup", "combo")}
        place = {key: k for k, key in enumerate(VOCABULARY)}
        texts = [packed(table[name].to_pylist()) for name in pairs["combo"]]
        return cls(
            names=np.array(table["item_id"].to_pylist(), np.bytes_),
            ids=_columns([_ids(f, table) for f in features(workload, "item", *SINGLE)], np.int64, len(table)),
            tags=_columns(
                [_tags(f, table) for f in features(workload, "item", "tags")], np.int64, len(table)
            ),
            floats=_columns(
                [normalized(table[f.name].to_numpy()) for f in features(workload, "item", "float")],
                np.float32,
                len(table),
            ),
            keys=_columns(
                [np.array([place[key] for key in table[name].to_pylist()]) for name in pairs["lookup"]],
                np.int64,
                len(table),
            ),
            words=_columns([words for words, _ in texts], np.uint64, len(table)),
            lengths=_columns([lengths for _, lengths in texts], np.int64, len(table)),
        )


#: Kinds of features with exactly one id.
SINGLE = ("string", "int", "bucketised")


def features(workload: Workload, side: str, *kinds: str) -> list[Feature]:
    """The features of a side that are of such kinds."""
    return [feature for feature in workload.features if feature.side == side and feature.kind in kinds]


def packed(texts: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Texts as one word each, zeros behind their end, and their lengths in bytes."""
    cells = np.array([text.encode() for text in texts], np.bytes_)
    if cells.dtype.itemsize > WORD:
        raise ValueError(f"a text is longer than {WORD} bytes")
    return cells.astype(f"S{WORD}").view(np.uint64), np.char.str_len(cells)


def hashes(texts: Sequence[str]) -> NDArray[np.uint64]:
    """The hash of every text."""
    words, lengths = packed(texts)
    return murmur([words], lengths)


def bucketised(values: Any) -> NDArray[np.int64]:
    """Which interval a number is in."""
    return np.searchsorted(LIMITS, np.asarray(values, np.float32), side="right")


def normalized(values: Any) -> NDArray[np.float32]:
    """Numbers by the mean and deviation of their column."""
    result: NDArray[np.float32] = (np.asarray(values, np.float32) - MEAN) / DEVIATION
    return result


def _ids(feature: Feature, table: pa.Table) -> NDArray[np.int64]:
    column = table[feature.name]
    if feature.kind == "string":
        return (hashes(column.to_pylist()) % np.uint64(feature.rows)).astype(np.int64)
    return column.to_numpy() if feature.kind == "int" else bucketised(column.to_numpy())


def _tags(feature: Feature, table: pa.Table) -> NDArray[np.int64]:
    column = table[feature.name].combine_chunks()
    ids = (hashes(column.values.to_pylist()) % np.uint64(feature.rows)).astype(np.int64)
    lengths = np.diff(column.offsets.to_numpy())
    rows = np.full((len(lengths), MAX_TAGS), -1)
    rows[np.arange(MAX_TAGS) < lengths[:, None]] = ids
    return rows


def _columns(columns: list[NDArray[Any]], dtype: type, rows: int) -> NDArray[Any]:
    """Columns side by side, an item's cells next to one another: that is how they are read."""
    return np.stack(columns, axis=1).astype(dtype) if columns else np.zeros((rows, 0), dtype)
