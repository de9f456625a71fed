"""Tables in files, batch by batch: what `recserve features run` reads and writes.

The suffix says what a file is. Parquet: also a directory of `*.parquet`, in the order of their names (those
that begin with "." or "_" are left out, as writers use them for what is not data).
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from recserve.errors import DataError
from recserve.features.offline.generate import Part

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path
    from types import TracebackType

_BATCH_ROWS = 1 << 13
_GROUP_ROWS = 1 << 15
_WINDOW_BYTES = 1 << 18


class TableFiles:
    """One file, or a directory of Parquet files that all have the same columns."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files = [format_of(file, "read")(file) for file in _files_of(path)]
        self.schema: pa.Schema = self._files[0].schema
        for file in self._files[1:]:
            if not file.schema.equals(self.schema):
                raise DataError(
                    f"{file.path} has the columns {_shown(file.schema)}, {self._files[0].path} has "
                    f"{_shown(self.schema)}; write them with one schema"
                )

    def rows(self) -> int | None:
        """Add up the rows that the files state; None where one does not say."""
        counts = [file.rows() for file in self._files]
        return None if None in counts else sum(count or 0 for count in counts)

    def parts(self, columns: Collection[str], batch_rows: int = _BATCH_ROWS) -> Iterator[Part]:
        """Read the named columns, those that there are, at least one part; no file is in memory whole."""
        # A file of which nothing is read still has to say how many rows it has.
        names = [name for name in self.schema.names if name in columns] or self.schema.names[:1]
        empty = True
        for file in self._files:
            first = 0
            try:
                for rows in file.batches(names, batch_rows):
                    yield Part(rows, first, str(file.path))
                    first += rows.num_rows
                    empty = False
            except (pa.ArrowException, OSError) as error:
                raise DataError(f"{file.path} cannot be read to its end: {error}; write it again") from error
        if empty:
            fields = [self.schema.field(name) for name in names]
            yield Part(pa.RecordBatch.from_pylist([], schema=pa.schema(fields)), 0, str(self.path))


def _files_of(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.glob("*.parquet") if file.name[0] not in "._")
    if not files:
        raise DataError(f"{path} is a directory without *.parquet files")
    return files


def _shown(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema)


class TableWriter:
    """Writes batches into one file, which has its name once it is complete.

    Rows are put together to groups of one size, so the file's bytes do not tell how they came in.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._path = path
        self._schema = schema
        self._unfinished = path.with_name(f".{path.name}.part")
        self._waiting: list[pa.RecordBatch] = []
        self._rows = 0
        try:
            self._file = format_of(path, "written").writer(self._unfinished, schema)
        except OSError as error:
            raise DataError(f"{path} cannot be written: {error}") from error

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows."""
        self._waiting.append(batch)
        self._rows += batch.num_rows
        while self._rows >= _GROUP_ROWS:
            self._flush(_GROUP_ROWS)

    def _flush(self, rows: int) -> None:
        table = pa.Table.from_batches(self._waiting, self._schema)
        group, rest = table.slice(0, rows), table.slice(rows)
        self._waiting, self._rows = rest.to_batches(), rest.num_rows
        self._file.write_table(group.combine_chunks())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and self._rows:
                self._flush(self._rows)
            self._file.close()
            if kind is None:
                self._unfinished.replace(self._path)
        finally:
            self._unfinished.unlink(missing_ok=True)


class _Format(Protocol):
    """One kind of file, open for reading; `writer` opens one for writing."""

    path: Path
    schema: pa.Schema

    def __init__(self, path: Path) -> None: ...
    def rows(self) -> int | None: ...
    def batches(self, names: list[str], batch_rows: int) -> Iterator[pa.RecordBatch]: ...
    @staticmethod
    def writer(path: Path, schema: pa.Schema) -> _Writer: ...


class _Writer(Protocol):
    def write_table(self, table: pa.Table) -> None: ...
    def close(self) -> None: ...


def format_of(path: Path, verb: str) -> type[_Format]:
    """Tell by the suffix what a file is, or DataError: it cannot be `verb` (read, written)."""
    if path.suffix not in _FORMATS:
        raise DataError(f"{path} cannot be {verb}: known are {', '.join(_FORMATS)}; name it so")
    return _FORMATS[path.suffix]


