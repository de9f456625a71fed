"""Writes rows to the online tables of views: typed as the registry says, behaviours into rows of users."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from recserve.config.nearest import did_you_mean
from recserve.errors import ConfigError, DataError
from recserve.feature_store.feature_table import declared, stored
from recserve.feature_store.sequences import (
    NEWEST,
    PACKED,
    Behaviour,
    Recent,
    behaviour_fields,
    merged,
    packed_schema,
    unpacked,
)
from recserve.feature_store.times import microseconds
from recserve.feature_store.types import TYPES
from recserve.source import point_reads, sink

if TYPE_CHECKING:
    from recserve.feature_store.records import View
    from recserve.source import PointReads, Sink, Source, WriteMode

USERS = 5_000  # whose rows are written together


def writable(view: View, online: Source) -> Sink:
    """The online table of a view as one that is written; raises ConfigError where it cannot be."""
    target = sink(online)
    if target is None:
        raise ConfigError(
            f"view '{view.name}': {online.name} cannot be written; "
            "`recserve store apply` makes a table that can"
        )
    return target


def write_table(
    view: View, target: Sink, rows: pa.Table, *, mode: WriteMode = "replace", where: str = "rows"
) -> int:
    """Write rows that are at hand to the online table of a view; returns how many.

    Behaviours are added to those that the row of the user has. Raises DataError for a column that the view
    lacks, and for a value that does not fit it.
    """
    for name in rows.schema.names:
        if name not in view.fields:
            hint = did_you_mean(name, view.fields) or f"; fields: {', '.join(view.fields)}"
            raise DataError(f"{where}: view '{view.name}' has no field '{name}'{hint}")
    names = [view.key] if view.kind != "sequence" else [view.key, view.event_time, *behaviour_fields(view)]
    for name in names:
        if name not in rows.schema.names:
            raise DataError(f"{where}: the column '{name}' of view '{view.name}' is missing")
    if view.kind != "sequence":
        arrays = [
            stored(rows.column(name).combine_chunks(), view.fields[name], f"{where}: column '{name}'")
            for name in rows.schema.names
        ]
        return target.write(pa.table(arrays, names=rows.schema.names), mode=mode)
    key, moment, *fields = (rows.column(name).combine_chunks() for name in names)
    times = microseconds(moment, view.unit, f"{where}: column '{view.event_time}'", up=True)
    columns = [
        declared(array, view.fields[name], f"{where}: column '{name}'").to_pylist()
        for array, name in zip(fields, names[2:], strict=True)
    ]
    by_user: dict[Any, list[Behaviour]] = {}
    keys = stored(key, view.fields[view.key], f"{where}: column '{view.key}'").to_pylist()
    for user, when, *values in zip(keys, times.to_pylist(), *columns, strict=True):
        if user is None or when is None:
            raise DataError(f"{where}: a behaviour without user or time; write both")
        by_user.setdefault(user, []).append((when, tuple(values)))
    users = list(by_user.items())
    for start in range(0, len(users), USERS):
        reads = point_reads(target) if mode == "merge" else None
        write_behaviours(view, users[start : start + USERS], target, reads)
    return int(rows.num_rows)


def write_behaviours(
    view: View,
    users: list[tuple[Any, list[Behaviour]]],
    target: Sink,
    reads: PointReads | None,
) -> None:
    """Write a row for each user; with `reads` what the row has already is kept as far as it is new enough."""
    keys = pa.array([user for user, _ in users], TYPES[view.fields[view.key]])
    known: list[list[Behaviour]] = [[] for _ in users]
    if reads is not None:
        texts = reads.get(keys, {PACKED}).column(PACKED).to_pylist()
        known = [unpacked(view, text, f"view '{view.name}': {target.name}") for text in texts]
    lists: list[Recent] = [merged(view, [*old, *new]) for old, (_, new) in zip(known, users, strict=True)]
    newest = [max(m for m, _ in [*old, *new]) // 1_000 for old, (_, new) in zip(known, users, strict=True)]
    schema = packed_schema(view, keys.type)
    packed = pa.array([recent.packed() for recent in lists], pa.string())
    moments = pa.array(newest, pa.int64()).cast(schema.field(NEWEST).type)
    target.write(pa.table([keys, packed, moments], schema=schema))
