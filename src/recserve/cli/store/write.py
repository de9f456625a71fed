"""`recserve store write`: rows of a file into the online store."""

from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from recserve.cli.store.tables import REGISTRY, RegistryOption, open_tables, step_bars, view_of


class Mode(StrEnum):
    """What becomes of columns that the file lacks."""

    REPLACE = "replace"
    MERGE = "merge"


def write(
    view: Annotated[str, typer.Argument(help="The view that the rows are of.", show_default=False)],
    source: Annotated[
        Path, typer.Argument(help="A .parquet, .arrow or .csv file, or a folder.", show_default=False)
    ],
    registry: RegistryOption = REGISTRY,
    *,
    mode: Annotated[
        Mode,
        typer.Option(
            help="replace: a row is as the file says; merge: columns that the file lacks stay, "
            "and behaviours are added to those of the user."
        ),
    ] = Mode.REPLACE,
) -> None:
    """Write rows under their keys; of a sequence view, behaviours of users."""
    import pyarrow as pa

    from recserve.feature_store.writing import writable, write_table
    from recserve.source import TableSpec
    from recserve.sources import open_source

    tables = open_tables(registry)
    found = view_of(tables.registry, view)
    rows = open_source("file", TableSpec(name=str(source.absolute()), key=found.key))
    step, total, done, written = f"{source.name} → {view}", rows.rows(), 0, 0
    with closing(tables.online(found)) as online, step_bars() as show:
        target = writable(found, online)
        show(step, 0, total)
        for batch in rows.snapshot():
            table = pa.Table.from_batches([batch])
            written += write_table(found, target, table, mode=mode.value, where=str(source))
            done += batch.num_rows
            show(step, done, total)
    typer.echo(f"{written:,} rows → view '{view}'", err=True)
