"""Which files of a table count, and their rows: a file, a folder, or what a manifest says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from recserve.errors import DataError
from recserve.sources.file_schema import FileSchemas
from recserve.sources.formats import BATCH_ROWS, by_suffix, known_suffixes, open_file
from recserve.sources.storage import reading
from recserve.sources.table import check_keys, folded, last_of_each, require_key, without

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from recserve.sources.formats import Facts
    from recserve.sources.manifest import Change, Manifest
    from recserve.sources.storage import Entry
    from recserve.sources.table_folder import TableFolder


@dataclass(frozen=True, slots=True)
class FileState:
    """Which files count; with a manifest also what became of them."""

    files: tuple[Entry, ...]
    manifest: Manifest | None

    @property
    def changes(self) -> tuple[Change, ...]:
        """What happened after the files were written."""
        return self.manifest.after_base if self.manifest else ()


class FileReader:
    """Reads any state of the table at a path."""

    def __init__(self, folder: TableFolder, key: str) -> None:
        self._folder, self._storage, self._key = folder, folder.storage, key
        self._shown = folder.shown
        self._schemas = FileSchemas(folder.storage)

    def now(self) -> FileState:
        """Look which files there are."""
        with reading(self._storage, f"table {self._shown}", "cannot be listed"):
            entry = self._storage.entry(self._folder.path)
            if entry is None:
                hint = "" if self._storage.far else "; paths are relative to the service file"
                raise DataError(f"table {self._shown} does not exist{hint}")
            if not entry.is_folder:
                return FileState((entry,), None)
            manifest = self._folder.manifest()
            if manifest is not None:
                if manifest.key != self._key:
                    raise DataError(
                        f"table {self._shown} has no key column '{self._key}': its key is '{manifest.key}'"
                    )
                return FileState(tuple(self._folder.entry(name) for name in manifest.base), manifest)
            files = [
                found
                for found in self._storage.entries(self._folder.path)
                if not found.is_folder and found.name[0] not in "._" and by_suffix(found.name)
            ]
        if not files:
            raise DataError(f"table {self._shown} is a directory without files {known_suffixes()}")
        return FileState(tuple(files), None)

    def schema(self, state: FileState) -> pa.Schema:
        """The columns of the first file; checks that the others have them too, and the key."""
        schema = self._schemas.common(state.files)
        require_key(schema, self._key, f"table {self._shown}")
        return schema

    def facts(self, state: FileState) -> list[Facts]:
        """What the files say of themselves."""
        return [self._schemas.facts(file) for file in state.files]

    def rows(self, state: FileState, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The columns of all rows, as the manifest says."""
        schema = self.schema(state)
        changes = self.log(state.changes, names, schema)
        upserts, deleted = folded(changes, self._key)
        overruled = [table[self._key].combine_chunks() for table in upserts]
        overruled += [deleted] if deleted is not None and len(deleted) else []
        keys = pc.unique(pa.concat_arrays(overruled)) if overruled else None
        for file in state.files:
            for batch in self._of_file(file, names, schema):
                kept = batch if keys is None else without(batch, self._key, keys)
                if kept.num_rows or not batch.num_rows:
                    yield kept
        if upserts:
            yield from last_of_each(pa.concat_tables(upserts), self._key).to_batches(BATCH_ROWS)

    def log(
        self, changes: Iterable[Change], names: Sequence[str], schema: pa.Schema
    ) -> list[pa.Table | pa.Array]:
        """The content of change files: rows as tables, deleted keys as arrays."""
        log: list[pa.Table | pa.Array] = []
        for change in changes:
            file = self._folder.entry(change.file)
            columns = list(names) if change.kind == "rows" else [self._key]
            own = pa.schema([schema.field(name) for name in columns])
            table = pa.Table.from_batches(self._of_file(file, columns, schema), own)
            check_keys(table, self._key, f"table {file.shown}")
            log.append(table if change.kind == "rows" else table[self._key].combine_chunks())
        return log

    def _of_file(self, file: Entry, names: Sequence[str], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        expected = pa.schema([schema.field(name) for name in names])
        self._schemas.check(file, expected)
        opened, _ = open_file(self._storage, file)
        with reading(self._storage, f"table {file.shown}"):
            for batch in opened.batches(names, schema):
                arrays = [batch.column(name) for name in names]
                yield pa.RecordBatch.from_arrays(arrays, schema=expected)
