"""What every source asks of a table: that its key column is there and never null."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recserve.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Collection

    import pyarrow as pa


def require_key(schema: pa.Schema, key: str, where: str) -> None:
    """Raise DataError unless the table has its key column."""
    if key not in schema.names:
        raise DataError(f"{where} has no key column '{key}'; columns: {', '.join(schema.names)}")


def wanted_columns(schema: pa.Schema, key: str, columns: Collection[str] | None) -> list[str]:
    """List the key and those of `columns` that the table has, in the table's order."""
    return [name for name in schema.names if columns is None or name == key or name in columns]


def check_keys(batch: pa.RecordBatch, key: str, where: str) -> None:
    """Raise DataError when a row of the batch has no key."""
    nulls = batch.column(key).null_count
    if nulls:
        raise DataError(
            f"{where}: key column '{key}' is null in {nulls} of {batch.num_rows} rows read together"
        )
