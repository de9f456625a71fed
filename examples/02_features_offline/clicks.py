"""A few thousand clicks in Parquet, and what to make of them: what all three examples begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

FOLDER = Path(".demo/offline")  # where you stand
CLICKS = FOLDER / "clicks"

ID = {"feature_type": "id_feature", "hash_bucket_size": 100}
CITY = {**ID, "feature_name": "city", "expression": "user:city"}
PRICE = {"feature_type": "raw_feature", "feature_name": "price", "expression": "item:price"}
TASTE = {"feature_type": "lookup_feature", "feature_name": "taste", "map": "user:tastes", "key": "item:brand"}
CROSS = {**ID, "feature_type": "combo_feature", "expression": ["user:city", "item:brand"]}
SEEN = {**ID, "feature_name": "brand", "expression": "item:brand", "value_dim": 1, "default_value": "none"}
FG: dict[str, Any] = {
    "features": [
        CITY,
        {**PRICE, "normalizer": "method=log10"},
        {**TASTE, "combiner": "max"},
        {**CROSS, "feature_name": "cross"},
        {"sequence_name": "seen", "sequence_length": 3, "features": [SEEN]},
    ],
    "reserves": ["row", "clicked"],
}


def write(rows: int = 5_000) -> None:
    """Write clicks as two files, as a log has them."""
    CLICKS.mkdir(parents=True, exist_ok=True)
    for number in range(2):
        pq.write_table(_table(np.arange(rows) + number * rows), CLICKS / f"part-{number}.parquet")


def _table(row: np.ndarray[Any, np.dtype[np.int64]]) -> pa.Table:
    brands = [f"brand {n % 37}" for n in row]
    return pa.table(
        {
            "row": row,
            "city": [None if n % 9 == 0 else f"city {n % 13}" for n in row],
            "tastes": pa.array(
                [[(f"brand {n % 5}", 0.5), (f"brand {n % 37}", n / 8)] for n in row],
                pa.map_(pa.string(), pa.float32()),
            ),
            "brand": pa.array(brands).dictionary_encode(),
            "price": pa.array((row % 1000) / 4, pa.float32()),
            "seen__brand": [";".join(brands[max(0, k - k % 5) : k]) for k in range(len(brands))],
            "clicked": pa.array(row % 10 == 0),
        }
    )
