"""Rows from Parquet: one file, or all the files of a directory in the order of their names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from recserve.errors import DataError
from recserve.sources.moment import NoMoment
from recserve.sources.table import check_keys, require_key, wanted_columns

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from recserve.source import Ability, Moment, TableSpec

_BATCH_ROWS = 1 << 15
_WINDOW_BYTES = 1 << 18


class FileSource:
    """A Parquet file, or a directory of them (`*.parquet`) that all have the same columns.

    Files of a directory follow one another by name; names that start with "." or "_" are left out, as
    writers use them for what is not finished or not data.
    """

    abilities: frozenset[Ability] = frozenset()

    def __init__(self, path: str | Path, key: str) -> None:
        self.path = Path(path)
        self.key = key
        self.name = self.path.name
        self.origin = str(self.path)

    @classmethod
    def open(cls, spec: TableSpec) -> FileSource:
        """Open the file or directory that a service file names."""
        return cls(spec.base_dir / spec.name.removeprefix("file://"), spec.key)

    def moment(self) -> NoMoment:
        """Files have no moments: they are read as they are."""
        return NoMoment(self.origin)

    def close(self) -> None:
        """Nothing is held."""

    def schema(self) -> pa.Schema:
        """Read the columns of the first file and check that the others have them too."""
        first, *others = self._files()
        schema = _open(first).schema_arrow
        require_key(schema, self.key, f"item table {first}")
        for file in others:
            _check_schema(file, _open(file).schema_arrow, first, schema)
        return schema

    def rows(self) -> int:
        """Add up the row counts that the files state; no row is read."""
        return sum(_open(file).metadata.num_rows for file in self._files())

    def snapshot(
        self, columns: Collection[str] | None = None, *, at: Moment | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Stream the files, only the columns asked for; no row group is in memory as a whole."""
        wanted = wanted_columns(self.schema(), self.key, columns)
        for file in self._files():
            try:
                for batch in _open(file).iter_batches(batch_size=_BATCH_ROWS, columns=wanted):
                    check_keys(batch, self.key, f"item table {file}")
                    yield batch
            except (pa.ArrowException, OSError) as error:
                raise DataError(
                    f"item table {file} cannot be read to its end: {error}; write it again"
                ) from error

    def _files(self) -> list[Path]:
        if not self.path.exists():
            raise DataError(f"item table {self.path} does not exist; paths are relative to the service file")
        if not self.path.is_dir():
            return [self.path]
        files = sorted(file for file in self.path.glob("*.parquet") if file.name[0] not in "._")
        if not files:
            raise DataError(f"item table {self.path} is a directory without *.parquet files")
        return files


def _open(file: Path) -> pq.ParquetFile:
    try:
        # Read each column through a small window: `pre_buffer` would hold the whole file at once.
        return pq.ParquetFile(file, pre_buffer=False, buffer_size=_WINDOW_BYTES)
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"item table {file} is not a Parquet file that can be read; write it again: {error}"
        ) from error


def _check_schema(file: Path, schema: pa.Schema, first: Path, expected: pa.Schema) -> None:
    for field in expected:
        if field.name not in schema.names:
            raise DataError(f"item table {file} has no column '{field.name}', which {first.name} has")
        if schema.field(field.name).type != field.type:
            raise DataError(
                f"item table {file}: column '{field.name}' is {schema.field(field.name).type}, "
                f"in {first.name} it is {field.type}; write them with one schema"
            )
