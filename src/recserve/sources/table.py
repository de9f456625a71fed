"""What sources do with tables: keys are checked, rows are fitted, merged, folded and looked up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recserve.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from recserve.source import WriteMode


def require_key(schema: pa.Schema, key: str, where: str) -> None:
    """Raise DataError unless the table has its key column."""
    if key not in schema.names:
        raise DataError(f"{where} has no key column '{key}'; columns: {', '.join(schema.names)}")


def wanted_columns(schema: pa.Schema, key: str, columns: Collection[str] | None) -> list[str]:
    """List the key and those of `columns` that the table has, in the table's order."""
    return [name for name in schema.names if columns is None or name == key or name in columns]


def check_keys(batch: pa.RecordBatch | pa.Table, key: str, where: str) -> None:
    """Raise DataError when a row of the batch has no key."""
    nulls = batch.column(key).null_count
    if nulls:
        raise DataError(
            f"{where}: key column '{key}' is null in {nulls} of {batch.num_rows} rows read together"
        )


def count_nulls(parts: Iterable[pa.Table | pa.RecordBatch], columns: Collection[str]) -> dict[str, int]:
    """Count the nulls of those of `columns` that the parts have."""
    nulls: dict[str, int] = {}
    for part in parts:
        for name in columns:
            if name in part.schema.names:
                nulls[name] = nulls.get(name, 0) + part.column(name).null_count
    return nulls


def fitted(rows: pa.Table, schema: pa.Schema, key: str, where: str, mode: WriteMode) -> pa.Table:
    """The rows as the table has them: its order and types; with "replace" absent columns are null.

    Raises DataError for a column that the table lacks, a value that does not fit and a null key.
    """
    require_key(rows.schema, key, f"what is written to {where}")
    check_keys(rows, key, f"what is written to {where}")
    unknown = [name for name in rows.schema.names if name not in schema.names]
    if unknown:
        raise DataError(
            f"{where} has no column '{unknown[0]}', which is written; columns: {', '.join(schema.names)}"
        )
    present = [field for field in schema if mode == "replace" or field.name in rows.schema.names]
    return pa.table([_cast(rows, field, where) for field in present], schema=pa.schema(present))


def _cast(rows: pa.Table, field: pa.Field, where: str) -> pa.Array | pa.ChunkedArray:
    if field.name not in rows.schema.names:
        return pa.nulls(rows.num_rows, field.type)
    column = rows[field.name]
    if column.type == field.type:
        return column
    try:
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            _require_text(field)
        return column.cast(field.type)
    except pa.ArrowException as error:
        raise DataError(
            f"{where}: column '{field.name}' is {field.type}, what is written is {column.type}: {error}"
        ) from error


def _require_text(field: pa.Field) -> None:
    """A text is not read as a number, even one that looks so."""
    types = pa.types
    if not (types.is_string(field.type) or types.is_large_string(field.type) or types.is_binary(field.type)):
        raise pa.ArrowInvalid("a text is not cast to it")


def last_of_each(rows: pa.Table, key: str) -> pa.Table:
    """The rows with, of equal keys, only the last; in their order."""
    numbers = pa.array(np.arange(rows.num_rows))
    last = pa.table({"key": rows[key], "number": numbers}).group_by("key").aggregate([("number", "max")])
    if last.num_rows == rows.num_rows:
        return rows
    return rows.take(last["number_max"].combine_chunks().sort())


def without(rows: pa.Table, key: str, keys: pa.Array | pa.ChunkedArray) -> pa.Table:
    """The rows whose key is not among `keys`."""
    return rows.filter(pc.invert(pc.is_in(rows[key], value_set=_flat(keys))))


def aligned(rows: pa.Table, key: str, keys: pa.Array | pa.ChunkedArray) -> pa.RecordBatch:
    """One row per key, in their order: of equal keys the later, null beside the key where no row has it."""
    keys = _flat(keys).cast(rows.schema.field(key).type)
    rows = last_of_each(rows, key)
    numbers = pc.index_in(keys, value_set=_flat(rows[key]))
    columns = [keys if field.name == key else _flat(rows[field.name].take(numbers)) for field in rows.schema]
    return pa.RecordBatch.from_arrays(columns, schema=rows.schema)


def merged(old: pa.Table, new: pa.Table) -> pa.Table:
    """The rows of `old` with the columns of `new` instead of their own; both have the same keys in order."""
    for name in new.schema.names:
        old = old.set_column(old.schema.get_field_index(name), old.schema.field(name), new[name])
    return old


def folded(log: Sequence[pa.Table | pa.Array], key: str) -> tuple[list[pa.Table], pa.Array | None]:
    """What a log of written rows and deleted keys comes to: the rows that count, the keys that are gone."""
    upserts: list[pa.Table] = []
    deleted: pa.Array | None = None
    for entry in log:
        if isinstance(entry, pa.Table):
            upserts.append(entry)
            if deleted is not None:
                deleted = deleted.filter(pc.invert(pc.is_in(deleted, value_set=_flat(entry[key]))))
        else:
            upserts = [without(table, key, entry) for table in upserts]
            deleted = entry if deleted is None else pc.unique(pa.concat_arrays([deleted, entry]))
    return [table for table in upserts if table.num_rows], deleted


def _flat(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
