"""The rows of an offline table under short names of our own, as joins and sorts want them.

| column    | what it is                                                       |
|-----------|------------------------------------------------------------------|
| k         | the key, of the type that the registry says                      |
| t         | the event time in microseconds since 1970, where the view has one |
| r         | the number of the row: of equal keys and times the later counts  |
| f0, f1, … | fields                                                           |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from recserve.errors import DataError
from recserve.feature_store.feature_table import declared, stored
from recserve.feature_store.times import microseconds
from recserve.feature_store.types import TYPES, value_type

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from recserve.feature_store.records import View
    from recserve.source import Source


Progress = Callable[[str, int, int], None]
"""Told a step, the rows of it that are done and all of them; 0 means that nobody knows."""


def silent(step: str, done: int, total: int) -> None:
    """A Progress that nobody watches."""


@dataclass(frozen=True, slots=True)
class Rows:
    """A stream of batches, to be read once."""

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]


def history(
    source: Source,
    view: View,
    fields: Sequence[str],
    *,
    as_stored: bool = False,
    progress: Progress = silent,
) -> Rows:
    """Stream all rows of a view, without those that lack their event time.

    Values are what models get, or `as_stored` what online tables keep: they differ for moments.
    """
    have = source.schema()
    for name in (view.key, view.event_time, *fields):
        if name and name not in have.names:
            raise DataError(
                f"view '{view.name}': table {source.name} has no column '{name}'; "
                f"columns: {', '.join(have.names)}"
            )
    convert = stored if as_stored else declared
    types = [TYPES[view.fields[name]] if as_stored else value_type(view.fields[name]) for name in fields]
    schema = [pa.field("k", TYPES[view.fields[view.key]]), pa.field("r", pa.int64())]
    if view.event_time:
        schema.append(pa.field("t", pa.int64()))
    schema += [pa.field(f"f{number}", kind) for number, kind in enumerate(types)]

    def where(name: str) -> str:
        return f"view '{view.name}': field '{name}' of {source.name}"

    def batches() -> Iterator[pa.RecordBatch]:
        step, total, rows = f"reading {view.name}", source.rows(), 0
        progress(step, 0, total)
        read = {view.key, *fields, *([view.event_time] if view.event_time else [])}
        for batch in source.snapshot(read):
            key = stored(batch.column(view.key), view.fields[view.key], where(view.key))
            arrays = [key, pa.array(range(rows, rows + batch.num_rows), pa.int64())]
            if view.event_time:
                moments = batch.column(view.event_time)
                # Rounded up, as times of labels are rounded down: no row is taken for earlier than it was.
                arrays.append(microseconds(moments, view.unit, where(view.event_time), up=True))
            arrays += [convert(batch.column(name), view.fields[name], where(name)) for name in fields]
            made = pa.RecordBatch.from_arrays(arrays, schema=pa.schema(schema))
            rows += batch.num_rows
            progress(step, rows, max(total, rows))
            yield made.filter(pc.is_valid(made.column("t"))) if view.event_time else made
        progress(step, rows, rows)

    return Rows(pa.schema(schema), batches())
