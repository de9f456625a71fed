"""Rows from Redis, and what becomes of them: a table is a hash of packed rows and a stream of changed keys.

    RedisSource, Arrow ──packed_rows──▶ RedisTable, bytes ──▶ Redis

`redis_table.py` has the layout. An entry of the stream tells which key changed, and the row is read when the
entry is. So a reader never sees a row older than the newest entry that it has read, and reading an entry
again is harmless.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from recserve.errors import ConfigError, DataError, SourceError
from recserve.source import Changes
from recserve.sources.packed_rows import PackedSchema, key_texts
from recserve.sources.redis_stream import RedisMoment, is_cursor
from recserve.sources.redis_table import ANY, NONE, RedisTable
from recserve.sources.table import check_keys, fitted, last_of_each, require_key, wanted_columns

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from recserve.source import Ability, Cursor, Moment, TableSpec, WriteMode

KEPT_CHANGES = 1_000_000
"""About how many entries a stream keeps. A reader that is further behind has to read the whole table."""

_PART_ROWS = 1 << 14
_ROUNDS = 1000  # in each, at least one of the writers of a row wins


class RedisSource:
    """The table `name` in the database of `url`: redis://:password@host:port/db, rediss:// or unix://.

    Any number of threads may use it. The url takes settings of the client too, such as `?socket_timeout=2`
    for the seconds within which the server must answer.
    """

    abilities: frozenset[Ability] = frozenset({"changes", "get", "write"})

    def __init__(self, url: str, name: str, key: str, *, kept_changes: int = KEPT_CHANGES) -> None:
        self.key = key
        self.name = name
        self._table = RedisTable(url, name, kept_changes)
        self.origin = self._table.origin
        self._where = self._table.where
        self._parsed: tuple[bytes, PackedSchema] | None = None

    @classmethod
    def open(cls, spec: TableSpec) -> RedisSource:
        """Open the table of a service file. Ours: it needs no `timekey`, as the stream tells changes."""
        if spec.condition:
            raise ConfigError(
                f"Redis table '{spec.name}': a condition is SQL, which Redis has not; "
                "write a table of the rows that are wanted"
            )
        return cls(spec.url, spec.name, spec.key)

    def __repr__(self) -> str:
        return f"RedisSource({self.origin!r}, {self.name!r})"

    def close(self) -> None:
        """Close the connections."""
        self._table.close()

    def moment(self) -> RedisMoment:
        """A place for the cursors that belong to snapshots."""
        return RedisMoment(self.origin)

    def schema(self) -> pa.Schema:
        """Names and types of the columns: the key, then the fields as they were declared."""
        return self._schema(self._table.document()).arrow()

    def rows(self) -> int:
        """How many rows the table has now."""
        return self._table.size()

    def declare(self, schema: pa.Schema) -> None:
        """Make the table, or append the columns that it lacks: rows that are there have no value in them.

        Raises DataError for a column that the table has with another type.
        """
        require_key(schema, self.key, f"the schema for {self._where}")
        for _ in range(_ROUNDS):
            known = self._table.document_if_any()
            if known is None:
                wanted = PackedSchema.of(schema, self.key)
            else:
                wanted = self._schema(known).extended(schema, self._where)
            if self._table.declare(known, wanted.document()):
                return
        raise self._contended()

    def snapshot(
        self, columns: Collection[str] | None = None, *, at: Moment | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Scan the table: rows that change meanwhile come as they were or are, and may come twice."""
        start = self.cursor(at=at)
        schema = self.schema()
        wanted = wanted_columns(schema, self.key, columns)
        expected = pa.schema([schema.field(name) for name in wanted])
        for keys, rows in self._table.scan():
            batch = self._batch(keys, rows, wanted, self._table.document())
            if batch.schema != expected:
                raise DataError(f"{self._where}: its columns changed while it was read; read it again")
            yield batch
        if self._table.stream().lost(start):
            raise SourceError(f"{self._where} was emptied while it was read; read it again")

    def cursor(self, *, at: Moment | None = None) -> Cursor:
        """The id of the newest entry of the stream."""
        if not isinstance(at, RedisMoment):
            return self._table.stream().last
        if self.name not in at.cursors:
            at.cursors.setdefault(self.name, self._table.stream().last)
        return at.cursors[self.name]

    def changes(
        self, cursor: Cursor, columns: Collection[str] | None = None, *, wait_seconds: float = 0.0
    ) -> Changes:
        """The keys that the stream tells since `cursor`, with the rows that they have now."""
        if not is_cursor(cursor):
            raise DataError(f"{self._where}: '{cursor}' is no cursor of Redis; read the table as a whole")
        keys, newest, more = self._table.changed(cursor, wait_seconds)
        if not keys:
            return Changes([], None, cursor)
        rows, document = self._table.rows(keys)
        schema = self._schema(document)
        there = {key: row for key, row in zip(keys, rows, strict=True) if row is not None}
        gone = [key for key in keys if key not in there]
        wanted = wanted_columns(schema.arrow(), self.key, columns)
        return Changes(
            upserts=[self._batch(list(there), list(there.values()), wanted, document)] if there else [],
            deleted=schema.key_array(gone, self._where) if gone else None,
            cursor=newest,
            more=more,
            watermark=int(newest.split("-")[0]) / 1000,
        )

    def get(self, keys: pa.Array, columns: Collection[str] | None = None) -> pa.RecordBatch:
        """Read the rows and the schema in one round trip."""
        texts = key_texts(keys)
        rows, document = self._table.rows(texts)
        wanted = wanted_columns(self._schema(document).arrow(), self.key, columns)
        return self._batch(texts, rows, wanted, document)

    def write(self, rows: pa.Table, *, mode: WriteMode = "replace") -> int:
        """Write rows and tell of them. Ours: a table that is not there is made, of the columns of `rows`.

        Parts of at most 1000 rows are written at once: each is there with its changes, or not at all.
        """
        if self._table.document_if_any() is None:
            require_key(rows.schema, self.key, f"what is written to {self._where}")
            check_keys(rows, self.key, f"what is written to {self._where}")
            self.declare(rows.schema)
        rows = fitted(rows, self.schema(), self.key, self._where, mode)
        for batch in last_of_each(rows, self.key).to_batches(max_chunksize=_PART_ROWS):
            self._write_batch(batch, mode)
        return int(rows.num_rows)

    def delete(self, keys: pa.Array) -> int:
        """Take rows away and tell of it; returns how many there were."""
        rows = [(key, ANY, NONE) for key in dict.fromkeys(key_texts(keys))]
        deleted = 0
        for _ in range(_ROUNDS):
            written, refused = self._table.write(rows, self._table.document())
            deleted += written
            if not refused:
                return deleted
            rows = [rows[number] for number in refused]
        raise self._contended()

    def _write_batch(self, batch: pa.RecordBatch, mode: WriteMode) -> None:
        """Write rows of different keys; those that somebody else writes meanwhile are merged again."""
        for _ in range(_ROUNDS):
            keys = key_texts(batch.column(self.key))
            if mode == "merge":
                old, document = self._table.rows(keys)
                complete = self._merged(batch, keys, old, document)
                replaced = [row or NONE for row in old]
            else:
                complete, document, replaced = batch, self._table.document(), [ANY] * len(keys)
            rows = self._schema(document).pack(complete)
            _, refused = self._table.write(list(zip(keys, replaced, rows, strict=True)), document)
            if not refused:
                return
            batch = batch.take(pa.array(refused))
        raise self._contended()

    def _merged(
        self, batch: pa.RecordBatch, keys: Sequence[bytes], old: Sequence[bytes | None], document: bytes
    ) -> pa.RecordBatch:
        """The batch, and the columns that it lacks as the old rows have them."""
        schema = self._schema(document)
        lacking = [each.name for each in schema.fields if each.name not in batch.schema.names]
        kept = schema.unpack(keys, old, lacking, where=self._where)
        return pa.RecordBatch.from_arrays([*batch.columns, *kept], names=[*batch.schema.names, *lacking])

    def _schema(self, document: bytes) -> PackedSchema:
        parsed = self._parsed
        if parsed is None or parsed[0] != document:
            parsed = self._parsed = (document, PackedSchema.read(document, self._where))
        schema = parsed[1]
        if schema.key.name != self.key:
            raise DataError(
                f"{self._where} has no key column '{self.key}', its key is '{schema.key.name}'; "
                f"columns: {', '.join(schema.arrow().names)}"
            )
        return schema

    def _batch(
        self, keys: Sequence[bytes], rows: Sequence[bytes | None], wanted: Sequence[str], document: bytes
    ) -> pa.RecordBatch:
        """Rows as columns. The document was read after them, so it has all the fields that they have."""
        schema = self._schema(document)
        columns = [schema.key_array(keys, self._where), *schema.unpack(keys, rows, wanted, where=self._where)]
        present = [name for name in schema.arrow().names if name in wanted]
        return pa.RecordBatch.from_arrays(columns, names=present)

    def _contended(self) -> SourceError:
        return SourceError(f"{self._where}: too many writers change the same rows; try again")
