"""Joined rows: what training and offline prediction read, one row per impression with everything in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from numpy.typing import NDArray

CLICKED_COLUMNS = ("item_id", "category", "brand", "price")


def join(log: pa.Table, items: pa.Table) -> pa.Table:
    """The log with the columns of its items, and of every clicked item as `click_seq__<column>` lists.

    An id that the item table lacks joins nulls, as a left join does.
    """
    numbers = {item_id: row for row, item_id in enumerate(items["item_id"].to_pylist())}
    rows = pa.array([numbers.get(item_id) for item_id in log["item_id"].to_pylist()], pa.int64())
    for name in items.column_names:
        if name != "item_id":
            log = log.append_column(name, items[name].combine_chunks().take(rows))
    # item_id itself is an item column too: an unknown id has no row, so it has no id either.
    log = log.set_column(
        log.column_names.index("item_id"), "item_id", items["item_id"].combine_chunks().take(rows)
    )
    clicks = [[numbers[i] for i in text.split(";")] if text else [] for text in log["click_seq"].to_pylist()]
    offsets = pa.array(np.cumsum([0, *map(len, clicks)]), pa.int32())
    elements = pa.array([row for clicked in clicks for row in clicked], pa.int64())
    for name in CLICKED_COLUMNS:
        values = items[name].combine_chunks().take(elements)
        log = log.append_column(f"click_seq__{name}", pa.ListArray.from_arrays(offsets, values))
    return log


def auc(label: NDArray[np.int32], score: NDArray[np.float64]) -> float:
    """Chance that a clicked row scores above one that was not, ties counting half."""
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    positives = label.sum()
    area = ranks[inverse][label == 1].sum() - positives * (positives + 1) / 2
    return float(area / (positives * (len(label) - positives)))
