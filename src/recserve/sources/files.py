"""Rows from files: one, a folder of them, or a table with a manifest that changes; here or behind a URL.

    file ─┐
    folder ├─▶ which files count ──formats──▶ batches ──condition──▶ snapshot, profile, get
    manifest ┘         └──manifest──▶ changes, write

| `name` in the service file                     | what is read                                             |
|------------------------------------------------|----------------------------------------------------------|
| `items.parquet`, `items.arrow`, `items.csv`    | the file; relative names start at the service file       |
| `items/`                                       | its files in the order of their names, without . and _   |
| `items/` with a `manifest.json`                | what the manifest says (`manifest.py`)                   |
| `s3://bucket/items/`, `oss://`, `file:///`, …  | the same, through fsspec (`object_store.py`)             |

A file may be replaced while it is read, by a rename: the reader keeps the old one. A table with a manifest
has moments, changes and writers; other files are read as they are, and `timekey` is nothing to them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from recserve.errors import DataError
from recserve.source import Changes, Profile
from recserve.sources.condition import Condition
from recserve.sources.file_reader import FileReader
from recserve.sources.formats import BATCH_ROWS
from recserve.sources.storage import open_storage
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
from recserve.sources.table_folder import TableFolder, begin

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from types import TracebackType

    from recserve.source import Ability, Cursor, Moment, TableSpec, WriteMode
    from recserve.sources.file_reader import FileState
    from recserve.sources.manifest import Change, Manifest

_READS: frozenset[Ability] = frozenset({"profile", "get"})
_WRITES: frozenset[Ability] = frozenset({"changes", "write"})


@dataclass(frozen=True, slots=True)
class FileMoment:
    """The manifest of a moment, if there is one; its own context manager, as its files stay for a while."""

    origin: str
    state: FileState | None

    def __enter__(self) -> FileMoment:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to let go of."""


