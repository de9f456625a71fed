"""`recserve store training-set`: labels with the features of their moment."""

from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from recserve.cli.store.tables import REGISTRY, MemoryOption, RegistryOption, open_tables, step_bars
from recserve.errors import ConfigError


class TimeUnit(StrEnum):
    """What an integer counts."""

    S = "s"
    MS = "ms"
    US = "us"


def training_set(
    model: Annotated[str, typer.Argument(help="The model of the registry.", show_default=False)],
    registry: RegistryOption = REGISTRY,
    *,
    labels: Annotated[
        Path | None,
        typer.Option(help="A file of labels; without it the model's label table.", show_default=False),
    ] = None,
    event_time: Annotated[
        str, typer.Option(help="The column of the file that says when; without it that of the label table.")
    ] = "",
    time_unit: Annotated[
        TimeUnit, typer.Option(help="With --event-time: what integers in that column count since 1970.")
    ] = TimeUnit.S,
    output: Annotated[
        Path | None,
        typer.Option(help="The Parquet file to write; without it the model's.", show_default=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    memory_mb: MemoryOption = 1024,
) -> None:
    """Join to every label the features as they were when it happened, and nothing of later.

    A row of a view counts from its event time on and until its ttl is over; a behaviour counts for labels
    strictly after it. Rows stand in the order of the labels.
    """
    from recserve.feature_store.registry import named
    from recserve.feature_store.training_set import LabelRows, write_training_set
    from recserve.source import TableSpec
    from recserve.sources import open_source

    tables = open_tables(registry)
    found = named(tables.registry.models, model, "model", str(registry))
    table = tables.registry.labels.get(found.label)
    column = event_time or (table.event_time if table else "")
    if not column:
        raise ConfigError(
            f"{registry}: model '{model}' has no label table; say --labels and --event-time, or give it one"
        )
    unit = table.unit if table and not event_time else time_unit.value
    if labels is not None:
        source = open_source("file", TableSpec(name=str(labels.absolute()), key=column))
        rows = LabelRows(source, column, unit)
    elif table is not None:
        rows = LabelRows(tables.labels(table), column, unit, tuple(table.fields))
    else:
        raise ConfigError(f"{registry}: model '{model}' has no label table; say --labels")
    target = output or (registry.parent / found.training_set if found.training_set else None)
    if target is None:
        raise ConfigError(f"{registry}: model '{model}' has no 'training_set'; say --output")
    with closing(rows.source), step_bars() as show:
        report = write_training_set(
            tables, found, rows, target, memory_mb=memory_mb, force=force, progress=show
        )
    typer.echo(f"{report.rows:,} rows, {len(report.columns)} columns → {target}")
    for view, count in report.found.items():
        typer.echo(f"view '{view}': a row for {count:,} of {report.rows:,} labels")
    for view in report.timeless:
        typer.echo(f"view '{view}' has no event time: its values are those of today", err=True)
    for name in report.replaced:
        typer.echo(f"label column '{name}' gave way to the feature of that name", err=True)
