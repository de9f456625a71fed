"""A plan and sample rows ──timing──▶ nanoseconds of every feature, each at its own rate.

The rows of the sample are played as requests: the user columns of one row against the item and context
columns of as many rows as a request has candidates, items finished beforehand and clicked items gathered, as
the server does it. The clock stands inside of the native plan, around each feature.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recserve.columns import Batch, batch_from_arrow
from recserve.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from recserve.features.config import Group
    from recserve.features.generator import Generator
    from recserve.features.plan import Plan

_ROUNDS = 15


@dataclass(frozen=True, slots=True)
class Timing:
    """Medians over some requests, in nanoseconds."""

    request: Mapping[str, float]  # feature → per request
    item_row: Mapping[
        str, float
    ]  # feature → per item row that is written: the item rate, and element features
    generate: float | None  # a request as a whole: features, tensors, call; None: an output is texts


def read_sample(plan: Plan, path: Path, *, rows: int = 10_000) -> pa.Table:
    """Read the first rows of a Parquet file, those columns of it that the plan reads."""
    try:
        file = pq.ParquetFile(path)
        wanted = plan.user_inputs | plan.item_inputs | plan.context_inputs
        columns = [name for name in file.schema_arrow.names if name in wanted]
        batches = [next(iter(file.iter_batches(rows, columns=columns)))] if file.metadata.num_rows else []
    except (OSError, pa.ArrowInvalid) as e:
        raise DataError(f"{path} cannot be read as Parquet: {e}") from e
    return pa.Table.from_batches(batches, file.schema_arrow if not batches else None)


def measure(generator: Generator, sample: pa.Table, *, candidates: int) -> Timing:
    """Time every feature on rows of a training table, for requests of so many candidates."""
    if sample.num_rows == 0:
        raise DataError("the sample has no rows to time features on")
    players = [_Request.from_sample(generator, sample, candidates, place) for place in range(_ROUNDS)]
    plan = generator.plan
    rates = {feature.name: feature.rate for feature in plan.features}
    in_items = [name for name in plan.order if rates[name] == "item"]
    columns = [*in_items, *plan.elements]
    whole = [player.generate(generator) for player in players]
    requests = [player.time(generator, plan.order) for player in players]
    rows = [player.time_items(generator, columns) for player in players]
    features = [*in_items, *plan.elements.values()]
    return Timing(
        request=dict(zip(plan.order, np.median(requests, axis=0).tolist(), strict=True)),
        item_row=dict(zip(features, (np.median(rows, axis=0) / candidates).tolist(), strict=True)),
        generate=float(np.median(whole)) if generator.tensors else None,
    )


@dataclass(frozen=True, slots=True)
class _Request:
    """What a request brings and what the item store adds."""

    user: Batch
    context: Batch
    raw: Batch
    finished: Batch
    clicked: Mapping[str, tuple[Batch, Batch]]
    rows: int

    @classmethod
    def from_sample(cls, generator: Generator, sample: pa.Table, candidates: int, place: int) -> _Request:
        """Take the place-th user of the sample and the place-th candidates; behind its end it starts over."""
        mine = place % sample.num_rows
        others = (np.arange(candidates) + place * candidates) % sample.num_rows
        columns = _columns_by_source(generator)
        raw = _batch(sample, columns["item"], others)
        return cls(
            _batch(sample, columns["user"], np.array([mine])),
            _batch(sample, columns["context"], others),
            raw,
            generator.finisher.finish(raw),
            _clicked(generator, sample, mine),
            candidates,
        )

    def generate(self, generator: Generator) -> int:
        start = time.perf_counter_ns()
        generator.generate(self.user, self.context, self.raw, self.finished, self.clicked, rows=self.rows)
        return time.perf_counter_ns() - start

    def time(self, generator: Generator, names: tuple[str, ...]) -> list[float]:
        """The first is asked for twice: what is there already takes as long as reading the clock."""
        *spent, clock = generator.time_steps(
            self.user,
            self.context,
            self.raw,
            self.finished,
            self.clicked,
            rows=self.rows,
            names=[*names, names[0]],
        )
        return [max(0, nanoseconds - clock) for nanoseconds in spent]

    def time_items(self, generator: Generator, names: list[str]) -> list[float]:
        empty = Batch(1)
        return [
            float(spent)
            for spent in generator.time_steps(
                empty, Batch(self.rows), self.raw, Batch(self.rows), {}, rows=self.rows, names=names
            )
        ]


def _columns_by_source(generator: Generator) -> dict[str, set[str]]:
    columns: dict[str, set[str]] = {"user": set(), "item": set(), "context": set()}
    for feature in generator.plan.features:
        for source in feature.inputs:
            if source.source in columns:
                columns[source.source].add(source.name)
            elif source.source == "group":
                columns["item"].add(source.name)  # element features are timed on candidates
    return columns


def _batch(sample: pa.Table, names: set[str], rows: Any) -> Batch:
    table = sample.select([name for name in sample.column_names if name in names]).take(rows)
    batch = batch_from_arrow(table)
    return batch if table.num_columns else Batch(len(rows))


def _clicked(generator: Generator, sample: pa.Table, row: int) -> dict[str, tuple[Batch, Batch]]:
    """The item rows that a user's sequences stand for: a training table has their columns as "S__X"."""
    clicked = {}
    for group in generator.plan.config.groups:
        columns = {
            source.name: _elements(sample.column(source.joined), row, group)
            for feature in generator.plan.features
            for source in feature.inputs
            if feature.feature.group is group
            and source.source == "group"
            and source.joined in sample.column_names
        }
        length = max((len(column) for column in columns.values()), default=0)
        padded = {
            name: pa.concat_arrays([c, pa.nulls(length - len(c), c.type)]) for name, c in columns.items()
        }
        raw = batch_from_arrow(padded) if padded else Batch(0)
        clicked[group.name] = (raw, generator.finisher.finish(raw))
    return clicked


def _elements(column: pa.ChunkedArray, row: int, group: Group) -> pa.Array:
    cell = column[row].as_py()
    if isinstance(cell, str):
        entries: list[Any] = [piece or None for piece in cell.split(group.delimiter)]
        return pa.array(entries[: group.length or None], pa.string())
    kind = column.type.value_type if pa.types.is_nested(column.type) else column.type
    entries = cell if isinstance(cell, list) else [] if cell is None else [cell]
    return pa.array(entries[: group.length or None], kind)
