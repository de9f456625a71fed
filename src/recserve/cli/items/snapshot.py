"""`recserve items snapshot`: write the snapshot file of a running service, now."""

from typing import Annotated

import typer

from recserve.cli.items import target
from recserve.cli.items.status import megabytes
from recserve.cli.output import print_json


def snapshot(
    *,
    url: target.Url = "",
    token: target.Token = "",
    config: target.Config = None,
    timeout: target.Timeout = 3600.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write the file of `item_snapshot`, which the next start maps; the service goes on meanwhile."""
    with target.client(url, token, config, timeout) as items:
        written = items.save()
    if as_json:
        print_json(written)
    else:
        typer.echo(f"{written['path']}: {megabytes(written['bytes'])}")
