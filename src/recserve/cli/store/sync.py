"""`recserve store sync`: what is new in the offline store, into the online store."""

from time import perf_counter
from typing import Annotated

import typer

from recserve.cli.output import print_table
from recserve.cli.store.tables import (
    REGISTRY,
    MemoryOption,
    RegistryOption,
    open_tables,
    step_bars,
    view_of,
)


def sync(
    views: Annotated[list[str] | None, typer.Argument(help="Views to sync.", show_default=False)] = None,
    registry: RegistryOption = REGISTRY,
    *,
    every: Annotated[bool, typer.Option("--all", help="All views that are online.")] = False,
    full: Annotated[
        bool, typer.Option("--full", help="Write all rows, also those that were synced; finds late ones.")
    ] = False,
    memory_mb: MemoryOption = 1024,
) -> None:
    """Write what is new, by event time, and remember how far it came: a run that broke off goes on there."""
    from recserve.feature_store.sync import shown_time
    from recserve.feature_store.sync import sync as sync_view

    if bool(views) == every:
        raise typer.BadParameter("name views, or say --all", param_hint="VIEWS or --all")
    tables = open_tables(registry)
    known = tables.registry.views
    wanted = (
        [v for v in known.values() if v.online]
        if every
        else [view_of(tables.registry, n) for n in views or ()]
    )
    done = []
    with step_bars() as show:
        for view in wanted:
            started = perf_counter()
            report = sync_view(tables, view, full=full, memory_mb=memory_mb, progress=show)
            seconds = perf_counter() - started
            done.append((report.view, report.rows, report.kept, shown_time(report.until), f"{seconds:.1f} s"))
    print_table(("view", "rows written", "newer online", "in sync until", "took"), done)
