"""Several tables as one row per id: which columns the store has, and which table's cell counts.

    table 0:  id  price  brand          store:  price  brand   brand#0  brand#1  color   #0   #1
    table 1:  id  brand  color                                 (a column that two tables have is kept
                                                                for each, beside the one that counts)

`#0` is the hash of table 0's part of a row, and there exactly when table 0 has the id. So the store can say,
without asking anybody, what a row looks like when one table changes its part or loses it. A single table
needs no copies.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from recserve.errors import DataError
from recserve.items.store import KeyType, column_types, key_type

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from recserve.items.part_rows import PartRows
    from recserve.source import Source

#: Arrays by column, all of the same rows.
Cells = dict[str, pa.Array]


@dataclass(frozen=True, slots=True)
class KeptTable:
    """A table that the item store follows, and the columns to take of it."""

    source: Source
    columns: frozenset[str]
    static: bool = False  # loaded once, never read again
    order: str = ""  # the timekey: of rows with one key in a snapshot, the greatest counts
    condition: str = ""  # which rows the source gives, to tell whether an image still fits


@dataclass(frozen=True, slots=True)
class Part:
    """What one table says of a row."""

    number: int
    name: str  # for messages and metrics; no two are equal
    key: str  # the table's key column
    types: Mapping[str, str]  # column → type
    stored: Mapping[str, str]  # column → raw column of the store that has this table's own cell
    static: bool = False
    order: str = ""

    @property
    def hash_column(self) -> str:
        """The raw column with the hash of the part: there when the table has the id."""
        return f"#{self.number}"

    @property
    def columns(self) -> frozenset[str]:
        """What to ask the source for in a snapshot; changes come in their order."""
        return frozenset(self.types) | ({self.order} if self.order else frozenset())


@dataclass(frozen=True, slots=True)
class Layout:
    """The raw columns of a store over tables. Later tables win, cell by cell."""

    key: KeyType
    parts: tuple[Part, ...]
    shared: Mapping[str, tuple[int, ...]] = field(default_factory=dict)  # column → the parts that have it
    null_overwrites: bool = True

    @property
    def single(self) -> bool:
        """Whether a row is all of one table."""
        return len(self.parts) <= 1

    @property
    def columns(self) -> dict[str, str]:
        """The columns that features read, and their types."""
        return {name: kind for part in self.parts for name, kind in part.types.items()}

    @property
    def raw(self) -> dict[str, str]:
        """All raw columns of the store, the hidden ones too."""
        hidden = {part.hash_column: "int64" for part in self.parts}
        own = {part.stored[name]: kind for part in self.parts for name, kind in part.types.items()}
        return {**self.columns, **own, **hidden}

    def last_part_with(self, column: str) -> Part:
        """The table whose cell counts most."""
        return next(part for part in reversed(self.parts) if column in part.types)

    def row_of(self, part: PartRows) -> Cells:
        """Cells of the store for rows that only this table has."""
        cells = {part.part.stored[name]: array for name, array in part.cells.items()}
        return {**cells, **part.cells, part.part.hash_column: part.hashes}

    def merge(self, present: Cells, changes: Mapping[int, PartRows | None], rows: int) -> Cells:
        """The rows with other parts in place of the present ones; None takes a part away.

        All arrays, and the rows of each change, are of the same keys in the same order.
        """
        cells = dict(present)
        for number, change in changes.items():
            part = self.parts[number]
            for column, stored in part.stored.items():
                cells[stored] = (
                    pa.nulls(rows, present[stored].type) if change is None else change.cells[column]
                )
            cells[part.hash_column] = pa.nulls(rows, pa.int64()) if change is None else change.hashes
        for column, numbers in self.shared.items():
            if not changes.keys().isdisjoint(numbers):
                cells[column] = self._counting(column, numbers, cells)
        return cells

    def _counting(self, column: str, numbers: Sequence[int], cells: Cells) -> pa.Array:
        """The cell that counts, of the parts that are there."""
        own = [cells[self.parts[number].stored[column]] for number in numbers]
        rows = len(own[0])
        chosen = np.full(rows, -1, np.int64)  # an index into the arrays one after the other
        for place, (number, array) in enumerate(zip(numbers, own, strict=True)):
            there = present_in(cells[self.parts[number].hash_column])
            if not self.null_overwrites:
                there &= present_in(array)
            chosen[there] = place * rows + np.flatnonzero(there)
        return pa.concat_arrays(own).take(pa.array(chosen, mask=chosen < 0))


def present_in(array: pa.Array) -> NDArray[np.bool_]:
    """Which cells are not null; (rows,)."""
    valid: NDArray[np.bool_] = array.is_valid().to_numpy(zero_copy_only=False)
    return valid


def lay_out(
    tables: Sequence[KeptTable], schemas: Sequence[pa.Schema], *, null_overwrites: bool = True
) -> Layout:
    """Say which columns the store has; of a table's wanted columns, those that it lacks are left out.

    Raises DataError where tables do not fit one another: keys of two kinds, a column of two types.
    """
    names = _distinct([table.source.name for table in tables])
    kinds = [
        key_type(schema.field(table.source.key).type, table.source.key)
        for table, schema in zip(tables, schemas, strict=True)
    ]
    for name, kind in zip(names, kinds, strict=True):
        if kind != kinds[0]:
            raise DataError(
                f"tables have keys of two kinds: '{names[0]}' {_KINDS[kinds[0]]}, '{name}' {_KINDS[kind]}; "
                "cast one of the key columns"
            )
    types = [
        column_types(schema, sorted(table.columns - {table.source.key} | _key_if_read(table)))
        for table, schema in zip(tables, schemas, strict=True)
    ]
    owners: dict[str, list[int]] = {}
    for number, columns in enumerate(types):
        name = names[number]
        for column, type_ in columns.items():
            if "#" in column:
                raise DataError(f"table '{name}': column '{column}': '#' is kept for our own columns")
            first = owners.setdefault(column, [])
            if first and (other := types[first[0]][column]) != type_:
                raise DataError(
                    f"column '{column}' is {other} in table '{names[first[0]]}' and {type_} in '{name}'; "
                    "cast one of them"
                )
            first.append(number)
    shared = {column: tuple(numbers) for column, numbers in owners.items() if len(numbers) > 1}
    parts = tuple(
        Part(
            number,
            names[number],
            table.source.key,
            columns,
            {column: f"{column}#{number}" if column in shared else column for column in columns},
            table.static,
            table.order,
        )
        for number, (table, columns) in enumerate(zip(tables, types, strict=True))
    )
    return Layout(kinds[0] if kinds else "string", parts, shared, null_overwrites)


_KINDS = {"string": "texts", "int64": "integers"}


def _key_if_read(table: KeptTable) -> frozenset[str]:
    """Features may read the id itself, as any other column."""
    return table.columns & {table.source.key}


def _distinct(names: Sequence[str]) -> list[str]:
    """The names, with a number behind those that repeat."""
    return [
        f"{name} ({names[: place + 1].count(name)})" if names.count(name) > 1 else name
        for place, name in enumerate(names)
    ]
