"""`recserve store get`: rows of entities, as the store has them now."""

from typing import Annotated

import typer

from recserve.cli.output import print_json, print_table
from recserve.cli.store.ls import Format
from recserve.cli.store.tables import REGISTRY, RegistryOption, open_tables


def get(
    ids: Annotated[list[str], typer.Argument(help="Ids of an entity.", show_default=False)],
    registry: RegistryOption = REGISTRY,
    *,
    view: Annotated[str, typer.Option(help="The view to read.")] = "",
    model: Annotated[str, typer.Option(help="Read all that a model takes of the entity instead.")] = "",
    entity: Annotated[
        str, typer.Option(help="With --model: whose ids these are; not needed where the model has one.")
    ] = "",
    offline: Annotated[bool, typer.Option("--offline", help="Ask the offline store.")] = False,
    output: Annotated[Format, typer.Option("--output", "-o", help="For people or for programs.")] = (
        Format.TABLE
    ),
) -> None:
    """Show rows by id: of a view, or by the names that a model has for its features."""
    from recserve.feature_store.reading_rows import read_rows

    if bool(view) == bool(model):
        raise typer.BadParameter("give one of the two", param_hint="--view or --model")
    rows = read_rows(open_tables(registry), ids, view=view, model=model, entity=entity, offline=offline)
    if output is Format.JSON:
        print_json(rows)
        return
    names = [name for name in rows[0] if name != "known"]
    print_table(
        ("", *(row[names[0]] for row in rows)), [(n, *(_cell(row[n]) for row in rows)) for n in names[1:]]
    )


def _cell(value: object) -> object:
    return "" if value is None else value
