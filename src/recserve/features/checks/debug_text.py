"""Features as text, one per item: what a caller who asks for debugging gets.

    pairs   age:30|tags:a\\x1db|clicks:c1;c2|weights:a:0.5\\x1db:1     for people
    table   30\\x02a\\x1db\\x02c1;c2\\x02a:0.5\\x1db:1             values only, in the order of fg.json

Values of a cell are parted by \\x1d, elements of a sequence by `;`, keys and weights by `:`. A missing cell
is empty. Numbers have the fewest digits that give them back. Text that is not UTF-8 is shown with replacement
characters: protobuf would refuse the whole answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from recserve.errors import TooLargeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recserve.columns import Batch
    from recserve.features.plan import Plan


@dataclass(frozen=True, slots=True)
class Separators:
    """What parts the pieces of a text."""

    pair: str = "|"  # name:value from name:value
    name: str = ":"  # a name from its value
    column: str = "\x02"  # the values of a table
    value: str = "\x1d"  # the values of one cell
    element: str = ";"  # the elements of a sequence
    key: str = ":"  # a key from its value, or an id from its weight


#: Of all texts of one answer together.
MAX_BYTES = 64 << 20


class DebugText:
    """Writes the columns of one plan as text, a text per row; a column with one row stands for all.

    TooLargeError when the texts of one call would have more than `max_bytes`.
    """

    def __init__(
        self, plan: Plan, *, separators: Separators | None = None, max_bytes: int = MAX_BYTES
    ) -> None:
        self._separators = separators or Separators()
        self._max_bytes = max_bytes
        self._outputs = [feature.name for feature in plan.features if feature.is_output]
        self._inputs = sorted(plan.user_inputs | plan.item_inputs | plan.context_inputs)
        self._sequences = {feature.name for feature in plan.features if feature.feature.is_sequence}
        self._input_sequences = {i.joined for f in plan.features for i in f.inputs if i.sequence}

    def raw(self, columns: Batch | Mapping[str, pa.Array], *, rows: int) -> list[str]:
        """`name:value` of the input columns that there are, named as in the training table, sorted.

        Of a mapping every column is written, whatever it is called.
        """
        names = sorted(columns) if isinstance(columns, Mapping) else self._inputs
        return self._pairs(columns, names, self._input_sequences, rows)

    def generated(self, columns: Batch, *, rows: int) -> list[str]:
        """`name:value` of the outputs, in the order of fg.json."""
        return self._pairs(columns, self._outputs, self._sequences, rows)

    def table(self, columns: Batch, *, rows: int) -> list[str]:
        """The values of the outputs alone: as many pieces in every text as fg.json has outputs.

        What parts the pieces is a blank where it stands inside of a value: readers count.
        """
        part, size = self._separators.column, _Size(self._max_bytes)
        cells = []
        for name in self._outputs:
            values = self._cells(columns, name, self._sequences, rows, size) if name in columns else [""]
            cells.append([value.replace(part, " ") for value in values])
        return _joined(cells, rows, part)

    def _pairs(
        self,
        columns: Batch | Mapping[str, pa.Array],
        names: Sequence[str],
        sequences: set[str],
        rows: int,
    ) -> list[str]:
        size = _Size(self._max_bytes)
        cells = []
        for name in names:
            if name in columns:
                values = self._cells(columns, name, sequences, rows, size)
                cells.append([f"{name}{self._separators.name}{value}" for value in values])
        return _joined(cells, rows, self._separators.pair)

    def _cells(
        self,
        columns: Batch | Mapping[str, pa.Array],
        name: str,
        sequences: set[str],
        rows: int,
        size: _Size,
    ) -> list[str]:
        """The cells of a column as text: one, or as many as rows."""
        array = pa.array(columns[name])
        write = _Writer(self._separators, single="double" not in str(array.type))
        cells = [write.cell(value, sequence=name in sequences) for value in _values(array)]
        # A user's value is in every row: what it adds up to is known before it is.
        size.add((sum(map(len, cells)) + len(name) * len(cells)) * (rows if len(cells) == 1 else 1))
        return cells


class _Size:
    """Bounds the texts of one call."""

    def __init__(self, most: int) -> None:
        self._most, self._used = most, 0

    def add(self, size: int) -> None:
        self._used += size
        if self._used > self._most:
            raise TooLargeError(
                f"the features of this request are over {self._most:,} bytes as text; ask for fewer items"
            )


def _joined(cells: list[list[str]], rows: int, separator: str) -> list[str]:
    columns = [column if len(column) == rows else column * rows for column in cells]
    return [separator.join(row) for row in zip(*columns, strict=True)] if columns else [""] * rows


def _values(array: pa.Array) -> Any:
    """Python values; texts as bytes, since they may be anything."""
    return array.cast(_with_bytes(array.type)).to_pylist()


def _with_bytes(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_map(kind):
        return pa.map_(_with_bytes(kind.key_type), _with_bytes(kind.item_type))
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(_with_bytes(kind.value_type), kind.list_size)
    if pa.types.is_list(kind):
        return pa.list_(_with_bytes(kind.value_type))
    return pa.binary() if pa.types.is_string(kind) else kind


@dataclass(frozen=True, slots=True)
class _Writer:
    separators: Separators
    single: bool  # floats are float32

    def cell(self, value: Any, *, sequence: bool) -> str:
        """One cell; a list of lists is a sequence, whatever it is taken for."""
        if isinstance(value, list):
            nested = sequence or any(isinstance(entry, list) for entry in value)
            parts = [self.cell(entry, sequence=False) for entry in value]
            return (self.separators.element if nested else self.separators.value).join(parts)
        if isinstance(value, tuple):
            return self.separators.key.join(self.cell(part, sequence=False) for part in value)
        if isinstance(value, bytes):
            return value.decode(errors="replace")
        if isinstance(value, float):
            return str(np.float32(value) if self.single else value).removesuffix(".0")
        return "" if value is None else str(value)
