"""Training sets: for every label the features as they were when it happened, and nothing of later.

    labels ──▶ l(n, t, keys, columns)                 n: the row, t: microseconds since 1970
    view   ──▶ v(k, t, features)   ASOF  l.t >= v.t   the last row that was true then, unless expired
    clicks ──sorted with l──▶ Recent ──▶ s(n, texts)  behaviours strictly before the label
                                  joined, in the order of the labels ──▶ Parquet

Ours: a row of a view that is true from the very moment of the label counts, a behaviour of that moment does
not: the label is often one of the behaviours itself. Of rows with equal key and time the later one counts.
"""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from recserve.config.nearest import did_you_mean
from recserve.errors import ConfigError, DataError
from recserve.feature_store.database import Database
from recserve.feature_store.feature_table import declared
from recserve.feature_store.history import Progress, history, silent
from recserve.feature_store.open import views_of
from recserve.feature_store.sequences import Recent, behaviour_fields
from recserve.feature_store.times import microseconds
from recserve.feature_store.types import TYPES, value_type

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from recserve.feature_store.places import Tables
    from recserve.feature_store.records import Model, View
    from recserve.source import Source

_BATCH_ROWS = 1 << 13


@dataclass(frozen=True, slots=True)
class LabelRows:
    """Where labels come from, and how their times are read."""

    source: Source
    event_time: str
    time_unit: str = "s"
    columns: tuple[str, ...] = ()  # to keep; none named = all


@dataclass(slots=True)
class TrainingReport:
    """What a training set has."""

    rows: int = 0
    columns: tuple[str, ...] = ()
    found: dict[str, int] = field(default_factory=dict)  # view -> labels for which it has a row
    timeless: tuple[str, ...] = ()  # views without event time: their values are those of today
    replaced: tuple[str, ...] = ()  # label columns whose name a feature has too, and has taken


@dataclass(frozen=True, slots=True)
class _Part:
    """A view of the model: its number, which its tables are called by, and what it gives."""

    number: int
    view: View
    join_id: str
    outputs: dict[str, pa.DataType]  # by their names in the training set
    features: dict[str, str]  # alias -> field or sequence

    @property
    def key_kind(self) -> str:
        return self.view.fields[self.view.key]


def write_training_set(
    tables: Tables,
    model: Model,
    labels: LabelRows,
    target: Path,
    *,
    memory_mb: int = 1024,
    force: bool = False,
    progress: Progress = silent,
) -> TrainingReport:
    """Join the features of a model to labels, from the offline store into a Parquet file.

    Rows stand in the order of the labels. Memory stays bounded; the file has its name once it is complete.
    Raises DataError for a label without time, and for labels that lack the join id of an entity.
    """
    if target.exists() and not force:
        raise ConfigError(f"{target} is there already; --force replaces it")
    parts = list(_parts(tables, model))
    kept, replaced = _kept_columns(labels, model, parts)
    report = TrainingReport(replaced=replaced)
    report.timeless = tuple(part.view.name for part in parts if not part.view.event_time)
    with Database(memory_mb=memory_mb) as database:
        schema = _read_labels(database, labels, kept, parts, progress)
        for part in parts:
            read = _read_sequences if part.view.kind == "sequence" else _read_view
            with closing(tables.offline(part.view)) as source:
                read(database, part, source, progress)
        features = [
            pa.field(name, kind)
            for part in parts
            for name, kind in part.outputs.items()
            if not (model.label_priority and name in kept)
        ]
        _write(
            database,
            _query(parts, len(kept), features),
            [*schema, *features],
            target,
            report=report,
            progress=progress,
        )
        report.found = {part.view.name: report.found.get(f"p{part.number}", 0) for part in parts}
    return report


def _parts(tables: Tables, model: Model) -> Iterator[_Part]:
    registry = tables.registry
    for number, (view, features) in enumerate(views_of(registry, model)):
        outputs: dict[str, pa.DataType] = {}
        called = {}
        for alias, name in features.items():
            # An alias is said on purpose; else a sequence has the name that it has offline.
            offline = view.sequences[name].offline if view.kind == "sequence" and alias == name else alias
            called[offline] = name
            for column in view.outputs(name, offline):
                outputs[column] = pa.string() if name in view.sequences else value_type(view.fields[name])
        yield _Part(number, view, registry.entities[view.entity].join_id, outputs, called)


