"""Which columns are read, and how what a driver hands over becomes batches of the schema's types."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from recserve.errors import DataError
from recserve.sources.postgres_types import TableColumn, nested, width_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from typing import Any

_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}")
_KEY_ARRAYS = {"uuid": "uuid[]", "bpchar": "bpchar[]", "citext": "citext[]"} | dict.fromkeys(
    ("int2", "int4", "int8", "oid"), "int8[]"
)


@dataclass(frozen=True, slots=True)
class Selection:
    """The key and the columns that are asked for, in the table's order."""

    columns: tuple[TableColumn, ...]
    schema: pa.Schema

    @classmethod
    def of(
        cls, columns: Sequence[TableColumn], key: str, wanted: Collection[str] | None, where: str
    ) -> Selection:
        """Choose. Raises DataError for a type that nobody reads, where the column is asked for by name."""
        chosen = []
        for column in columns:
            if wanted is None and column.arrow is None:
                continue
            if wanted is None or column.name == key or column.name in wanted:
                if column.arrow is None:
                    raise column.refused(where)
                chosen.append(column)
        return cls(tuple(chosen), pa.schema([column.field for column in chosen]))

    @property
    def expressions(self) -> list[str]:
        """What stands behind SELECT."""
        return [column.expression for column in self.columns]

    @property
    def streamed(self) -> list[str]:
        """The same for `arranged`: with the widths of arrays of arrays behind them."""
        return self.expressions + [width_of(column) for column in self.columns if column.dimensions == 2]

    def arranged(self, batch: pa.RecordBatch, where: str) -> pa.RecordBatch:
        """A streamed batch in the schema's types."""
        widths = iter(batch.columns[len(self.columns) :])
        arrays = [
            nested(array, next(widths)) if column.dimensions == 2 else array
            for column, array in zip(self.columns, batch.columns, strict=False)
        ]
        fitted = [
            array if array.type == field.type else _fitted(array, field, where)
            for array, field in zip(arrays, self.schema, strict=True)
        ]
        return pa.RecordBatch.from_arrays(fitted, schema=self.schema)

    def batches(self, rows: Sequence[tuple[Any, ...]], where: str) -> list[pa.RecordBatch]:
        """Rows of Python values, maybe with more behind those of the selection, as one batch or none."""
        if not rows:
            return []
        arrays = []
        for number, (column, field) in enumerate(zip(self.columns, self.schema, strict=True)):
            values = [row[number] for row in rows]
            if column.dimensions == 2:
                values = [_two_deep(value) for value in values]
            try:
                arrays.append(pa.array(values, field.type))
            except (pa.ArrowException, OverflowError) as error:
                raise DataError(
                    f"{where}: column '{column.name}' ({column.shown_type}) has a value that is no "
                    f"{field.type}: {error}"
                ) from error
        return [pa.RecordBatch.from_arrays(arrays, schema=self.schema)]


def _two_deep(value: Any) -> Any:
    """An array of one dimension in a column of two is an array of one array."""
    return [value] if value and not isinstance(value[0], list) else value


def _fitted(array: pa.Array, field: pa.Field, where: str) -> pa.Array:
    try:
        return array.cast(field.type)
    except pa.ArrowException as error:
        raise DataError(
            f"{where}: column '{field.name}' came as {array.type}, not as {field.type}: {error}"
        ) from error


def as_keys(keys: pa.Array, arrow: pa.DataType) -> pa.Array:
    """Keys in the table's type. A text that is no integer, as integers are written, is no key: null."""
    if pa.types.is_integer(arrow) and not pa.types.is_integer(keys.type):
        texts = keys.cast(pa.string()).to_pylist()
        bound = 1 << (arrow.bit_width - 1)
        numbers = [int(text) if text and _INTEGER.fullmatch(text) else None for text in texts]
        keys = pa.array([n if n is not None and -bound <= n < bound else None for n in numbers], arrow)
    return keys.cast(arrow)


def key_values(keys: pa.Array, column: TableColumn) -> tuple[list[Any], str]:
    """The keys as a parameter, and its type; what cannot be in the table is left out."""
    values = [value for value in keys.to_pylist() if value is not None]
    if column.type_name == "uuid":
        values = [value for value in values if _is_uuid(value)]
    return values, _KEY_ARRAYS.get(column.type_name, "text[]")


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
