"""A table as a model sees it: features under their aliases, the key under the entity's join id.

table ──source──▶ FeatureTable ──▶ item store, look-ups, training sets
 iid, brand, …                      item_id, item_brand, …
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from recserve.errors import DataError
from recserve.feature_store.times import microseconds
from recserve.feature_store.types import TYPES, value_type
from recserve.source import Profile, change_feed, point_reads, profiled

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from contextlib import AbstractContextManager

    from recserve.feature_store.records import View
    from recserve.source import Ability, Changes, Cursor, Moment, Source


class FeatureTable:
    """A source with other names, declared types, and without rows that are older than the view's `ttl`.

    `features` maps aliases to fields of the view. Types are those of the registry, so an offline and an
    online table give the same; a moment is its milliseconds since 1970. Ours: an expired row is no row in
    snapshots and changes, and a row of nulls in point reads; without an event time a row is expired.
    """

    def __init__(
        self,
        source: Source,
        view: View,
        features: Mapping[str, str],
        *,
        join_id: str,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._source = source
        self._view = view
        self._fields = dict(features)
        self._now = now
        self._key_type: pa.DataType | None = None  # of the table
        self.key = join_id
        self.name = f"{view.name} ({source.name})"

    @property
    def origin(self) -> str:
        """That of the table."""
        return self._source.origin

    @property
    def abilities(self) -> frozenset[Ability]:
        """Those of the table; rows that may have expired cannot be counted without being read."""
        hidden: tuple[Ability, ...] = ("write", "profile") if self._view.ttl_s else ("write",)
        return self._source.abilities.difference(hidden)

    def close(self) -> None:
        """Close the table."""
        self._source.close()

    def rows(self) -> int:
        """Rows of the table."""
        return self._source.rows()

    def moment(self) -> AbstractContextManager[Moment]:
        """A moment of the table."""
        return self._source.moment()

    def schema(self) -> pa.Schema:
        """The aliases and their types; raises DataError for a field that the table lacks."""
        have = self._source.schema()
        for field in dict.fromkeys([self._view.key, *self._fields.values()]):
            self._require(field, have.names)
        self._key_type = have.field(self._view.key).type
        return self.declared_schema()

    def declared_schema(self) -> pa.Schema:
        """The same without asking the table."""
        return pa.schema([(name, value_type(self._view.fields[f])) for name, f in self._named(None).items()])

    def snapshot(
        self, columns: Collection[str] | None = None, *, at: Moment | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Stream the rows that have not expired."""
        named = self._named(columns)
        oldest = self._oldest()
        for batch in self._source.snapshot(self._read(named), at=at):
            yield self._renamed(batch if oldest is None else batch.filter(self._fresh(batch, oldest)), named)

    def cursor(self, *, at: Moment | None = None) -> Cursor:
        """The table's cursor."""
        feed = change_feed(self._source)
        assert feed is not None  # says abilities
        return feed.cursor(at=at)

    def changes(
        self, cursor: Cursor, columns: Collection[str] | None = None, *, wait_seconds: float = 0.0
    ) -> Changes:
        """The table's changes; a row that has expired when it comes is deleted."""
        feed = change_feed(self._source)
        assert feed is not None  # says abilities
        named = self._named(columns)
        changes = feed.changes(cursor, self._read(named), wait_seconds=wait_seconds)
        deleted = changes.deleted
        upserts = list(changes.upserts)
        oldest = self._oldest()
        if oldest is not None and upserts:
            upserts, expired = self._split(upserts, oldest)
            deleted = expired if deleted is None else pa.concat_arrays([deleted, expired.cast(deleted.type)])
        if deleted is not None:
            deleted = self._declared(deleted, self._view.key)
        return replace(changes, upserts=[self._renamed(batch, named) for batch in upserts], deleted=deleted)

    def profile(self, columns: Collection[str], *, at: Moment | None = None) -> Profile:
        """The table's counts, by alias."""
        counted = profiled(self._source)
        assert counted is not None  # says abilities
        named = self._named(columns)
        found = counted.profile(set(named.values()), at=at)
        nulls = {a: found.nulls[f] for a, f in named.items() if a in columns and f in found.nulls}
        return Profile(found.rows, nulls)

    def get(self, keys: pa.Array, columns: Collection[str] | None = None) -> pa.RecordBatch:
        """One row per key; nulls where there is none that has not expired."""
        reads = point_reads(self._source)
        assert reads is not None  # says abilities
        if self._key_type is None:
            self.schema()
        named = self._named(columns)
        batch = reads.get(keys.cast(self._key_type), self._read(named))
        oldest = self._oldest()
        found = self._renamed(batch, named)
        if oldest is None:
            return found
        fresh = self._fresh(batch, oldest)
        arrays = [
            array if name == self.key else pc.if_else(fresh, array, pa.scalar(None, array.type))
            for name, array in zip(found.schema.names, found.columns, strict=True)
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=found.schema)

    def _named(self, columns: Collection[str] | None) -> dict[str, str]:
        """Fields by what they are called: the key, and the features among `columns`."""
        wanted = {a: f for a, f in self._fields.items() if columns is None or a in columns}
        return {self.key: self._view.key, **wanted}

    def _read(self, named: Mapping[str, str]) -> set[str]:
        return {*named.values(), *([self._view.event_time] if self._view.ttl_s else [])}

    def _oldest(self) -> int | None:
        """The event time, in microseconds, that a row has to have reached."""
        return int((self._now() - self._view.ttl_s) * 1e6) if self._view.ttl_s else None

    def _fresh(self, batch: pa.RecordBatch, oldest: int) -> pa.Array:
        time_field = self._view.event_time
        self._require(time_field, batch.schema.names)
        times = microseconds(batch.column(time_field), self._view.unit, self._where(time_field))
        return pc.fill_null(pc.greater_equal(times, oldest), False)

    def _split(self, upserts: list[pa.RecordBatch], oldest: int) -> tuple[list[pa.RecordBatch], pa.Array]:
        """The rows that are the last of their key and fresh, and the keys whose last row is not."""
        table = pa.Table.from_batches(upserts).combine_chunks()
        keys = table.column(self._view.key).combine_chunks()
        fresh = self._fresh(table.to_batches()[0], oldest).to_pylist() if table.num_rows else []
        last = {key: row for row, key in enumerate(keys.to_pylist())}
        kept = [row for row in last.values() if fresh[row]]
        gone = [row for row in last.values() if not fresh[row]]
        return table.take(pa.array(kept, pa.int64())).to_batches(), keys.take(pa.array(gone, pa.int64()))

    def _renamed(self, batch: pa.RecordBatch, named: Mapping[str, str]) -> pa.RecordBatch:
        arrays = []
        for field in named.values():
            self._require(field, batch.schema.names)
            arrays.append(self._declared(batch.column(field), field))
        return pa.RecordBatch.from_arrays(arrays, names=list(named))

    def _declared(self, array: pa.Array, field: str) -> pa.Array:
        return declared(array, self._view.fields[field], self._where(field))

    def _where(self, field: str) -> str:
        return f"view '{self._view.name}': field '{field}' of {self._source.name}"

    def _require(self, field: str, have: Collection[str]) -> None:
        if field not in have:
            raise DataError(
                f"view '{self._view.name}': table {self._source.name} has no column '{field}'; "
                f"columns: {', '.join(have)}"
            )


def declared(array: pa.Array, kind: str, where: str) -> pa.Array:
    """The array as models get what the registry says; raises DataError where a value does not fit."""
    if kind == "timestamp" and not pa.types.is_integer(array.type):
        moments = microseconds(array, "ms", where)
        counts = moments.fill_null(0).to_numpy(zero_copy_only=False) // 1_000
        missing = moments.is_null().to_numpy(zero_copy_only=False) if moments.null_count else None
        return pa.array(counts, pa.int64(), mask=missing)
    return _cast(array, value_type(kind), kind, where)


def stored(array: pa.Array, kind: str, where: str) -> pa.Array:
    """The array as a table has what the registry says: a moment is a timestamp."""
    if kind == "timestamp":
        return declared(array, kind, where).cast(TYPES[kind])
    return _cast(array, TYPES[kind], kind, where)


def _cast(array: pa.Array, wanted: pa.DataType, kind: str, where: str) -> pa.Array:
    if array.type == wanted:
        return array
    try:
        return array.cast(wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(
            f"{where} is {array.type} and does not fit {kind} ({TYPES[kind]}): {error}"
        ) from error
