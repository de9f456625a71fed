"""The native side of a random case: joined rows at full rate, and the stages of a request done by hand.

item table ──finisher──▶ finished rows ──take──▶ candidates, clicked ──generate──▶ tensors
"""

from __future__ import annotations

import tempfile
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from tests.features.referee.cells import Cell, elements, is_missing
from tests.features.referee.config import read
from tests.features.referee.online import join

from recserve.columns import Batch, ModelInputs, column_from_arrow, to_arrow
from recserve.features import config
from recserve.features.generator import Generator
from recserve.messages import InputSchema

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from tests.features.referee.evaluate import Tensors
    from tests.features.referee.random_cases import Case

# One folder for all cases of a process: to make one for each takes longer than the case itself.
FOLDER = tempfile.TemporaryDirectory()
WRITTEN: dict[str, str] = {}
SCALARS = {
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "string": pa.string(),
}


def generator_of(case: Case, *, tile: bool = False) -> Generator:
    """The compiled config of a case; its files are written where all cases write theirs."""
    for name, text in case.files.items():
        if WRITTEN.get(name) != text:
            Path(FOLDER.name, name).write_bytes(text.encode())
            WRITTEN[name] = text
    loaded = config.load(case.fg, farm_hash=case.farm_hash, folder=Path(FOLDER.name))
    return Generator(loaded, tile=tile, schema=schema_of(case))


def schema_of(case: Case) -> InputSchema:
    """What a bundle declares of the columns."""
    request, table = case.request, case.table
    sides = {"user": request.user, "context": request.context, "item": table.columns}
    return InputSchema(
        **{side: {name: request.types[name] for name in columns} for side, columns in sides.items()}
    )


class Stages:
    """The ways in which one generator can generate a case."""

    def __init__(self, case: Case, generator: Generator) -> None:
        self.case = case
        self.generator = generator
        self.rows = len(case.request.item_ids)
        self._store = _Store(case, generator)
        request = case.request
        user = {name: [cell] for name, cell in request.user.items() if name not in case.absent}
        self._user = batch_of(_arrays(user, request.types), 1)
        context = {name: cells for name, cells in request.context.items() if name not in case.absent}
        self._context = _arrays(context, request.types)
        self._sent = _arrays(request.item_features, request.types)
        columns, types = join(read(case.fg), request, case.table)
        self._joined = {
            name: joined_array(cells, types[name])
            for name, cells in columns.items()
            if name not in case.absent
        }

    def joined(self) -> Tensors:
        """Every feature at full rate over the joined rows."""
        return self._generate_joined(self._joined, self.rows)

    def repeated(self) -> Tensors:
        """As `joined`, with what stands for all rows written into every one."""
        places = pa.array([0] * self.rows, pa.int64())
        repeated = {
            name: array.take(places) if len(array) == 1 else array for name, array in self._joined.items()
        }
        return self._generate_joined(repeated, self.rows)

    def joined_batches(self) -> Tensors:
        """As `joined`, in the batches of the case."""
        return together(
            [
                self._generate_joined(_part(self._joined, self.rows, start, end), end - start)
                for start, end in self._spans()
            ]
        )

    def staged(self) -> Tensors:
        """Item features finished in the table and gathered, user features once, the rest per candidate."""
        return self._generate(0, self.rows)

    def staged_batches(self) -> Tensors:
        """As `staged`, one request for each batch of the candidates."""
        return together([self._generate(start, end) for start, end in self._spans()])

    def _spans(self) -> list[tuple[int, int]]:
        places = sorted(min(place, self.rows) for place in self.case.splits)
        return list(pairwise([0, *places, self.rows]))

    def _generate_joined(self, arrays: Mapping[str, pa.Array], rows: int) -> Tensors:
        return tensors_of(self.generator.generate_joined(batch_of(arrays, rows)))

    def _generate(self, start: int, end: int) -> Tensors:
        """The request for the candidates from `start` to `end`."""
        generator, request, rows = self.generator, self.case.request, end - start
        hidden = {name for name, reads in generator.finished.items() if not reads.isdisjoint(self._sent)}
        needed = set(generator.pair_columns).union(*(generator.finished[name] for name in hidden))
        finished_names = generator.finished.keys() - hidden
        raw, finished = self._store.gather(request.item_ids[start:end], needed, finished_names)
        sent = {name: array for name, array in self._sent.items() if name in needed}
        clicked: dict[str, tuple[Batch, Batch]] = {}
        for group, key in generator.sequence_keys.items():
            ids = clicked_ids(request.user[key.column], key.delimiter, key.length)
            raw_clicked, finished_clicked = self._store.gather(ids, set(key.raw), set(key.finished))
            clicked[group] = (batch_of(raw_clicked, len(ids)), batch_of(finished_clicked, len(ids)))
        inputs = generator.generate(
            self._user,
            batch_of(_part(self._context, self.rows, start, end), rows),
            batch_of(raw | _part(sent, self.rows, start, end), rows),
            batch_of(finished, rows),
            clicked,
            rows=rows,
        )
        return tensors_of(inputs)


