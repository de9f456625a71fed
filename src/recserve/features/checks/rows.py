"""Rows of a training table, for looking at: of a Parquet file batch by batch, or one of a JSON file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from recserve.config.document import read_json
from recserve.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

_BATCH_ROWS = 1 << 14
_WINDOW_BYTES = 1 << 18


class RowReader:
    """A Parquet file; only a batch of it is in memory at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            # Read each column through a small window: `pre_buffer` would hold the whole file at once.
            self._file = pq.ParquetFile(path, pre_buffer=False, buffer_size=_WINDOW_BYTES)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{path} is not a Parquet file that can be read: {error}") from error

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns."""
        return self._file.schema_arrow

    @property
    def rows(self) -> int:
        """How many there are."""
        return int(self._file.metadata.num_rows)

    def batches(
        self, most: int | None = None, columns: Collection[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """The first `most` rows, all if None; of `columns` those that there are."""
        left = self.rows if most is None else most
        names = None if columns is None else [name for name in self.schema.names if name in columns]
        try:
            for batch in self._file.iter_batches(batch_size=_BATCH_ROWS, columns=names):
                if left <= 0:
                    return
                yield batch.slice(0, left)
                left -= batch.num_rows
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{self._path} cannot be read to its end: {error}") from error

    def row(self, number: int) -> pa.RecordBatch:
        """One row, counted from 0."""
        if not 0 <= number < self.rows:
            raise DataError(f"{self._path} has rows 0 to {self.rows - 1}, not {number}")
        for batch in self.batches():
            if number < batch.num_rows:
                return batch.slice(number, 1)
            number -= batch.num_rows
        raise AssertionError("the file says that it has the row")


def read_row(path: Path, number: int = 0) -> pa.RecordBatch:
    """One row: of a Parquet file the one of that number, from 0; of a JSON file all of it.

    JSON is an object of columns, {"age": 30, "tags": ["a"]}, or such objects by side, {"user": {…}, "item":
    {…}}. A number is int64 or float64, an object a map, null a missing text.
    """
    if path.suffix != ".json":
        return RowReader(path).row(number)
    columns = read_json(path)
    if columns and columns.keys() <= _SIDES and all(isinstance(side, dict) for side in columns.values()):
        columns = {name: value for side in columns.values() for name, value in side.items()}
    return pa.RecordBatch.from_pydict({name: _cell(name, value) for name, value in columns.items()})


_SIDES = {"user", "item", "context"}


def _cell(name: str, value: Any) -> pa.Array:
    try:
        if isinstance(value, dict):
            kind = pa.array(list(value.values())).type if value else pa.string()
            return pa.array([list(value.items())], pa.map_(pa.string(), kind))
        if value is None or value == []:
            return pa.array([None], pa.string())
        return pa.array([value])
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise DataError(f"column '{name}' is {value!r:.60}, which is no cell: {error}") from error
