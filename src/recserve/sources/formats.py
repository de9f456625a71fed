"""The kinds of files that tables lie in: Parquet, Arrow IPC, CSV; known by suffix, else by their first bytes.

An open file gives batches of at most `BATCH_ROWS` rows, and holds little more. What a file says of itself
(`Facts`) is read once and kept by whoever reads it, as long as the file stays the same.

Figures, 1M rows x 20 columns, zstd Parquet of one row group, two cores that eight others used too
(`benchmarks/files.py`; on idle cores the rates were 4 to 7 M rows/s):

| how Parquet is read                                | M rows/s | CPU s | peak MiB |
|----------------------------------------------------|----------|-------|----------|
| batches of 32k, window of 256 KiB, one thread      | 1.3      | 0.32  | +116     |
| batches of 32k, window of 256 KiB, Arrow's threads | 2.1      | 0.41  | +117     |
| batches of 64k, window of 256 KiB, Arrow's threads | 1.5      | 0.30  | +139     |
| batches of 128k                                    | 1.8      | 0.29  | +205     |
| batches of 64k, window of 1 MiB                    | 1.7      | 0.29  | +179     |
| pre_buffer, so the whole file                      | 1.6      | 0.32  | +205     |
| `FileSource`, as the third line                    | 1.5      | 0.34  | +144     |

So it costs 0.3 s of CPU whatever one does, far less than finishing the rows; what differs is memory, so the
window stays small.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from recserve.errors import DataError
from recserve.sources.csv_table import CsvTable, infer
from recserve.sources.storage import reading

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from recserve.sources.storage import Entry, Storage

BATCH_ROWS = 1 << 13
_WINDOW_BYTES = 1 << 18
_END_MARK = b"\xff\xff\xff\xff\0\0\0\0"  # of the format since 2019


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a file without keeping its rows."""

    schema: pa.Schema  # of type null: a column without a single value, which may have any type
    rows: int | None  # None when nobody knows
    nulls: dict[str, int]  # of those columns that it is known of


