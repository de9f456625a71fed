"""Rows as one table gives them, on their way into the store: keys, cells, and a hash of each row's cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from recserve.columns import Batch, Column, batch_from_arrow, column_from_arrow, to_arrow
from recserve.errors import DataError, RecserveError
from recserve.items.store import column_types, hash_rows, key_type

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from recserve.items.tables import Cells, Part


@dataclass(frozen=True, slots=True)
class PartRows:
    """Rows of one table, in the types that the store keeps."""

    part: Part
    keys: pa.Array
    cells: Cells  # every column of the part
    hashes: pa.Array  # int64
    order: pa.Array | None = None  # int64: of rows with one key, the greatest counts

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def key_column(self) -> Column:
        """The keys as the store takes them."""
        return column_from_arrow(self.keys, self.part.key)

    def filter(self, mask: NDArray[np.bool_]) -> PartRows:
        """The rows that `mask` marks."""
        if mask.all():
            return self
        kept = pa.array(mask)
        return self._each(lambda array: array.filter(kept))

    def slice(self, start: int, rows: int) -> PartRows:
        """Some rows, without a copy."""
        return self._each(lambda array: array.slice(start, rows))

    def last_of_each(self) -> PartRows:
        """One row per key: of equal ones the last."""
        return self.filter(last_of_each(self.keys))

    def _each(self, change: Callable[[pa.Array], pa.Array]) -> PartRows:
        return PartRows(
            self.part,
            change(self.keys),
            {name: change(array) for name, array in self.cells.items()},
            change(self.hashes),
            None if self.order is None else change(self.order),
        )


def part_rows(batch: pa.RecordBatch | pa.Table, part: Part) -> PartRows:
    """Take a batch of a source; raises DataError, naming table and column, where it is not as declared."""
    _check(batch.schema, part)
    try:
        cells = {name: as_stored(batch.column(name), name) for name in part.types}
        return hashed(part, as_stored(batch.column(part.key), part.key), cells, order=_order(batch, part))
    except RecserveError as error:
        raise DataError(f"table '{part.name}': {error}") from error


def hashed(part: Part, keys: pa.Array, cells: Cells, *, order: pa.Array | None = None) -> PartRows:
    """Rows of cells that are in stored types already."""
    return PartRows(part, keys, cells, to_arrow(hash_rows(to_batch(cells, len(keys)))), order)


def as_stored(array: pa.Array | pa.ChunkedArray, name: str) -> pa.Array:
    """The array in the type that a column stores it as."""
    return to_arrow(column_from_arrow(array, name))


def to_batch(cells: Cells, rows: int) -> Batch:
    """The cells as the store takes them."""
    return batch_from_arrow(cells) if cells else Batch(rows)


def last_of_each(keys: pa.Array) -> NDArray[np.bool_]:
    """Mark one of the rows with equal keys: the last; (rows,)."""
    codes = keys.dictionary_encode().indices.to_numpy(zero_copy_only=False)
    last = np.empty(int(codes.max()) + 1 if len(codes) else 0, np.int64)
    last[codes] = np.arange(len(codes))  # numpy keeps the last of repeated places
    mask = np.zeros(len(codes), np.bool_)
    mask[last] = True
    return mask


def _check(schema: pa.Schema, part: Part) -> None:
    """Every batch is checked: the table may change while it is read."""
    found = column_types(schema, [part.key, *part.types])
    for column in (part.key, *part.types):
        if column not in found:
            raise DataError(f"table '{part.name}' has no column '{column}' any more; it is needed")
    for column, kind in part.types.items():
        if found[column] != kind:
            raise DataError(
                f"table '{part.name}': column '{column}' became {found[column]}, the store has it as {kind}"
            )


def _order(batch: pa.RecordBatch | pa.Table, part: Part) -> pa.Array | None:
    """The timekey as an integer; a table that lacks it in this batch has its rows in order."""
    if not part.order or part.order not in batch.schema.names:
        return None
    column: Any = batch.column(part.order)
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    types = pa.types
    if types.is_date32(column.type):
        column = column.cast(pa.int32())
    elif not (types.is_integer(column.type) or types.is_timestamp(column.type) or types.is_date(column.type)):
        raise DataError(f"timekey '{part.order}' is {column.type}; it has to be a timestamp or an integer")
    return column.cast(pa.int64())


def check_keys(found: pa.DataType, part: Part, wanted: str) -> None:
    """Raise DataError when the key column became another kind."""
    kind = key_type(found, part.key)
    if kind != wanted:
        raise DataError(
            f"table '{part.name}': key column '{part.key}' became {found}, the store has {wanted}"
        )
