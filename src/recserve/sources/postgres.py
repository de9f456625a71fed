"""Rows from PostgreSQL and Hologres: whole tables over ADBC, newer rows and single ones over psycopg.

| `model_config`             | here                                                                         |
|----------------------------|------------------------------------------------------------------------------|
| `url`                      | `postgres_url.py`                                                            |
| `tables[].name`            | `table`, `schema.table`, `"Quoted"."na.me"`; tables, views, partitioned ones |
| `tables[].condition`       | `sql.py`                                                                     |
| `tables[].timekey`         | `postgres_changes.py`                                                        |
| types of columns           | `postgres_types.py`                                                          |

A moment is an exported snapshot of a read-only transaction: all connections that read a table, and all tables
of one database, see one state. Where a database cannot export one, tables are read one statement each, and a
warning says so.

Of equal keys the row with the greatest timekey counts, else the later one in the table. To have it so, a
table with a timekey and without a unique index on its key is read in the order of the timekey, by one
connection.
"""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa

from recserve.errors import DataError, LoadError
from recserve.source import Changes, Profile
from recserve.sources.postgres_changes import Place, Timeline, Told, behind
from recserve.sources.postgres_moment import PostgresMoment
from recserve.sources.postgres_rows import Selection, as_keys, key_values
from recserve.sources.postgres_session import Sessions
from recserve.sources.postgres_stream import Reading, stream
from recserve.sources.postgres_table import CatalogTable, described, parts, row_count
from recserve.sources.postgres_url import Address
from recserve.sources.postgres_writing import write_rows
from recserve.sources.sql import checked_condition, quoted, split_name
from recserve.sources.table import aligned, check_keys

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from typing import Any

    from recserve.source import Ability, Cursor, Moment, TableSpec, WriteMode

logger = logging.getLogger("recserve.postgres")

_BATCH_BYTES = 4 << 20
_BATCH_ROWS = 1 << 16
_PAGE_ROWS = 20_000
_SLOW_POLL_SECONDS = 0.5


