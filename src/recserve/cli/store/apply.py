"""`recserve store apply`: check a registry, say what it changes, and make the tables that are missing."""

from typing import Annotated

import typer

from recserve.cli.output import print_table
from recserve.cli.store.tables import REGISTRY, RegistryOption, open_tables

_SIGNS = {"ok": "✓", "made": "+", "missing": "!", "wrong": "✗", "unreachable": "✗"}


def apply(
    registry: RegistryOption = REGISTRY,
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit with 1 where something would change.")
    ] = False,
) -> None:
    """Check the registry and its tables, show what changed since it was last applied, and make online tables.

    What was applied is kept in a file beside the registry, <registry>.applied.json; keep it in git too.
    """
    from recserve.feature_store import apply as applying
    from recserve.sources import make_table

    tables = open_tables(registry)
    path = applying.state_path(registry)
    changes = applying.changes(applying.applied(path), applying.described(tables.registry))
    for change in changes:
        note = "  (what was trained or written before may not fit)" if change.breaking else ""
        typer.echo(f"{change.sign} {change.what}: {change.detail}{note}")
    if not changes:
        typer.echo(f"{registry}: nothing changed")
    checks = list(applying.check_tables(tables, None if check else make_table))
    print_table(
        ("", "view", "store", "table"),
        [
            (_SIGNS[c.state], c.view, c.store, f"{c.state}: {c.detail}" if c.detail else c.state)
            for c in checks
        ],
    )
    wrong = sum(not c.is_fine for c in checks)
    if wrong:
        typer.echo(f"recserve: {wrong} of {len(checks)} tables are not as the registry says", err=True)
        raise typer.Exit(1)
    if check:
        raise typer.Exit(1 if changes else 0)
    applying.remember(path, tables.registry)