class _Parquet:
    def __init__(self, path: Path) -> None:
        self.path = path
        # Read each column through a small window: `pre_buffer` would hold the whole file at once.
        with _opening(path):
            self._file = pq.ParquetFile(path, pre_buffer=False, buffer_size=_WINDOW_BYTES)
        self.schema = self._file.schema_arrow

    def rows(self) -> int | None:
        return int(self._file.metadata.num_rows)

    def batches(self, names: list[str], batch_rows: int) -> Iterator[pa.RecordBatch]:
        yield from self._file.iter_batches(batch_size=batch_rows, columns=names)

    @staticmethod
    def writer(path: Path, schema: pa.Schema) -> _Writer:
        writer: _Writer = pq.ParquetWriter(path, schema)
        return writer


class _Ipc:
    """Arrow's own file format (Feather is another name for it)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with _opening(path):
            self.schema = pa.ipc.open_file(str(path)).schema

    def rows(self) -> int | None:
        return None

    def batches(self, names: list[str], batch_rows: int) -> Iterator[pa.RecordBatch]:
        options = pa.ipc.IpcReadOptions(included_fields=[self.schema.get_field_index(name) for name in names])
        with pa.OSFile(str(self.path)) as file, pa.ipc.open_file(file, options=options) as reader:
            for number in range(reader.num_record_batches):
                batch = reader.get_batch(number)
                for start in range(0, batch.num_rows, batch_rows):
                    yield batch.slice(start, batch_rows)

    @staticmethod
    def writer(path: Path, schema: pa.Schema) -> _Writer:
        writer: _Writer = pa.ipc.new_file(str(path), schema)
        return writer


class _Csv:
    """Comma-separated text with a line of names. Every column is text: features read numbers out of it, and
    a type guessed from the first lines would turn "007" into 7.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with _opening(path):
            names = pcsv.open_csv(path).schema.names
        self.schema = pa.schema([(name, pa.string()) for name in names])

    def rows(self) -> int | None:
        return None

    def batches(self, names: list[str], batch_rows: int) -> Iterator[pa.RecordBatch]:
        options = pcsv.ConvertOptions(
            column_types=self.schema, include_columns=names, strings_can_be_null=False
        )
        parse = pcsv.ParseOptions(newlines_in_values=True)
        for batch in pcsv.open_csv(self.path, parse_options=parse, convert_options=options):
            for start in range(0, batch.num_rows, batch_rows):
                yield batch.slice(start, batch_rows)

    @staticmethod
    def writer(path: Path, schema: pa.Schema) -> _Writer:
        return _CsvWriter(path, schema)


class _CsvWriter:
    """Lists become the text that features read: values parted by \\x1d, lists of them by `;`."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._schema = pa.schema([(field.name, _csv_type(field)) for field in schema])
        self._writer = pcsv.CSVWriter(path, self._schema)

    def write_table(self, table: pa.Table) -> None:
        columns = [_csv_text(column.combine_chunks()) for column in table.columns]
        self._writer.write_table(pa.table(columns, schema=self._schema))

    def close(self) -> None:
        self._writer.close()


def _csv_type(field: pa.Field) -> pa.DataType:
    types = pa.types
    if types.is_map(field.type) or types.is_struct(field.type):
        raise DataError(f"column '{field.name}' ({field.type}) has no place in a CSV file; write Parquet")
    return pa.string() if types.is_nested(field.type) else field.type


def _csv_text(array: pa.Array) -> pa.Array:
    types = pa.types
    if not types.is_nested(array.type):
        return array
    outer, entries = pa.list_(pa.string()), array.type.value_type
    if types.is_nested(entries):
        lists = array.cast(pa.list_(pa.list_(entries.value_type)))
        inner = _csv_text(lists.values)
        return pc.binary_join(pa.ListArray.from_arrays(lists.offsets, inner), ";")
    return pc.binary_join(array.cast(outer), "\x1d")


@contextmanager
def _opening(path: Path) -> Iterator[None]:
    """Say which file cannot be opened, and why."""
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist") from error
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} is not a {path.suffix} file that can be read: {error}") from error


_FORMATS: dict[str, type[_Format]] = {
    ".parquet": _Parquet,
    ".arrow": _Ipc,
    ".feather": _Ipc,
    ".csv": _Csv,
}