class PostgresSource:
    """A table, view or materialized view of a database that talks like PostgreSQL. Any thread may ask.

    `page_rows` is how many changed rows one answer has at most.
    """

    def __init__(
        self,
        url: str,
        name: str,
        key: str,
        *,
        condition: str = "",
        timekey: str = "",
        overlap_seconds: float = 60.0,
        page_rows: int = _PAGE_ROWS,
    ) -> None:
        self.key = key
        self.name = name
        self._address = Address.parse(url)
        self.origin = self._address.origin
        self._where = f"table '{name}'"
        split_name(name)
        self._condition = checked_condition(condition, self._where)
        self._timekey = timekey
        self._overlap_seconds = overlap_seconds
        self._page_rows = page_rows
        self._sessions = Sessions(self._address, self._where)
        self._known: CatalogTable | None = None
        self._told = Told()
        self._said_slow = False
        self.abilities: frozenset[Ability] = frozenset(
            {"profile", "get", "write", *(("changes",) if timekey else ())}
        )

    def __repr__(self) -> str:
        return f"PostgresSource({self.name!r}, {self.origin!r})"

    @classmethod
    def open(cls, spec: TableSpec) -> PostgresSource:
        """Open the table that a service file names; nothing is read yet."""
        return cls(
            spec.url,
            spec.name,
            spec.key,
            condition=spec.condition,
            timekey=spec.timekey,
            overlap_seconds=spec.overlap_seconds,
        )

    def schema(self) -> pa.Schema:
        """Ask the catalog. Columns of types that nobody reads are there, as opaque ones."""
        return self._described().schema

    def rows(self) -> int:
        """As the planner estimates it; few rows are counted."""
        table = self._described()
        return row_count(self._sessions.query, table, self._source(table))

    def moment(self) -> PostgresMoment:
        """Hold a transaction and the snapshot that it exports."""
        return PostgresMoment(self._sessions, self._address)

    def close(self) -> None:
        """Close the connections."""
        self._sessions.close()

    def snapshot(
        self, columns: Collection[str] | None = None, *, at: Moment | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Stream the table; a big one over several connections, each of which reads parts of it.

        With `columns` None, those of types that nobody reads are left out.
        """
        table = self._described()
        selection = self._selection(table, columns)
        conditions, order = [""], ""
        if self._timekey and not table.column(self.key).unique:
            order = f" ORDER BY {table.qualified(self._timekey)} NULLS FIRST"
        elif self._address.limits.connections > 1:
            version = self._sessions.server_version
            conditions = parts(self._sessions.query, table, table.column(self.key), version)
        moment = self._moment(at)
        if moment is None and len(conditions) > 1:
            with self.moment() as own:
                yield from self._stream(table, selection, conditions, order, own)
        else:
            yield from self._stream(table, selection, conditions, order, moment)

    def profile(self, columns: Collection[str], *, at: Moment | None = None) -> Profile:
        """Count in one pass."""
        table = self._described()
        names = [column.name for column in table.columns if column.name in columns]
        counts = ", ".join(["count(*)", *(f"count({quoted(name)})" for name in names)])
        statement = f"SELECT {counts} FROM {self._source(table)}"
        rows, *present = self._ask(statement, at)[0]
        return Profile(rows, {name: rows - count for name, count in zip(names, present, strict=True)})

    def cursor(self, *, at: Moment | None = None) -> Cursor:
        """The greatest timekey, and which transactions were over."""
        [(timekey, oldest)] = self._ask(self._timeline(self._described()).newest, at)
        return Place(timekey, oldest).text()

    def changes(
        self, cursor: Cursor, columns: Collection[str] | None = None, *, wait_seconds: float = 0.0
    ) -> Changes:
        """Ask for rows behind the cursor; answers at once. Deletions are not told."""
        place = Place.parse(cursor, self._where)
        table = self._known or self._described()
        selection = self._selection(table, columns)
        first = place.at is None
        reread = place.timekey is None or not first or self._told.may_reread()
        with self._forgetful():
            rows = self._newer(table, place, selection, reread=reread)
            more = len(rows) > self._page_rows
            rows = rows[: self._page_rows]
            after = behind(place, rows, more=more, reread=reread) if rows else place
            text = cursor if after == place else after.text()
            if after.transaction is None:
                rows, all_rows = self._told.fresh(rows, cursor), rows
                whole = first and reread and not more
                self._told.remember(all_rows, cursor=text, before=cursor, whole=whole)
            return Changes(
                upserts=selection.batches(rows, self._where),
                deleted=None,
                cursor=text,
                more=more,
                watermark=None if more else after.seconds,
            )

    def get(self, keys: pa.Array, columns: Collection[str] | None = None) -> pa.RecordBatch:
        """Look all keys up with one query."""
        table = self._known or self._described()
        selection = self._selection(table, columns)
        key = table.column(self.key)
        known_keys = as_keys(keys, selection.schema.field(self.key).type)
        values, type_name = key_values(known_keys, key)
        order = [f"{table.qualified(self._timekey)} NULLS FIRST"] if self._timekey else []
        order += ["ctid"] if table.kind in "rm" and table.is_heap else []
        as_text = quoted(self.key) + ("::text" if key.type_name == "an enum" else "")
        statement = (
            f"SELECT {', '.join(selection.expressions)} FROM {self._source(table)} "
            f"AND {as_text} = ANY($1::{type_name})"
        )
        if order and not key.unique:
            statement += f" ORDER BY {', '.join(order)}"
        with self._forgetful():
            rows = self._sessions.query(statement, (values,)) if values else []
            found = pa.Table.from_batches(selection.batches(rows, self._where), selection.schema)
        return aligned(found, self.key, known_keys)

    def write(self, rows: pa.Table, *, mode: WriteMode = "replace") -> int:
        """Write in one transaction; a table that is not there is made.

        Ours: with a timekey that `rows` lacks, the database's clock fills it, so followers see the rows.
        """
        self._known = None
        session = self._sessions.new(read_only=False)
        try:
            return write_rows(
                session, rows, self.name, self._where, key=self.key, timekey=self._timekey, mode=mode
            )
        finally:
            session.close()

    def _described(self) -> CatalogTable:
        self._known = described(
            self._sessions.query, self.name, self.origin, self._where, key=self.key, timekey=self._timekey
        )
        return self._known

    def _selection(self, table: CatalogTable, columns: Collection[str] | None) -> Selection:
        return Selection.of(table.columns, self.key, columns, self._where)

    def _source(self, table: CatalogTable) -> str:
        """What stands behind FROM, up to a condition."""
        return f"{table.quoted_name} WHERE {self._condition or 'true'}"

    def _ask(self, statement: str, at: Moment | None) -> list[tuple[Any, ...]]:
        """Ask something that may read the whole table."""
        moment = self._moment(at)
        if moment is None:
            with self.moment() as own:
                return self._ask(statement, own)
        try:
            return moment.query(statement)
        except LoadError as error:  # the moment is of many tables
            said = str(error).removeprefix(f"{self.origin}: ")
            raise type(error)(f"{self._where}: {said}") from None

    def _moment(self, at: Moment | None) -> PostgresMoment | None:
        if at is None:
            return None
        if not isinstance(at, PostgresMoment) or at.origin != self.origin:
            raise DataError(f"{self._where}: a moment of {at.origin} is none of {self.origin}")
        return at

    def _timeline(self, table: CatalogTable) -> Timeline:
        return Timeline(
            table.column(self.key),
            table.column(self._timekey),
            quoted(table.table_name),
            self._source(table),
            self._overlap_seconds,
            self._page_rows,
            knows_writers=table.is_heap and self._sessions.server_version >= 130000,
        )

    def _stream(
        self,
        table: CatalogTable,
        selection: Selection,
        conditions: Sequence[str],
        order: str,
        moment: PostgresMoment | None,
    ) -> Iterator[pa.RecordBatch]:
        select = f"SELECT {', '.join(selection.streamed)} FROM {self._source(table)}"
        statements = [f"{select}{f' AND {part}' if part else ''}{order}" for part in conditions]
        exported = moment.snapshot if moment is not None else None
        one_state = exported is not None or len(statements) == 1
        reading = Reading(
            self._address,
            self._where,
            statements,
            batch_bytes=_BATCH_BYTES,
            snapshot=exported,
            connections=self._address.limits.connections if one_state else 1,
            is_alive=lambda: self._sessions.query("SELECT 1"),
        )
        for whole in stream(reading):
            batch = selection.arranged(whole, self._where)
            for start in range(0, batch.num_rows, _BATCH_ROWS):
                part = batch.slice(start, _BATCH_ROWS)
                check_keys(part, self.key, self._where)
                yield part

    @contextmanager
    def _forgetful(self) -> Iterator[None]:
        """A column may have gone or changed: what is known of the table is asked for again next time."""
        try:
            yield
        except DataError:
            self._known = None
            raise

    def _newer(
        self, table: CatalogTable, place: Place, selection: Selection, *, reread: bool
    ) -> list[tuple[Any, ...]]:
        statement, parameters = self._timeline(table).newer(place, selection.expressions, reread=reread)
        started = time.monotonic()
        rows: list[tuple[Any, ...]] = []
        try:
            rows = self._sessions.query(statement, parameters)
        finally:
            took = time.monotonic() - started
            if reread:
                self._told.reread_took(took)
            self._say_slow(table, rows, took)
        return rows

    def _say_slow(self, table: CatalogTable, rows: Sequence[Any], seconds: float) -> None:
        if self._said_slow or seconds < _SLOW_POLL_SECONDS or len(rows) > 1000:
            return
        self._said_slow = True
        hint = "" if table.column(self._timekey).indexed else "; an index on the timekey would help"
        logger.warning("%s: a poll that found %d rows took %.1f s%s", self._where, len(rows), seconds, hint)