class TableFile(Protocol):
    """A file that is open."""

    def facts(self) -> Facts:
        """Tell columns and, where it costs little, counts."""

    def batches(self, columns: Sequence[str], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """Stream the columns, in the order and with the types of `schema`."""


class ParquetTable:
    """Each column is read through a small window, or, from afar, row group by row group in few ranges."""

    def __init__(self, storage: Storage, entry: Entry) -> None:
        file = storage.open(entry, in_order=False)
        self._far, self._shown = storage.far, entry.shown
        self._file = pq.ParquetFile(
            file, pre_buffer=storage.far, buffer_size=0 if storage.far else _WINDOW_BYTES
        )

    def facts(self) -> Facts:
        """All from the footer; nulls of flat columns as far as the writer counted them."""
        metadata = self._file.metadata
        nulls: dict[str, int] = {}
        for index, name in _flat_columns(self._file):
            counts = [
                _null_count(metadata.row_group(g).column(index)) for g in range(metadata.num_row_groups)
            ]
            known = [count for count in counts if count is not None]
            if len(known) == len(counts):
                nulls[name] = sum(known)
        return Facts(self._file.schema_arrow, metadata.num_rows, nulls)

    def batches(self, columns: Sequence[str], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """Read row group by row group from afar, else the file in one go."""
        every, rows = range(self._file.num_row_groups), 0
        for groups in [[group] for group in every] if self._far else [list(every)]:
            for batch in self._file.iter_batches(BATCH_ROWS, row_groups=groups, columns=list(columns)):
                rows += batch.num_rows
                yield batch
        if rows != self._file.metadata.num_rows:  # Arrow takes a cut between row groups for the end
            raise DataError(
                f"table {self._shown} cannot be read to its end: {rows} of "
                f"{self._file.metadata.num_rows} rows are there; write it again"
            )


def _flat_columns(file: pq.ParquetFile) -> list[tuple[int, str]]:
    """Number and name of the columns that are not nested: the nulls of others are of their entries."""
    paths = [file.schema.column(index).path for index in range(len(file.schema))]
    return [(index, path) for index, path in enumerate(paths) if path in file.schema_arrow.names]


def _null_count(column: pq.ColumnChunkMetaData) -> int | None:
    statistics = column.statistics
    return statistics.null_count if statistics is not None and statistics.has_null_count else None


class IpcTable:
    """An Arrow IPC file, also known as Feather; of it one batch, as it was written, is in memory."""

    def __init__(self, storage: Storage, entry: Entry) -> None:
        self._file = storage.open(entry, in_order=False)
        self._reader = pa.ipc.open_file(self._file)

    def facts(self) -> Facts:
        """Rows are counted in the first column alone."""
        schema = self._reader.schema
        options = pa.ipc.IpcReadOptions(included_fields=[0] if schema.names else None)
        reader = pa.ipc.open_file(self._file, options=options)
        rows = sum(reader.get_batch(n).num_rows for n in range(reader.num_record_batches))
        return Facts(schema, rows, {})

    def batches(self, columns: Sequence[str], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """Slice the batches of the file."""
        fields = [self._reader.schema.get_field_index(name) for name in columns]
        reader = pa.ipc.open_file(self._file, options=pa.ipc.IpcReadOptions(included_fields=fields))
        for number in range(reader.num_record_batches):
            yield from _sliced(reader.get_batch(number).select(list(columns)))


class IpcStream:
    """An Arrow IPC stream: nobody knows its rows before its end, so the mark at its end must be there."""

    def __init__(self, storage: Storage, entry: Entry) -> None:
        with storage.open(entry, in_order=False) as file:
            file.seek(max(entry.size - len(_END_MARK), 0))
            if file.read(len(_END_MARK)) != _END_MARK:
                raise pa.ArrowInvalid("it has no mark at its end, so its writer did not finish")
        self._reader = pa.ipc.open_stream(storage.open(entry, in_order=True))

    def facts(self) -> Facts:
        """The schema stands at the beginning."""
        return Facts(self._reader.schema, None, {})

    def batches(self, columns: Sequence[str], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """Slice the batches of the stream."""
        for batch in self._reader:
            yield from _sliced(batch.select(list(columns)))


class CsvFile:
    """A CSV file; `csv_table.py` says how its types are told."""

    def __init__(self, storage: Storage, entry: Entry) -> None:
        self._table = CsvTable(
            lambda: storage.open(entry, in_order=True), entry.shown, entry.name.endswith(".gz")
        )

    def facts(self) -> Facts:
        """Types are told by all rows, which are counted by the way."""
        return Facts(*infer(self._table))

    def batches(self, columns: Sequence[str], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """Convert the columns as `schema` says."""
        for batch in self._table.batches(columns, schema):
            yield from _sliced(batch)


def _sliced(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    for start in range(0, batch.num_rows, BATCH_ROWS):
        yield batch.slice(start, BATCH_ROWS)


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of file."""

    name: str
    suffixes: tuple[str, ...]
    table: type[ParquetTable] | type[IpcTable] | type[IpcStream] | type[CsvFile]
    first_bytes: bytes = b""
    infers: bool = False  # files tell no types: those of all files of a table are told together


FORMATS = [
    Format("Parquet", (".parquet", ".pq"), ParquetTable, b"PAR1"),
    Format("Arrow IPC", (".arrow", ".ipc", ".feather"), IpcTable, b"ARROW1"),
    Format("Arrow IPC stream", (".arrows",), IpcStream, b"\xff\xff\xff\xff"),
    Format("CSV", (".csv", ".csv.gz"), CsvFile, infers=True),
]
"""What files are told by: their suffix; without a known one, and among the Arrow kinds, their first bytes."""


def known_suffixes() -> str:
    """What names of files end with."""
    return ", ".join(f"*{suffix}" for f in FORMATS for suffix in f.suffixes)


def by_suffix(name: str) -> Format | None:
    """The format that a file name promises."""
    return next((f for f in FORMATS if name.endswith(f.suffixes)), None)


def open_file(storage: Storage, entry: Entry) -> tuple[TableFile, Format]:
    """Open a file as what it is. Raises DataError when it is no table, SourceError when it is away."""
    promised = by_suffix(entry.name)
    with reading(storage, f"table {entry.shown}", "cannot be opened"):
        found = promised if promised and "Arrow" not in promised.name else _by_content(storage, entry)
    chosen = found or promised
    if chosen is None:
        raise DataError(
            f"table {entry.shown} is neither Parquet nor Arrow IPC; files are known by {known_suffixes()}"
        )
    doing = f"is not {'an' if chosen.name[0] == 'A' else 'a'} {chosen.name} file that can be read"
    with reading(storage, f"table {entry.shown}", doing):
        return chosen.table(storage, entry), chosen


def _by_content(storage: Storage, entry: Entry) -> Format | None:
    with storage.open(entry, in_order=True) as file:
        start = file.read(8)
    return next((f for f in FORMATS if f.first_bytes and start.startswith(f.first_bytes)), None)
