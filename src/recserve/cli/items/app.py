"""Which commands `recserve items` has."""

from __future__ import annotations

import typer

from recserve.cli.items.diff import diff
from recserve.cli.items.get import get
from recserve.cli.items.load import load
from recserve.cli.items.refresh import refresh
from recserve.cli.items.snapshot import snapshot
from recserve.cli.items.status import status

app = typer.Typer(
    name="items",
    no_args_is_help=True,
    help="Item features: load tables to see figures; look at, and into, a running service.",
    epilog="[bold]Example[/bold]: recserve items status --config service.json",
)

for _command, _example in (
    (load, "recserve items load my_export --config service.json"),
    (status, "recserve items status --config service.json"),
    (get, "recserve items get i1 --url http://127.0.0.1:8001"),
    (diff, "recserve items diff --config service.json --limit 20"),
    (refresh, "recserve items refresh --config service.json"),
    (snapshot, "recserve items snapshot --config service.json"),
):
    app.command(epilog=f"[bold]Example[/bold]: {_example}")(_command)
