"""Rows into a table: by COPY into a temporary one, from there under their keys, all in one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from recserve.errors import DataError
from recserve.sources.postgres_table import CatalogTable, find
from recserve.sources.postgres_types import declared
from recserve.sources.sql import quoted, split_name
from recserve.sources.table import fitted, last_of_each, require_key

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from recserve.source import WriteMode
    from recserve.sources.postgres_session import Session

_COPY_ROWS = 10_000
_STAGED = "pg_temp.recserve_rows"
#: What a timekey that is not sent is filled with.
_NOW = {
    "timestamptz": "clock_timestamp()",
    "timestamp": "clock_timestamp()::timestamp",
    "date": "clock_timestamp()::date",
}


def write_rows(
    session: Session, rows: pa.Table, name: str, where: str, *, key: str, timekey: str, mode: WriteMode
) -> int:
    """Insert rows or replace those of equal keys; "merge" keeps the columns that `rows` lacks.

    Of equal keys among the rows the last is written. Raises DataError before anything is written, or the
    transaction is rolled back.
    """
    with session.transaction():
        table = find(session.query, name) or _create(session, rows, name, where, key=key, timekey=timekey)
        _check(table, key, where)
        written = _fitted(rows, table, key, where, mode)
        if rows.num_rows:
            _stage(session, last_of_each(written, key), where)
            stamp = _stamp(table, rows, timekey, where)
            session.query(_insert(table, written, key, stamp, mode))
    return int(rows.num_rows)


def _create(
    session: Session, rows: pa.Table, name: str, where: str, *, key: str, timekey: str
) -> CatalogTable:
    require_key(rows.schema, key, f"what is written to {where}")
    schema_name, table_name = split_name(name)
    full_name = f"{quoted(schema_name)}.{quoted(table_name)}" if schema_name else quoted(table_name)
    columns = [f"{quoted(field.name)} {declared(field, where)}" for field in rows.schema]
    if timekey and timekey not in rows.schema.names:
        columns.append(f"{quoted(timekey)} timestamptz NOT NULL DEFAULT clock_timestamp()")
    session.query(f"CREATE TABLE {full_name} ({', '.join(columns)}, PRIMARY KEY ({quoted(key)}))")
    if timekey:
        session.query(f"CREATE INDEX ON {full_name} ({quoted(timekey)})")
    table = find(session.query, name)
    assert table is not None, "it was made a moment ago"
    return table


def _check(table: CatalogTable, key: str, where: str) -> None:
    require_key(table.schema, key, where)
    if not table.column(key).unique:
        raise DataError(
            f"{where}: rows are written under their keys, and no unique index is on '{key}' alone; "
            f"CREATE UNIQUE INDEX ON {table.quoted_name} ({quoted(key)})"
        )


def _fitted(rows: pa.Table, table: CatalogTable, key: str, where: str, mode: WriteMode) -> pa.Table:
    """The rows as the table has them. A column of a type that nobody reads can be written by nobody."""
    schema = pa.schema(column.field for column in table.columns if column.arrow and not column.generated)
    sent = set(rows.schema.names)
    for column in table.columns:
        if column.arrow is None and column.name in sent:
            raise column.refused(where)
    plain = [_plain(column) for column in rows.columns]
    return fitted(pa.table(plain, names=rows.schema.names), schema, key, where, mode)


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _stage(session: Session, rows: pa.Table, where: str) -> None:
    columns = ", ".join(f"{quoted(field.name)} {declared(field, where)}" for field in rows.schema)
    session.query(f"CREATE TEMPORARY TABLE recserve_rows ({columns}) ON COMMIT DROP")
    session.copy(f"COPY {_STAGED} FROM STDIN", _tuples(rows))


def _tuples(rows: pa.Table) -> Iterator[tuple[Any, ...]]:
    for batch in rows.to_batches(max_chunksize=_COPY_ROWS):
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _stamp(table: CatalogTable, rows: pa.Table, timekey: str, where: str) -> dict[str, str]:
    """The timekey and its value, if it is to be filled in."""
    if not timekey or timekey in rows.schema.names or timekey not in table.schema.names:
        return {}
    column = table.column(timekey)
    if column.type_name not in _NOW:
        raise DataError(
            f"{where}: what is written lacks the timekey '{timekey}'; only its writer knows which "
            f"{column.shown_type} comes next"
        )
    return {timekey: _NOW[column.type_name]}


def _insert(table: CatalogTable, rows: pa.Table, key: str, stamp: dict[str, str], mode: WriteMode) -> str:
    """Rows go in by the order of their keys, so that two writers wait for one another in one order."""
    values = {
        field.name: f"{quoted(field.name)}::{table.column(field.name).shown_type}" for field in rows.schema
    }
    if (
        mode == "replace"
    ):  # `fitted` has made nulls of what was not sent; the rest has types that nobody reads
        missing = (column for column in table.columns if column.arrow is None and not column.generated)
        values |= {column.name: "NULL" for column in missing}
    values |= stamp
    targets = ", ".join(map(quoted, values))
    updates = [f"{quoted(name)} = EXCLUDED.{quoted(name)}" for name in values if name != key]
    action = f"UPDATE SET {', '.join(updates)}" if updates else "NOTHING"
    return (
        f"INSERT INTO {table.quoted_name} ({targets}) "
        f"SELECT {', '.join(values.values())} FROM {_STAGED} ORDER BY {quoted(key)} "
        f"ON CONFLICT ({quoted(key)}) DO {action}"
    )