def _arrays(columns: Mapping[str, Sequence[Cell]], types: Mapping[str, str]) -> dict[str, pa.Array]:
    return {name: array_of(cells, types[name]) for name, cells in columns.items()}


def _part(arrays: Mapping[str, pa.Array], rows: int, start: int, end: int) -> dict[str, pa.Array]:
    """The rows from `start` to `end`; what has one row stands for all."""
    return {
        name: array.slice(start, end - start) if len(array) == rows else array
        for name, array in arrays.items()
    }


def together(batches: list[Tensors]) -> Tensors:
    """The tensors of the batches, one behind the other."""
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def clicked_ids(pk: Cell, delimiter: str, length: int) -> list[str]:
    """The item ids of the user's list; a null one is known to no table."""
    return ["" if is_missing(key) else str(key) for key in elements(pk, delimiter, length)]


class _Store:
    """The item table, its finished columns, and behind the last row one with nothing in it."""

    def __init__(self, case: Case, generator: Generator) -> None:
        table = case.table
        self.keys = list(table.keys)
        self.raw = {
            name: array_of([*cells, None], table.types[name])
            for name, cells in table.columns.items()
            if name in generator.raw_columns and name not in case.absent
        }
        finished = generator.finisher.finish(batch_of(self.raw, len(self.keys) + 1))
        self.finished = {name: to_arrow(finished[name]) for name in generator.finished}

    def gather(
        self, ids: Sequence[str], raw: set[str], finished: set[str]
    ) -> tuple[dict[str, pa.Array], dict[str, pa.Array]]:
        """Rows by id; an unknown id takes the empty row."""
        known = {key: row for row, key in enumerate(self.keys)}
        rows = [known.get(key, len(self.keys)) for key in ids]
        return (
            {name: _taken(array, rows) for name, array in self.raw.items() if name in raw},
            {name: _taken(array, rows) for name, array in self.finished.items() if name in finished},
        )


def _taken(array: pa.Array, rows: list[int]) -> pa.Array:
    """Rows of a column; one of a single row, as of a column that the table lacks, stands for all."""
    return array.take(pa.array([0] * len(rows) if len(array) == 1 else rows, pa.int64()))


def joined_array(cells: Sequence[Cell], column_type: str) -> pa.Array:
    """As `array_of`, but numbers with missing ones among them (unknown items) are arrays of one or none."""
    entry_type = column_type[5:-1]
    if entry_type not in SCALARS or entry_type == "string":
        return array_of(cells, column_type)
    if not any(isinstance(cell, list) and None in cell for cell in cells):
        return array_of(cells, column_type)
    wrapped: list[Cell] = [
        [[] if entry is None else [entry] for entry in cell] if isinstance(cell, list) else cell
        for cell in cells
    ]
    return array_of(wrapped, f"list<list<{entry_type}>>")


def array_of(cells: Sequence[Cell], column_type: str) -> pa.Array:
    """Cells as an Arrow array of the declared type."""
    return pa.array(
        [list(cell) if isinstance(cell, tuple) else cell for cell in cells], arrow_type(column_type)
    )


def arrow_type(column_type: str) -> pa.DataType:
    """`list<int64>`, `map<string,float32>`, `list<list<string>>` … as Arrow types."""
    if column_type.startswith("list<"):
        return pa.list_(arrow_type(column_type[5:-1]))
    if column_type.startswith("map<"):
        key, value = column_type[4:-1].split(",")
        return pa.map_(SCALARS[key], SCALARS[value])
    return SCALARS[column_type]


def batch_of(arrays: Mapping[str, pa.Array], rows: int) -> Batch:
    """Arrow arrays of `rows` rows, or one, as a Batch."""
    batch = Batch(rows)
    for name, array in arrays.items():
        batch.add(name, column_from_arrow(array, name))
    return batch


def tensors_of(inputs: ModelInputs) -> Tensors:
    """The tensors of model inputs by name, floats with their width."""
    ints = np.split(inputs.ints, np.cumsum(inputs.int_sizes)[:-1]) if inputs.int_names else []
    floats = np.split(inputs.floats, np.cumsum(inputs.float_sizes)[:-1]) if inputs.float_names else []
    result: dict[str, NDArray[Any]] = dict(zip(inputs.int_names, ints, strict=True))
    for name, width, values in zip(inputs.float_names, inputs.float_widths, floats, strict=True):
        weights = name.endswith(".weights")
        result[name] = values if weights else values.reshape(-1, width)
    return result
