"""A folder with a manifest, and how it is written: changes are added, compacted, and what is old is removed.

Nothing that a manifest names is written to again; a writer that dies leaves files that no manifest names.
Writers of one machine (or of a shared disk that knows locks) wait for one another. In an object store, which
has no locks, a table has one writing process.
"""

from __future__ import annotations

import re
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from recserve.errors import DataError
from recserve.sources.manifest import MANIFEST, Change, Manifest, Retired, parse
from recserve.sources.storage import reading, writing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from recserve.sources.manifest import ChangeKind
    from recserve.sources.storage import Entry, Storage

_OURS = re.compile(r"(base|delta|deleted)-\d+\.parquet|\..*\.tmp")


@dataclass(frozen=True, slots=True)
class TableFolder:
    """A folder, maybe with a manifest."""

    storage: Storage
    path: str

    @property
    def shown(self) -> str:
        """The folder, for messages."""
        return self.storage.shown(self.path)

    def manifest(self) -> Manifest | None:
        """Read the manifest as it is now; None without one."""
        with reading(self.storage, f"table {self.shown}"):
            content = self.storage.content(self._file(MANIFEST))
        if content is None:
            return None
        where = f"table {self.shown}: {MANIFEST}"
        try:
            return parse(content.decode(), where)
        except UnicodeDecodeError:
            raise DataError(f"{where} is not UTF-8; write it again") from None

    def entry(self, name: str) -> Entry:
        """Look at a file that the manifest names."""
        with reading(self.storage, f"table {self.shown}"):
            found = self.storage.entry(self._file(name))
        if found is None:
            raise DataError(f"table {self.shown}: {name} is not there, and the manifest names it")
        return found

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be the only writer."""
        with writing(self.storage, f"table {self.shown}"), self.storage.writing_alone(self.path):
            yield

    def add(self, manifest: Manifest, rows: pa.Table, kind: ChangeKind) -> Manifest:
        """Write a file of rows or deleted keys, then the manifest that names it."""
        number = manifest.sequence + 1
        name = f"{'delta' if kind == 'rows' else 'deleted'}-{number:06d}.parquet"
        self._write(name, rows.to_batches(), rows.schema)
        newest = max((change.time for change in manifest.changes), default=0.0)
        change = Change(number, name, kind, rows.num_rows, max(time.time(), newest))
        return self._publish(replace(manifest, changes=(*manifest.changes, change)))

    def rebase(
        self,
        manifest: Manifest,
        batches: Iterable[pa.RecordBatch],
        schema: pa.Schema,
        *,
        sequence: int,
        kept: tuple[Change, ...],
    ) -> Manifest:
        """Write a new base, then the manifest with it and the changes that are kept."""
        base = f"base-{sequence:06d}.parquet"
        self._write(base, batches, schema)
        new = replace(manifest, base_sequence=sequence, base=(base,), changes=kept)
        gone = tuple(Retired(name, time.time()) for name in sorted(manifest.files - new.files))
        return self._publish(replace(new, retired=(*manifest.retired, *gone)))

    def remove_retired(self, manifest: Manifest, grace_seconds: float) -> Manifest:
        """Delete files that do not count any more for so long, and what dead writers left."""
        limit = time.time() - grace_seconds
        old = {retired.file for retired in manifest.retired if retired.time <= limit}
        left = tuple(retired for retired in manifest.retired if retired.file not in old)
        known = manifest.files | {retired.file for retired in left}
        for entry in self.storage.entries(self.path):
            abandoned = _OURS.fullmatch(entry.name) and entry.name not in known and entry.modified <= limit
            if entry.name in old - known or abandoned:
                self.storage.remove(entry.path)
        return self._publish(replace(manifest, retired=left)) if old else manifest

    def _write(self, name: str, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> None:
        with (
            writing(self.storage, f"table {self.shown}: {name}"),
            self.storage.replacing(self._file(name)) as file,
            pq.ParquetWriter(file, schema, compression="zstd") as writer,
        ):
            for batch in batches:
                writer.write_batch(batch)

    def _publish(self, manifest: Manifest) -> Manifest:
        with (
            writing(self.storage, f"table {self.shown}: {MANIFEST}"),
            self.storage.replacing(self._file(MANIFEST)) as file,
        ):
            file.write(manifest.text().encode())
        return manifest

    def _file(self, name: str) -> str:
        return f"{self.path.rstrip('/')}/{name}"


def begin(folder: TableFolder, key: str, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Manifest:
    """Write a table where none is, or a new one in the place of the old: whoever follows reads it anew."""
    with folder.alone():
        old = folder.manifest()
        if old is not None:
            return folder.rebase(replace(old, key=key), batches, schema, sequence=old.sequence + 1, kept=())
        new = Manifest(id=uuid.uuid4().hex[:8], key=key, base_sequence=0, base=())
        return folder.rebase(new, batches, schema, sequence=0, kept=())
