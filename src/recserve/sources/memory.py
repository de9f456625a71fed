"""Rows of Arrow tables at hand: for tests, notebooks and small users, and the example of a source to read.

MemoryOrigin ──holds──▶ one version of each table        a moment is the versions of that moment
     └── MemorySource: a version is the rows and the log of what happened, neither ever changed in place
"""

from __future__ import annotations

import threading
import time
import uuid
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from recserve.errors import DataError
from recserve.source import Changes, Profile
from recserve.sources.table import (
    aligned,
    check_keys,
    count_nulls,
    fitted,
    folded,
    last_of_each,
    merged,
    require_key,
    wanted_columns,
    without,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from types import TracebackType

    from recserve.source import Ability, Cursor, Moment, WriteMode

_BATCH_ROWS = 1 << 15
_ALL: frozenset[Ability] = frozenset({"changes", "profile", "get", "write"})


@dataclass(frozen=True, slots=True)
class _Version:
    """A table and how it came to be; what is read of it stays as it is."""

    table: pa.Table
    log: tuple[pa.Table | pa.Array, ...] = ()  # complete rows written, or keys deleted
    log_rows: int = 0
    forgotten: int = 0  # entries of the log that are gone
    changed: float = 0.0
    token: str = field(default_factory=lambda: uuid.uuid4().hex[:8])  # whose cursors are known

    @property
    def cursor(self) -> Cursor:
        return f"{self.token}:{self.forgotten + len(self.log)}"


class MemoryOrigin:
    """Tables that can be read as of one moment."""

    def __init__(self, name: str = "memory") -> None:
        self.name = name
        self._changed = threading.Condition()
        self._versions: dict[MemorySource, _Version] = {}

    def moment(self) -> MemoryMoment:
        """The present versions of all tables."""
        with self._changed:
            return MemoryMoment(self.name, dict(self._versions))


@dataclass(frozen=True, slots=True)
class MemoryMoment:
    """One version of every table; its own context manager, as versions need no letting go."""

    origin: str
    versions: dict[MemorySource, _Version]

    def __enter__(self) -> MemoryMoment:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to let go of."""


class MemorySource:
    """The rows of `table`, under the key in column `key`; any thread may read and write.

    Sources of one `origin` share moments. `abilities` may be fewer than all, to stand for a source that can
    do less. `changes` answers at most about `page_rows` rows at once, of the last `log_rows` changed ones. A
    write costs a pass over the table.
    """

    def __init__(
        self,
        table: pa.Table,
        key: str,
        *,
        name: str = "the table",
        origin: MemoryOrigin | None = None,
        abilities: frozenset[Ability] = _ALL,
        page_rows: int = 1 << 16,
        log_rows: int = 1 << 20,
    ) -> None:
        require_key(table.schema, key, name)
        self.key = key
        self.name = name
        self.abilities = abilities
        self._page_rows = page_rows
        self._log_rows = log_rows
        self._origin = origin or MemoryOrigin()
        self._changed = self._origin._changed
        self._set(_Version(table))

    @property
    def origin(self) -> str:
        """The name of the shared origin."""
        return self._origin.name

    def moment(self) -> MemoryMoment:
        """Hold the present versions of all tables of the origin."""
        return self._origin.moment()

    def close(self) -> None:
        """Nothing is held."""

    def schema(self) -> pa.Schema:
        """Return the table's schema."""
        return self._version().table.schema

    def rows(self) -> int:
        """Count the table's rows."""
        return int(self._version().table.num_rows)

    def snapshot(
        self, columns: Collection[str] | None = None, *, at: Moment | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Yield slices of the table, without a copy."""
        table = self._version(at).table
        table = table.select(wanted_columns(table.schema, self.key, columns))
        for batch in table.to_batches(max_chunksize=_BATCH_ROWS):
            check_keys(batch, self.key, self.name)
            yield batch

    def cursor(self, *, at: Moment | None = None) -> Cursor:
        """The length of the log."""
        return self._version(at).cursor

    def changes(
        self, cursor: Cursor, columns: Collection[str] | None = None, *, wait_seconds: float = 0.0
    ) -> Changes:
        """Fold what the log has behind the cursor; waits until it has something."""
        with self._changed:
            self._changed.wait_for(lambda: self._version().cursor != cursor, wait_seconds)
            version = self._version()
        token, _, place = cursor.partition(":")
        start = int(place) - version.forgotten if place.isdecimal() else -1
        if token != version.token or not 0 <= start <= len(version.log):
            raise DataError(f"{self.name}: cursor '{cursor}' is not one of this table; read it as a whole")
        end, rows = start, 0
        while end < len(version.log) and (end == start or rows + len(version.log[end]) <= self._page_rows):
            rows, end = rows + len(version.log[end]), end + 1
        upserts, deleted = folded(version.log[start:end], self.key)
        wanted = wanted_columns(version.table.schema, self.key, columns)
        return Changes(
            upserts=[batch for table in upserts for batch in table.select(wanted).to_batches()],
            deleted=deleted,
            cursor=f"{token}:{version.forgotten + end}",
            more=end < len(version.log),
            watermark=version.changed if version.changed and end == len(version.log) else None,
        )

    def profile(self, columns: Collection[str], *, at: Moment | None = None) -> Profile:
        """Count the table's rows and nulls."""
        table = self._version(at).table
        return Profile(table.num_rows, count_nulls([table], columns))

    def get(self, keys: pa.Array, columns: Collection[str] | None = None) -> pa.RecordBatch:
        """Look every key up; a pass over the table."""
        table = self._version().table
        return aligned(table.select(wanted_columns(table.schema, self.key, columns)), self.key, keys)

    def write(self, rows: pa.Table, *, mode: WriteMode = "replace") -> int:
        """Write rows, visible to new moments and told by `changes`; all of them or, on an error, none."""
        with self._changed:
            table = self._version().table
            rows = fitted(rows, table.schema, self.key, self.name, mode)
            if rows.num_rows == 0:
                return 0
            written = last_of_each(rows, self.key)
            if mode == "merge":
                old = aligned(table, self.key, written[self.key])
                written = merged(pa.Table.from_batches([old]), written)
            kept = without(table, self.key, written[self.key])
            self._log(pa.concat_tables([kept, written]).combine_chunks(), written)
            return int(rows.num_rows)

    def delete(self, keys: pa.Array) -> int:
        """Forget the rows of these keys; returns how many there were."""
        with self._changed:
            table = self._version().table
            keys = pc.unique(keys.cast(table.schema.field(self.key).type))
            kept = without(table, self.key, keys)
            self._log(kept, keys)
            return int(table.num_rows - kept.num_rows)

    def replace_table(self, table: pa.Table) -> None:
        """Put another table in its place, of any columns; cursors of the old one are not known any more."""
        with self._changed:
            self._set(_Version(table))

    def forget_changes(self) -> None:
        """Empty the log, as a server that keeps changes for some time does: older cursors are not known."""
        with self._changed:
            version = self._version()
            self._set(replace(version, log=(), log_rows=0, forgotten=version.forgotten + len(version.log)))

    def _version(self, at: Moment | None = None) -> _Version:
        versions = at.versions if isinstance(at, MemoryMoment) else self._origin._versions
        return versions[self]

    def _log(self, table: pa.Table, entry: pa.Table | pa.Array) -> None:
        old = self._version()
        log, rows = (*old.log, entry), old.log_rows + len(entry)
        dropped = 0
        while rows > self._log_rows:
            rows, dropped = rows - len(log[dropped]), dropped + 1
        self._set(
            replace(
                old,
                table=table,
                log=log[dropped:],
                log_rows=rows,
                forgotten=old.forgotten + dropped,
                changed=max(time.time(), old.changed),
            )
        )

    def _set(self, version: _Version) -> None:
        with self._changed:
            self._origin._versions[self] = version
            self._changed.notify_all()