def _kept_columns(labels: LabelRows, model: Model, parts: list[_Part]) -> tuple[list[str], tuple[str, ...]]:
    """The label columns to keep, and those that features replace."""
    names = labels.source.schema().names
    where = f"labels {labels.source.name}"
    join_ids = dict.fromkeys(part.join_id for part in parts)
    for part in parts:
        if part.join_id not in names:
            raise DataError(
                f"{where} have no column '{part.join_id}', the join id of entity '{part.view.entity}'"
                f"{did_you_mean(part.join_id, names) or '; columns: ' + ', '.join(names)}"
            )
    wanted = [n for n in names if not labels.columns or n in labels.columns or n in join_ids]
    features = {name for part in parts for name in part.outputs}
    if labels.event_time in features:
        raise ConfigError(
            f"models.{model.name}: a feature is called '{labels.event_time}', as the event time of "
            f"the {where} is; give it an alias"
        )
    replaced = () if model.label_priority else tuple(name for name in wanted if name in features)
    return [name for name in wanted if name not in replaced], replaced


def _read_labels(
    database: Database, labels: LabelRows, kept: list[str], parts: list[_Part], progress: Progress
) -> pa.Schema:
    """Fill table l; returns the schema of the columns that are kept."""
    source, where = labels.source, f"labels {labels.source.name}"
    schema = pa.schema([source.schema().field(name) for name in kept])
    keys = {(p.join_id, p.key_kind): f"k{p.number}" for p in reversed(parts)}
    read = {*kept, labels.event_time, *(join_id for join_id, _ in keys)}
    step, total, rows = f"reading {where}", source.rows(), 0
    progress(step, 0, total)

    def batches() -> Iterator[pa.RecordBatch]:
        nonlocal rows
        for batch in source.snapshot(read):
            moments = batch.column(labels.event_time)
            if moments.null_count:
                raise DataError(
                    f"{where}: '{labels.event_time}' is null in {moments.null_count} of {batch.num_rows} "
                    "rows read together; a label without a time has no features"
                )
            columns = {
                "n": pa.array(range(rows, rows + batch.num_rows), pa.int64()),
                "t": microseconds(moments, labels.time_unit, f"{where}: '{labels.event_time}'"),
            }
            for (join_id, kind), name in keys.items():
                columns[name] = declared(batch.column(join_id), kind, f"{where}: '{join_id}'")
            for number, name in enumerate(kept):
                columns[f"c{number}"] = batch.column(name)
            rows += batch.num_rows
            yield pa.RecordBatch.from_pydict(columns)
            progress(step, rows, total)

    typed = [pa.field("n", pa.int64()), pa.field("t", pa.int64())]
    typed += [pa.field(name, TYPES[kind]) for (_, kind), name in keys.items()]
    typed += [pa.field(f"c{number}", field.type) for number, field in enumerate(schema)]
    database.read("CREATE TABLE l AS SELECT * FROM rows", pa.schema(typed), batches())
    for part in parts:  # views whose ids are the same share a column
        name = keys[part.join_id, part.key_kind]
        if name != f"k{part.number}":
            database.run(f"ALTER TABLE l ADD COLUMN k{part.number} {_SQL[part.key_kind]}")
            database.run(f"UPDATE l SET k{part.number} = {name}")
    progress(step, rows, rows)
    return schema


_SQL = {"string": "VARCHAR", "int64": "BIGINT", "int32": "INTEGER"}


def _read_view(database: Database, part: _Part, source: Source, progress: Progress) -> None:
    """Fill table v: of each key that a label has, one row per event time."""
    fields = list(part.features.values())
    rows = history(source, part.view, fields, progress=progress)
    latest = "k, t" if part.view.event_time else "k"
    database.read(
        f"CREATE TABLE v{part.number} AS SELECT * EXCLUDE (r) FROM rows "
        f"WHERE k IN (SELECT k{part.number} FROM l) "
        f"QUALIFY row_number() OVER (PARTITION BY {latest} ORDER BY r DESC) = 1",
        rows.schema,
        rows.batches,
    )


