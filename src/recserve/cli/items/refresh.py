"""`recserve items refresh`: read the tables of a running service again, now."""

from typing import Annotated

import typer

from recserve.cli.items import target
from recserve.cli.output import print_json, print_table


def refresh(
    *,
    url: target.Url = "",
    token: target.Token = "",
    config: target.Config = None,
    timeout: target.Timeout = 3600.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Read the tables of a running service again, but static ones; exit code 1 unless all could be."""
    with target.client(url, token, config, timeout) as items:
        report = items.refresh()
    if as_json:
        print_json(report)
    else:
        columns = [
            "table",
            "outcome",
            "rows",
            "unchanged",
            "written",
            "deleted",
            "repeated",
            "seconds",
            "error",
        ]
        print_table(columns, [[table[name] for name in columns] for table in report["tables"]])
    raise typer.Exit(int(not report["complete"]))
