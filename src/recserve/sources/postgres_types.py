"""Types of PostgreSQL as Arrow's, and back.

| PostgreSQL                             | Arrow                        |
|----------------------------------------|------------------------------|
| smallint, integer, bigint, oid         | int16, int32, int64, int64   |
| real, double precision                 | float32, float64             |
| numeric                                | float64: the nearest one     |
| boolean                                | bool                         |
| text, varchar, char(n), name, citext   | string; char(n) is not padded|
| uuid, json, jsonb, enums               | string: their text           |
| bytea                                  | binary                       |
| timestamp, timestamptz                 | timestamp("us"), with "UTC"  |
| date                                   | date32                       |
| x[] of the above but the last three    | list<x>                      |
| x[][]                                  | list<list<x>>                |
| a domain                               | what it is over              |

Every other type is read by nobody: a column that features read and that has one is an error that says so.
How many dimensions an array has is what its column was declared with; views and CREATE TABLE AS forget it, so
there arrays of arrays are read flat.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from recserve.errors import DataError
from recserve.sources.sql import quoted

#: typname → Arrow type, and what the column is cast to before it is read.
_SCALARS: dict[str, tuple[pa.DataType, str]] = {
    "int2": (pa.int16(), ""),
    "int4": (pa.int32(), ""),
    "int8": (pa.int64(), ""),
    "oid": (pa.int64(), "int8"),
    "float4": (pa.float32(), ""),
    "float8": (pa.float64(), ""),
    "numeric": (pa.float64(), "float8"),
    "bool": (pa.bool_(), ""),
    "text": (pa.string(), ""),
    "varchar": (pa.string(), ""),
    "bytea": (pa.binary(), ""),
    "timestamp": (pa.timestamp("us"), ""),
    "timestamptz": (pa.timestamp("us", "UTC"), ""),
    "date": (pa.date32(), ""),
} | dict.fromkeys(
    ("bpchar", "name", "char", "citext", "uuid", "json", "jsonb", "an enum"), (pa.string(), "text")
)
_NO_ELEMENTS = {"bytea", "timestamp", "timestamptz", "date"}

_KEYS = {"int2", "int4", "int8", "oid", "text", "varchar", "bpchar", "name", "citext", "uuid", "an enum"}

#: typname → what a cursor's text is cast to, and how far behind it rows are read again.
TIMEKEYS = {
    "timestamptz": ("timestamptz", "make_interval(secs => $2)"),
    "timestamp": ("timestamp", "make_interval(secs => $2)"),
    "date": ("date", "greatest(1, ceil($2 / 86400))::int"),
    **dict.fromkeys(("int2", "int4", "int8"), ("int8", "1")),
}

#: Arrow type → what a new table's column is declared as.
_DECLARED: dict[pa.DataType, str] = {
    pa.int8(): "smallint",
    pa.uint8(): "smallint",
    pa.int16(): "smallint",
    pa.uint16(): "integer",
    pa.int32(): "integer",
    pa.uint32(): "bigint",
    pa.int64(): "bigint",
    pa.uint64(): "bigint",
    pa.float16(): "real",
    pa.float32(): "real",
    pa.float64(): "double precision",
    pa.bool_(): "boolean",
    pa.string(): "text",
    pa.large_string(): "text",
    pa.binary(): "bytea",
    pa.large_binary(): "bytea",
    pa.date32(): "date",
}


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column of a table as it is read."""

    name: str
    shown_type: str  # as PostgreSQL writes it: numeric(10,2)
    type_name: str  # of the domain's base, "an enum", of arrays that of the elements
    dimensions: int  # 0: no array
    unique: bool = False  # no two rows have one value
    indexed: bool = False  # rows can be found, and ordered, by it
    not_null: bool = False
    generated: bool = False

    @property
    def arrow(self) -> pa.DataType | None:
        """The type it is read as; None: it is read by nobody."""
        if self.type_name not in _SCALARS or self.dimensions > 2:
            return None
        if self.dimensions and self.type_name in _NO_ELEMENTS:
            return None
        arrow = _SCALARS[self.type_name][0]
        for _ in range(self.dimensions):
            arrow = pa.list_(arrow)
        return arrow

    @property
    def field(self) -> pa.Field:
        """Name and type; a type that cannot be read is opaque, and known by its name."""
        if self.arrow is None:
            return pa.field(self.name, pa.opaque(pa.null(), self.shown_type, "PostgreSQL"))
        return pa.field(self.name, self.arrow)

    @property
    def expression(self) -> str:
        """What is selected."""
        cast = _SCALARS[self.type_name][1]
        if not cast:
            return quoted(self.name)
        return f"{quoted(self.name)}::{cast}{'[]' if self.dimensions else ''} AS {quoted(self.name)}"

    @property
    def may_be_key(self) -> bool:
        """Texts and integers may."""
        return self.dimensions == 0 and self.type_name in _KEYS

    def refused(self, where: str) -> DataError:
        """The error for a column that is needed and cannot be read."""
        return DataError(
            f"{where}: column '{self.name}' is of type {self.shown_type}, which is not read; "
            "make a view that casts it to text, numbers or arrays of them"
        )


def width_of(column: TableColumn) -> str:
    """What is selected beside an array of arrays: drivers hand its values over in one flat list."""
    return f"array_length({quoted(column.name)}, 2)"


def nested(values: pa.ListArray, widths: pa.Array) -> pa.ListArray:
    """Flat lists as lists of lists; `widths` are those of the inner lists, null: all in one."""
    lengths = values.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    widths = widths.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    widths = np.where(widths == 0, lengths, widths)
    counts = np.divide(
        lengths, widths, out=np.zeros(len(lengths), np.int64), where=widths > 0, casting="unsafe"
    )
    inner = pa.ListArray.from_arrays(_ends(np.repeat(widths, counts)), values.flatten())
    missing = values.is_null() if values.null_count else None
    return pa.ListArray.from_arrays(_ends(counts), inner, mask=missing)


def _ends(lengths: np.typing.NDArray[np.int64]) -> pa.Array:
    return pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())


def declared(field: pa.Field, where: str) -> str:
    """What a new table's column of this Arrow type is declared as."""
    arrow, brackets = field.type, ""
    if pa.types.is_dictionary(arrow):
        arrow = arrow.value_type
    while pa.types.is_list(arrow) or pa.types.is_large_list(arrow) or pa.types.is_fixed_size_list(arrow):
        arrow, brackets = arrow.value_type, brackets + "[]"
    if pa.types.is_timestamp(arrow) and not brackets:
        return "timestamp" if arrow.tz is None else "timestamptz"
    if arrow not in _DECLARED or len(brackets) > 4:
        raise DataError(
            f"{where}: column '{field.name}' is {field.type}, which PostgreSQL has no type for; "
            "write text, numbers or lists of them"
        )
    return _DECLARED[arrow] + brackets