class FileSource:
    """The rows of files, under the key in column `key`; only those that `condition` lets through.

    `get` and a merging `write` read the whole table. Any thread may read and write.
    """

    def __init__(
        self,
        name: str | Path,
        key: str,
        *,
        condition: str = "",
        base_dir: Path = Path(),
        page_rows: int = 1 << 20,
    ) -> None:
        self.key = key
        self._storage, self._path = open_storage(str(name), base_dir)
        self._folder = TableFolder(self._storage, self._path)
        self._shown = self._folder.shown
        self.name = self._shown.rstrip("/").rsplit("/", 1)[-1]
        self.origin = self._shown
        self._page_rows = page_rows
        self._condition_text = condition
        self._condition: tuple[pa.Schema, Condition] | None = None
        self._reader = FileReader(self._folder, key)
        self._has_manifest: bool | None = None

    @classmethod
    def open(cls, spec: TableSpec) -> FileSource:
        """Open what a service file names."""
        return cls(spec.name, spec.key, condition=spec.condition, base_dir=spec.base_dir)

    def __repr__(self) -> str:
        return f"FileSource({self._shown!r}, key={self.key!r})"

    @property
    def abilities(self) -> frozenset[Ability]:
        """A table with a manifest has all of them; whether there is one is looked up once."""
        if self._has_manifest is None:
            self._has_manifest = self._folder.manifest() is not None
        return _READS | _WRITES if self._has_manifest else _READS

    def moment(self) -> FileMoment:
        """Hold a manifest; files without one are read as they are."""
        state = self._reader.now()
        return FileMoment(self.origin, state if state.manifest else None)

    def close(self) -> None:
        """Nothing is held."""

    def schema(self) -> pa.Schema:
        """Read the columns of the first file and check that the others have them too."""
        return self._reader.schema(self._reader.now())

    def rows(self) -> int:
        """Add up the row counts that files and manifest state; unknown with a condition."""
        if self._condition_text:
            return 0
        state = self._reader.now()
        written = sum(change.rows for change in state.changes if change.kind == "rows")
        return sum(facts.rows or 0 for facts in self._reader.facts(state)) + written

    def snapshot(
        self, columns: Collection[str] | None = None, *, at: Moment | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Stream the files, only the columns asked for; no row group is in memory as a whole.

        What a manifest lists behind its base is in memory, so it is compacted from time to time.
        """
        state = self._state(at)
        yield from self._selected(state, wanted_columns(self._reader.schema(state), self.key, columns))

    def profile(self, columns: Collection[str], *, at: Moment | None = None) -> Profile:
        """Count by what the files say of themselves, else by reading the columns."""
        state = self._state(at)
        names = wanted_columns(self._reader.schema(state), self.key, columns)
        asked = [name for name in names if name in columns]
        facts = [] if state.changes or self._condition_text else self._reader.facts(state)
        told = frozenset.intersection(*(frozenset(file.nulls) for file in facts)) if facts else frozenset()
        nulls = {name: sum(file.nulls[name] for file in facts) if name in told else 0 for name in asked}
        left = [name for name in asked if name not in told]
        counts = [file.rows for file in facts if file.rows is not None]
        if facts and not left and len(counts) == len(facts):
            return Profile(sum(counts), nulls)
        rows = 0
        for batch in self._selected(state, [name for name in names if name == self.key or name in left]):
            rows += batch.num_rows
            for name, count in count_nulls([batch], left).items():
                nulls[name] += count
        return Profile(rows, nulls)

    def get(self, keys: pa.Array, columns: Collection[str] | None = None) -> pa.RecordBatch:
        """Look keys up; reads the whole table."""
        state = self._reader.now()
        schema = self._reader.schema(state)
        names = wanted_columns(schema, self.key, columns)
        return aligned(self._among(self._selected(state, names), schema, names, keys), self.key, keys)

    def cursor(self, *, at: Moment | None = None) -> Cursor:
        """The number of the last change."""
        return self._manifest(self._state(at)).cursor

    def changes(
        self, cursor: Cursor, columns: Collection[str] | None = None, *, wait_seconds: float = 0.0
    ) -> Changes:
        """Read the files of the changes behind the cursor. A row that the condition lets through no more is
        told as deleted."""
        manifest = self._folder.manifest()
        if manifest is not None and manifest.cursor == cursor:  # the answer to nearly every poll
            return Changes(upserts=[], deleted=None, cursor=cursor)
        state = self._reader.now()
        manifest = self._manifest(state)
        behind = manifest.since(cursor, f"table {self._shown}")
        page = _page(behind, self._page_rows)
        schema = self._reader.schema(state)
        names = wanted_columns(schema, self.key, columns)
        condition = self._condition_of(schema)
        upserts, deleted = folded(self._reader.log(page, _needed(names, condition, schema), schema), self.key)
        if condition is not None and upserts:
            upserts, deleted = _through(condition, upserts, deleted, self.key)
        return Changes(
            upserts=[b for table in upserts for b in table.select(names).to_batches(BATCH_ROWS)],
            deleted=deleted,
            cursor=f"{manifest.id}:{page[-1].sequence}" if page else cursor,
            more=len(page) < len(behind),
            watermark=page[-1].time if page else None,
        )

    def write(self, rows: pa.Table, *, mode: WriteMode = "replace") -> int:
        """Add a file of changes to the manifest; all rows are there at once, or on an error none."""
        with self._folder.alone():
            state = self._reader.now()
            manifest, schema = self._manifest(state), self._reader.schema(state)
            rows = fitted(rows, schema, self.key, f"table {self._shown}", mode)
            if rows.num_rows == 0:
                return 0
            written = last_of_each(rows, self.key)
            if mode == "merge":
                keys = written[self.key].combine_chunks()
                old = self._among(self._reader.rows(state, schema.names), schema, schema.names, keys)
                written = merged(pa.Table.from_batches([aligned(old, self.key, keys)]), written)
            self._folder.add(manifest, written, "rows")
            return int(rows.num_rows)

    def delete(self, keys: pa.Array) -> None:
        """Add a file of deleted keys to the manifest."""
        with self._folder.alone():
            state = self._reader.now()
            field = self._reader.schema(state).field(self.key)
            gone = pa.table([pc.unique(keys.cast(field.type))], schema=pa.schema([field]))
            check_keys(gone, self.key, f"what is deleted from table {self._shown}")
            self._folder.add(self._manifest(state), gone, "deleted")

    def compact(self, *, keep_seconds: float = 3600.0) -> None:
        """Write base and changes into a new base.

        Changes of the last `keep_seconds` stay listed for readers that follow them; files that do not count
        any more stay that long for readers that began before.
        """
        with self._folder.alone():
            state = self._reader.now()
            manifest = self._manifest(state)
            if manifest.after_base:
                schema = self._reader.schema(state)
                newest = manifest.changes[-1].time
                manifest = self._folder.rebase(
                    manifest,
                    self._reader.rows(state, schema.names),
                    schema,
                    sequence=manifest.sequence,
                    kept=tuple(c for c in manifest.changes if c.time > newest - keep_seconds),
                )
            self._folder.remove_retired(manifest, keep_seconds)

    def _begin(self, rows: pa.Table, *, replace: bool) -> None:
        entry = self._storage.entry(self._path)
        if entry is not None and not replace:
            raise DataError(f"table {self._shown} is there already; replace it, or choose another name")
        begin(self._folder, self.key, rows.to_batches(BATCH_ROWS), rows.schema)

    def _state(self, at: Moment | None) -> FileState:
        held = at.state if isinstance(at, FileMoment) and at.origin == self.origin else None
        return held or self._reader.now()

    def _manifest(self, state: FileState) -> Manifest:
        if state.manifest is None:
            raise DataError(
                f"table {self._shown} has no manifest.json: its changes are not known, and nothing is added "
                "to it; recserve.sources.files.create_table writes one"
            )
        return state.manifest

    def _selected(self, state: FileState, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The columns of the rows that count, with keys."""
        condition = self._condition_of(self._reader.schema(state))
        batches = self._reader.rows(state, _needed(names, condition, self._reader.schema(state)))
        for batch in batches if condition is None else condition.filter(batches):
            check_keys(batch, self.key, f"table {self._shown}")
            yield batch.select(names)

    def _among(
        self, batches: Iterator[pa.RecordBatch], schema: pa.Schema, names: Sequence[str], keys: pa.Array
    ) -> pa.Table:
        """The rows under the keys."""
        wanted = keys.cast(schema.field(self.key).type)
        found = [batch.filter(pc.is_in(batch.column(self.key), value_set=wanted)) for batch in batches]
        return pa.Table.from_batches(found, pa.schema([schema.field(name) for name in names]))

    def _condition_of(self, schema: pa.Schema) -> Condition | None:
        if not self._condition_text:
            return None
        if self._condition is None or not self._condition[0].equals(schema):
            self._condition = (schema, Condition(self._condition_text, schema, f"table {self._shown}"))
        return self._condition[1]


def _page(changes: Sequence[Change], most_rows: int) -> Sequence[Change]:
    """The first changes, at least one, that have at most so many rows."""
    rows = 0
    for number, change in enumerate(changes):
        rows += change.rows
        if number and rows > most_rows:
            return changes[:number]
    return changes


def _needed(names: Sequence[str], condition: Condition | None, schema: pa.Schema) -> list[str]:
    read = condition.columns if condition is not None else ()
    return [name for name in schema.names if name in names or name in read]


def _through(
    condition: Condition, upserts: list[pa.Table], deleted: pa.Array | None, key: str
) -> tuple[list[pa.Table], pa.Array]:
    """The written rows that the condition lets through; the others are gone for those who follow."""
    written = last_of_each(pa.concat_tables(upserts), key)
    kept = pa.Table.from_batches(condition.filter(iter(written.to_batches(BATCH_ROWS))), written.schema)
    hidden = without(written, key, kept[key])[key].combine_chunks()
    return [kept], hidden if deleted is None else pa.concat_arrays([deleted, hidden])


def create_table(
    name: str | Path, rows: pa.Table, key: str, *, base_dir: Path = Path(), replace: bool = False
) -> FileSource:
    """Write a table that can change: a folder with a manifest. Missing folders are made.

    `replace` puts the rows in the place of a table that is there; whoever follows its changes reads it anew.
    """
    source = FileSource(name, key, base_dir=base_dir)
    require_key(rows.schema, key, f"table {source.origin}")
    source._begin(rows, replace=replace)
    return source
