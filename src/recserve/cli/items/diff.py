"""`recserve items diff`: is a running service equal to its tables?"""

from typing import Annotated, Any

import typer

from recserve.cli.items import target
from recserve.cli.output import print_json, print_table

_SAID = {"missing": "only the table has it", "extra": "only the service has it"}


def diff(
    *,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Tell so many rows at most.")] = 100,
    url: target.Url = "",
    token: target.Token = "",
    config: target.Config = None,
    timeout: target.Timeout = 3600.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare the items of a running service with their tables, row by row; exit code 1 if they differ.

    The tables are read as a full refresh reads them; nothing is changed.
    """
    with target.client(url, token, config, timeout) as items:
        found = items.diff(limit)
    if as_json:
        print_json(found)
    elif found["equal"]:
        typer.echo("the items are as their tables")
    else:
        rows = [row for difference in found["differences"] for row in _rows(difference)]
        print_table(["table", "item", "column", "in the service", "in the table"], rows)
        if len(found["differences"]) == limit:
            typer.echo(f"at least {limit} rows differ; --limit tells more", err=True)
    raise typer.Exit(int(not found["equal"]))


def _rows(difference: dict[str, Any]) -> list[list[Any]]:
    """One line per column that differs."""
    where = [difference["table"], difference["key"]]
    if difference["kind"] in _SAID:
        return [[*where, "", _SAID[difference["kind"]], ""]]
    return [
        [*where, name, "" if here is None else here, "" if there is None else there]
        for name, (here, there) in difference["columns"].items()
    ]
