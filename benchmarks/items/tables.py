"""Item tables that the questions share: numbers under 14-byte text keys, made batch by batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from recserve.columns import batch_from_arrow, column_from_arrow, to_arrow
from recserve.items.store import ItemStore, column_types, hash_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from recserve.columns import Batch, Column

KEY = "item_id"
ROW_HASH = "#0"
BATCH_ROWS = 1 << 13
KINDS = {"int": pa.int64(), "float": pa.float32(), "code": pa.int32()}


def schema(ints: int, floats: int, codes: int) -> pa.Schema:
    """The columns beside the key."""
    counts = {"int": ints, "float": floats, "code": codes}
    return pa.schema([(f"{kind}_{i}", KINDS[kind]) for kind, count in counts.items() for i in range(count)])


FIFTY = schema(20, 20, 10)  # 280 bytes: as the specification measured it
FORTY = schema(14, 16, 10)
TWENTY = schema(8, 8, 4)


def keys(numbers: NDArray[np.int64]) -> pa.Array:
    """item_000000007 and so on: 14 bytes."""
    return pa.array([f"item_{number:09d}" for number in numbers.tolist()])


def batches(columns: pa.Schema, rows: int, *, version: int = 0) -> Iterator[pa.RecordBatch]:
    """A table of so many rows, the same for the same version."""
    for start in range(0, rows, BATCH_ROWS):
        yield batch(columns, np.arange(start, min(start + BATCH_ROWS, rows)), version=version)


def batch(columns: pa.Schema, numbers: NDArray[np.int64], *, version: int = 0) -> pa.RecordBatch:
    """These rows of the table, its key first."""
    rng = np.random.default_rng((version, int(numbers[0])))
    arrays = [keys(numbers)]
    for field in columns:
        if field.type == pa.float32():
            arrays.append(pa.array(rng.random(len(numbers), np.float32)))
        else:
            arrays.append(
                pa.array(rng.integers(0, 1 << 30, len(numbers)).astype(field.type.to_pandas_dtype()))
            )
    return pa.RecordBatch.from_arrays(arrays, names=[KEY, *columns.names])


def empty_store(columns: pa.Schema, *, hashed: bool = False) -> ItemStore:
    """A store of these columns, all of them gathered."""
    types = column_types(columns, columns.names)
    if hashed:
        types[ROW_HASH] = "int64"
    return ItemStore("string", types, always_raw=frozenset(columns.names))


def split(rows: pa.RecordBatch, *, hashed: bool = False) -> tuple[Column, Batch]:
    """Keys and columns as a store takes them; `hashed`: with the hash of each row."""
    found = column_from_arrow(rows.column(0))
    columns = {name: rows.column(name) for name in rows.schema.names[1:]}
    if hashed:
        columns[ROW_HASH] = to_arrow(hash_rows(batch_from_arrow(columns)))
    return found, batch_from_arrow(columns)


def filled_store(columns: pa.Schema, rows: int, *, hashed: bool = False) -> ItemStore:
    """A store with the table in it."""
    store = empty_store(columns, hashed=hashed)
    for made in batches(columns, rows):
        found, cells = split(made, hashed=hashed)
        store.upsert(cells, found)
    return store
