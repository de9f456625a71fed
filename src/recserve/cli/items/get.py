"""`recserve items get`: one item as a running service has it."""

from typing import Annotated

import typer

from recserve.cli.items import target
from recserve.cli.output import print_json, print_table


def get(
    item_id: Annotated[str, typer.Argument(help="The id of the item.", show_default=False)],
    *,
    url: target.Url = "",
    token: target.Token = "",
    config: target.Config = None,
    timeout: target.Timeout = 10.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the raw and the finished columns of an item; exit code 1 if there is no such item."""
    with target.client(url, token, config, timeout) as items:
        item = items.get(item_id)
    if item is None:
        typer.echo(f"no such item: '{item_id}'", err=True)
        raise typer.Exit(1)
    if as_json:
        print_json(item)
        return
    rows = [[name, kind, cell] for kind, cells in item.items() for name, cell in cells.items()]
    print_table(["column", "kind", "value"], [[*row[:2], "" if row[2] is None else row[2]] for row in rows])
