"""A database for the contract, in which somebody else writes without recserve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from recserve.sources.postgres import PostgresSource
from recserve.sources.postgres_types import declared

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    from recserve.source import Changes, Source

    Execute = Callable[..., list[tuple[Any, ...]]]
    Open = Callable[..., PostgresSource]


class PostgresPlace:
    """Tables have a column `changed` where there is a `timekey`; through a view, where one is asked for."""

    def __init__(self, url: str, *, timekey: str = "", page_rows: int = 100, views: bool = False) -> None:
        self.url = url
        self._timekey = timekey
        self._page_rows = page_rows
        self._views = views
        self._opened: list[PostgresSource] = []

    def make(self, table: pa.Table, key: str, name: str = "items") -> Source:
        columns: list[sql.Composable] = [
            sql.SQL("{} {}").format(sql.Identifier(field.name), sql.SQL(declared(field, name)))
            for field in table.schema
        ]
        if self._timekey:
            columns.append(sql.SQL("changed timestamptz NOT NULL DEFAULT clock_timestamp()"))
        names = (sql.Identifier(name), sql.Identifier(key))
        keys = table[key].to_pylist() if key in table.schema.names else [None]
        with psycopg.connect(self.url) as connection:
            create = sql.SQL("CREATE TABLE {} ({})")
            connection.execute(create.format(names[0], sql.SQL(", ").join(columns)))
            if len(set(keys)) == len(keys) and None not in keys:
                connection.execute(sql.SQL("CREATE UNIQUE INDEX ON {} ({})").format(*names))
            _insert(connection, name, table)
            if self._views:
                view = (sql.Identifier(f"{name} view"), names[0])
                connection.execute(sql.SQL("CREATE VIEW {} AS SELECT * FROM {}").format(*view))
        return self._open(name, key)

    def absent(self, key: str) -> Source:
        return self._open("no_such_table", key)

    def upsert(self, source: Source, rows: pa.Table) -> None:
        with psycopg.connect(self.url) as connection:
            _delete(connection, source, rows[source.key])
            _insert(connection, source.name, rows)

    def delete(self, source: Source, keys: pa.Array) -> None:
        with psycopg.connect(self.url) as connection:
            _delete(connection, source, keys)

    def close(self) -> None:
        for source in self._opened:
            source.close()

    def _open(self, name: str, key: str) -> Source:
        name = f"{name} view" if self._views else name
        source = PostgresSource(self.url, name, key, timekey=self._timekey, page_rows=self._page_rows)
        self._opened.append(source)
        return source


def _delete(connection: psycopg.Connection, source: Source, keys: pa.Array | pa.ChunkedArray) -> None:
    names = (sql.Identifier(source.name), sql.Identifier(source.key))
    connection.execute(sql.SQL("DELETE FROM {} WHERE {} = ANY(%s)").format(*names), [keys.to_pylist()])


def _insert(connection: psycopg.Connection, name: str, table: pa.Table) -> None:
    """A view of one table can be inserted into, too."""
    names = sql.SQL(", ").join(map(sql.Identifier, table.schema.names))
    statement = sql.SQL("COPY {} ({}) FROM STDIN")
    if name.endswith(" view"):
        name = name.removesuffix(" view")
    with connection.cursor().copy(statement.format(sql.Identifier(name), names)) as copy:
        for row in zip(*(column.to_pylist() for column in table.columns), strict=True):
            copy.write_row(row)


def rows_of(source: PostgresSource, *arguments: Any, **options: Any) -> list[dict[str, Any]]:
    """A snapshot as rows."""
    return [row for batch in source.snapshot(*arguments, **options) for row in batch.to_pylist()]


def told(changes: Changes) -> list[dict[str, Any]]:
    """Changes as rows."""
    return [row for batch in changes.upserts for row in batch.to_pylist()]
