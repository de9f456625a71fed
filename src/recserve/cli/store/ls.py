"""`recserve store ls`: what a registry has."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from recserve.cli.output import print_json, print_table
from recserve.cli.store.tables import REGISTRY, RegistryOption, open_tables


class What(StrEnum):
    """What to list."""

    ALL = "all"
    PROJECT = "project"
    ENTITIES = "entities"
    VIEWS = "views"
    FIELDS = "fields"
    LABELS = "labels"
    MODELS = "models"


class Format(StrEnum):
    """How to print it."""

    TABLE = "table"
    JSON = "json"


def ls(
    what: Annotated[What, typer.Argument(help="What to list.")] = What.ALL,
    registry: RegistryOption = REGISTRY,
    *,
    output: Annotated[Format, typer.Option("--output", "-o", help="For people or for programs.")] = (
        Format.TABLE
    ),
) -> None:
    """List project, entities, views, fields, label tables and models."""
    from recserve.feature_store.listing import listing

    found = listing(open_tables(registry).registry)
    wanted: dict[str, list[dict[str, Any]]] = found if what is What.ALL else {what.value: found[what.value]}
    if output is Format.JSON:
        print_json(wanted)
        return
    for place, (title, rows) in enumerate(wanted.items()):
        if place:
            typer.echo("")
        columns = list(rows[0]) if rows else []
        print_table(columns or ("(none)",), [list(row.values()) for row in rows], title=title)
