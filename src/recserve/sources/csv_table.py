"""CSV: commas, a header, UTF-8; an empty cell is null, a quoted empty one ("") is the empty text.

Ours: types are told by all rows of a file, and of all files of a directory, in a pass of its own over texts.

| the cells of a column                                            | type   |
|------------------------------------------------------------------|--------|
| whole numbers as Python prints them, all of at most 64 bits      | int64  |
| decimal numbers, NaN, inf, and whole numbers among them          | double |
| anything else: "007", "+1", "true", whole numbers of 20 digits   | string |
| no cell at all                                                   | string |

So an id like 007 stays what it is. Who wants other types writes Parquet.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from recserve.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_BLOCK_BYTES = 8 << 20  # also the longest row
_INTEGER = r"^(0|-?[1-9][0-9]*)$"
_NUMBER = r"^(-?(0|[1-9][0-9]*)(\.[0-9]*)?([eE][-+]?[0-9]+)?|-?\.[0-9]+|[nN]a[nN]|-?inf)$"


class CsvTable:
    """A CSV file that can be opened again and again."""

    def __init__(self, open_file: Callable[[], pa.NativeFile], shown: str, zipped: bool) -> None:
        self._open_file, self._shown, self._zipped = open_file, shown, zipped
        self.names = self._header()

    def batches(
        self, columns: Sequence[str], schema: pa.Schema, *, texts: bool = True
    ) -> Iterator[pa.RecordBatch]:
        """Stream columns with the types of `schema`; a cell that does not fit is named with its row."""
        broken: list[Any] = []

        def note(row: Any) -> str:
            broken.append(row)
            return "error"

        row = 1  # the header
        with self._open() as file:
            try:
                reader = pa.csv.open_csv(
                    file,
                    read_options=pa.csv.ReadOptions(block_size=_BLOCK_BYTES, use_threads=False),
                    parse_options=pa.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=note),
                    convert_options=pa.csv.ConvertOptions(
                        column_types={name: schema.field(name).type for name in self.names},
                        include_columns=list(columns),
                        null_values=[""],
                        strings_can_be_null=True,
                        quoted_strings_can_be_null=False,
                    ),
                )
                for batch in reader:
                    row += batch.num_rows
                    yield batch
            except pa.ArrowInvalid as error:
                if broken:
                    bad = broken[0]
                    raise DataError(
                        f"table {self._shown}, row {bad.number or 'unknown'}: {bad.actual_columns} cells "
                        f"instead of {bad.expected_columns}; quote texts with commas"
                    ) from None
                if texts:
                    self._blame(columns, schema)
                raise DataError(f"table {self._shown}, after row {row}: {error}; write it again") from error

    def _header(self) -> list[str]:
        with self._open() as file, io.TextIOWrapper(file, "utf-8-sig", "surrogateescape", newline="") as text:
            try:  # what is decoded goes far beyond the header
                names = next(csv.reader(text), None)
                "".join(names or ()).encode()
            except (UnicodeEncodeError, csv.Error) as error:
                raise DataError(f"table {self._shown}, row 1: the header is no UTF-8 text: {error}") from None
        if not names:
            raise DataError(f"table {self._shown} is empty; a CSV file has a header")
        return names

    def _open(self) -> pa.NativeFile:
        file = self._open_file()
        return pa.CompressedInputStream(file, "gzip") if self._zipped else file

    def _blame(self, columns: Sequence[str], schema: pa.Schema) -> None:
        """Find the cell that does not fit, by reading bytes; a second pass, for files that are wrong."""
        as_bytes = pa.schema([(name, pa.binary()) for name in self.names])
        row = 1
        for batch in self.batches(columns, as_bytes, texts=False):
            for name in columns:
                bad = _first_bad(batch.column(name), schema.field(name).type)
                if bad is not None:
                    cell = batch.column(name)[bad].as_py()[:40]
                    raise DataError(
                        f"table {self._shown}, row {row + bad + 1}, column '{name}': {cell!r} is not "
                        f"{schema.field(name).type}"
                        + (" in UTF-8" if schema.field(name).type == pa.string() else "")
                    )
            row += batch.num_rows


def _first_bad(cells: pa.Array, wanted: pa.DataType) -> int | None:
    try:
        cells.cast(pa.string()).cast(wanted)
    except pa.ArrowInvalid:
        low, high = 0, len(cells)  # cells[:low] fit, cells[:high] do not
        while high - low > 1:
            middle = (low + high) // 2
            try:
                cells.slice(low, middle - low).cast(pa.string()).cast(wanted)
                low = middle
            except pa.ArrowInvalid:
                high = middle
        return low
    return None


def infer(table: CsvTable) -> tuple[pa.Schema, int, dict[str, int]]:
    """Tell types, count rows and nulls; a column without cells has the type null."""
    if len(set(table.names)) < len(table.names):
        return pa.schema([(name, pa.null()) for name in table.names]), 0, {}
    types = dict.fromkeys(table.names, pa.null())
    nulls = dict.fromkeys(table.names, 0)
    rows = 0
    for batch in table.batches(table.names, pa.schema([(name, pa.string()) for name in table.names])):
        rows += batch.num_rows
        for name in table.names:
            cells = batch.column(name)
            nulls[name] += cells.null_count
            types[name] = wider(types[name], _type_of(cells, types[name]))
    return pa.schema(list(types.items())), rows, nulls


def wider(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    """The type that takes the cells of both."""
    if other == pa.null() or one == other:
        return one
    if one == pa.null():
        return other
    return pa.float64() if {one, other} == {pa.int64(), pa.float64()} else pa.string()


def _type_of(cells: pa.Array, known: pa.DataType) -> pa.DataType:
    if known == pa.string() or cells.null_count == len(cells):
        return known
    if _all(cells, _INTEGER):
        try:
            cells.cast(pa.int64())
        except pa.ArrowInvalid:
            return pa.string()
        return pa.int64()
    return pa.float64() if _all(cells, _NUMBER) else pa.string()


def _all(cells: pa.Array, pattern: str) -> bool:
    return pc.all(pc.match_substring_regex(cells, pattern)).as_py() is not False
