"""The contract of a source: a table of rows under a key, over Arrow, and how it changes.

    moment ──▶ snapshot ──batches──▶ whoever keeps them (the item store, a training set)
       └─cursor──▶ changes ──▶ cursor ──▶ changes ──▶ …

`recserve/sources` implements it; the item store and the feature store are handed sources and know no other
name of them. A source says in `abilities` which of the optional methods it has.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from contextlib import AbstractContextManager

    import pyarrow as pa

Ability = Literal["changes", "profile", "get", "write"]
WriteMode = Literal["replace", "merge"]
Cursor = str  # where `changes` goes on; the source's own text, printable, without secrets


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSpec:
    """Which table, and how it is read; the words of `model_config.tables` and `model_config.url`."""

    name: str  # a table, maybe schema.table; a file, a directory or a URL
    key: str
    url: str = ""  # of the database; may hold a password, so it is never shown as it is
    condition: str = ""  # the body of a WHERE, written by the operator
    timekey: str = ""  # the column that grows with every change: a timestamp or an integer
    overlap_seconds: float = 60.0  # how far behind the cursor a timestamp `timekey` is read again
    base_dir: Path = Path()  # what relative file names are relative to

    def __repr__(self) -> str:  # the url stays out of logs and traces
        return f"TableSpec(name={self.name!r}, key={self.key!r})"


@dataclass(frozen=True, slots=True)
class Changes:
    """What became of a table since a cursor.

    A key stands in `deleted` when the last thing that happened to it was its deletion, else in `upserts`,
    whose rows are complete; of equal keys the last row counts. Applying the same changes again is harmless.
    """

    upserts: Sequence[pa.RecordBatch]
    deleted: pa.Array | None  # keys
    cursor: Cursor  # ask from here next time
    more: bool = False  # one answer did not hold everything: ask again at once
    watermark: float | None = None  # when the newest of the changes was made, in seconds since 1970


@dataclass(frozen=True, slots=True)
class Profile:
    """How many rows a snapshot would have, and how many of them are null in each column."""

    rows: int
    nulls: dict[str, int]


class Moment(Protocol):
    """One state of all tables of an `origin`; the source that made it knows what is inside."""

    @property
    def origin(self) -> str:
        """Whose moment it is."""


class Source(Protocol):
    """A table whose rows are told apart by the column `key`."""

    @property
    def key(self) -> str:
        """The key column: texts or integers, never null."""

    @property
    def name(self) -> str:
        """What messages and metrics call the table; no secrets."""

    @property
    def origin(self) -> str:
        """Tables of one origin can be read as of one moment; no secrets."""

    @property
    def abilities(self) -> frozenset[Ability]:
        """Which of the optional methods may be called."""

    def schema(self) -> pa.Schema:
        """Names and types of all columns, the key too. Raises DataError when there is no such table.

        Raises SourceError, as every method may, when the place cannot be reached; asking again may help.
        """

    def rows(self) -> int:
        """About how many rows a snapshot will have, for a progress bar; 0 when nobody knows."""

    def moment(self) -> AbstractContextManager[Moment]:
        """Hold a moment: snapshots, profiles and cursors `at` it agree with one another."""

    def snapshot(
        self, columns: Collection[str] | None = None, *, at: Moment | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Stream all rows: the key and, of `columns` (None: all), those that the table has.

        The order of rows is the table's own: of equal keys the later one counts. Raises DataError for a null
        key.
        """

    def close(self) -> None:
        """Let go of connections; the source may not be used afterwards."""


class ChangeFeed(Source, Protocol):
    """A source with the ability "changes"."""

    def cursor(self, *, at: Moment | None = None) -> Cursor:
        """The place from which `changes` tells all that a snapshot of this moment does not have."""

    def changes(
        self, cursor: Cursor, columns: Collection[str] | None = None, *, wait_seconds: float = 0.0
    ) -> Changes:
        """What happened since `cursor`. A source that is told of changes waits that long for the first one,
        the others answer at once. Raises DataError for a cursor that it did not give or no longer knows:
        then only a new snapshot helps.
        """


class Profiled(Source, Protocol):
    """A source with the ability "profile"."""

    def profile(self, columns: Collection[str], *, at: Moment | None = None) -> Profile:
        """Count rows and nulls without reading the rows."""


class PointReads(Source, Protocol):
    """A source with the ability "get"."""

    def get(self, keys: pa.Array, columns: Collection[str] | None = None) -> pa.RecordBatch:
        """One row per key, in their order: the key and `columns`, which are null where no row has the key."""


class Sink(Source, Protocol):
    """A source with the ability "write"."""

    def write(self, rows: pa.Table, *, mode: WriteMode = "replace") -> int:
        """Write rows under their keys; returns how many. "merge" keeps the columns that `rows` lacks."""


def change_feed(source: Source) -> ChangeFeed | None:
    """The source, if it can tell changes."""
    return cast("ChangeFeed", source) if "changes" in source.abilities else None


def profiled(source: Source) -> Profiled | None:
    """The source, if it can count without reading."""
    return cast("Profiled", source) if "profile" in source.abilities else None


def point_reads(source: Source) -> PointReads | None:
    """The source, if single rows can be asked for."""
    return cast("PointReads", source) if "get" in source.abilities else None


def sink(source: Source) -> Sink | None:
    """The source, if rows can be written to it."""
    return cast("Sink", source) if "write" in source.abilities else None