def _read_sequences(database: Database, part: _Part, source: Source, progress: Progress) -> None:
    """Fill table s: the sequences of each label, from all behaviours of its user before it."""
    rows = history(source, part.view, behaviour_fields(part.view), progress=progress)
    fields = [name for name in rows.schema.names if name.startswith("f")]
    database.read(
        f"CREATE TABLE b AS SELECT k, t, {', '.join(fields)} FROM rows "
        f"WHERE k IN (SELECT k{part.number} FROM l)",
        rows.schema,
        rows.batches,
    )
    ordered = database.stream(
        f"SELECT k{part.number} AS k, t, n, {', '.join(f'NULL AS {name}' for name in fields)} FROM l "
        f"WHERE k{part.number} IS NOT NULL UNION ALL SELECT k, t, NULL, {', '.join(fields)} FROM b "
        f"ORDER BY k, t, n NULLS LAST, {', '.join(f'{name} NULLS FIRST' for name in fields)}"
    )
    texts = pa.schema([("n", pa.int64()), *((f"f{i}", pa.string()) for i in range(len(part.outputs)))])
    path = database.folder / f"sequences{part.number}.parquet"
    with pq.ParquetWriter(path, texts) as writer:
        for batch in _texts(part, ordered, texts):
            writer.write_batch(batch)
    database.run("DROP TABLE b")
    with pq.ParquetFile(path) as file:
        database.read(f"CREATE TABLE s{part.number} AS SELECT * FROM rows", texts, file.iter_batches())
    path.unlink()


def _texts(part: _Part, ordered: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Walk through labels and behaviours of each user in time; each label takes what is newest then."""
    recent, user, filled = Recent(part.view), None, False
    called = {sequence: name for name, sequence in part.features.items()}
    found: list[dict[str, str]] = []
    rows: list[int] = []

    def batch() -> pa.RecordBatch:
        columns = [pa.array([row.get(name) for row in found], pa.string()) for name in part.outputs]
        made = pa.RecordBatch.from_arrays([pa.array(rows, pa.int64()), *columns], schema=schema)
        found.clear()
        rows.clear()
        return made

    for piece in ordered:
        for key, moment, label, *values in zip(*(c.to_pylist() for c in piece.columns), strict=True):
            if key != user:
                recent.clear()
                user, filled = key, False
            if label is None:
                recent.add((moment, tuple(values)))
                filled = True
            else:
                rows.append(label)
                found.append(recent.texts(called, moment) if filled else {})
        if len(rows) >= _BATCH_ROWS:
            yield batch()
    if rows:
        yield batch()


def _query(parts: list[_Part], label_columns: int, features: list[pa.Field]) -> str:
    """All columns in their order and, last, for each view whether it has a row for the label."""
    made: dict[str, str] = {}
    joins, present = [], []
    for part in parts:
        is_sequence = part.view.kind == "sequence"
        table = f"{'s' if is_sequence else 'v'}{part.number}"
        here = f"l.k{part.number} = {table}.k"
        has_row = f"{table}.f0 IS NOT NULL" if is_sequence else f"{table}.k IS NOT NULL"
        if is_sequence:
            joins.append(f"LEFT JOIN {table} ON l.n = {table}.n")
        elif part.view.event_time:
            joins.append(f"ASOF LEFT JOIN {table} ON {here} AND l.t >= {table}.t")
            if part.view.ttl_s:  # of all rows until then it is the last: where it expired, all have
                has_row += f" AND {table}.t >= l.t - {int(part.view.ttl_s * 1e6)}"
        else:
            joins.append(f"LEFT JOIN {table} ON {here}")
        for number, name in enumerate(part.outputs):
            made[name] = f"CASE WHEN {has_row} THEN {table}.f{number} END"
        present.append(f"coalesce({has_row}, false) AS p{part.number}")
    columns = [f"l.c{number}" for number in range(label_columns)]
    columns += [f"{made[field.name]} AS o{number}" for number, field in enumerate(features)]
    return f"SELECT {', '.join([*columns, *present])} FROM l {' '.join(joins)} ORDER BY l.n"


def _write(
    database: Database,
    query: str,
    fields: list[pa.Field],
    target: Path,
    *,
    report: TrainingReport,
    progress: Progress,
) -> None:
    schema = pa.schema(fields)
    total = database.number("SELECT count(*) FROM l")
    partial = target.with_name(f".{target.name}.partial")
    report.columns = tuple(schema.names)
    step = f"writing {target.name}"
    progress(step, 0, total)
    try:
        with pq.ParquetWriter(partial, schema) as writer:
            for batch in database.stream(query):
                for name in batch.schema.names[len(schema) :]:
                    report.found[name] = report.found.get(name, 0) + batch.column(name).true_count
                own = [batch.column(place).cast(kind) for place, kind in enumerate(schema.types)]
                writer.write_batch(pa.RecordBatch.from_arrays(own, schema=schema))
                report.rows += batch.num_rows
                progress(step, report.rows, total)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(target)
    except OSError as error:
        raise ConfigError(f"{target} cannot be written: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)
