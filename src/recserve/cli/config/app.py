"""Which commands `recserve config` has."""

from __future__ import annotations

import typer

from recserve.cli.config.check import check
from recserve.cli.config.schema import schema
from recserve.cli.config.show import show

app = typer.Typer(
    name="config",
    no_args_is_help=True,
    help="Service files: what they say, where each value comes from, and whether it can be meant.",
    epilog="[bold]Example[/bold]: recserve config show service.json --origin",
)

for _command, _example in (
    (show, "recserve config show service.json --origin --changed"),
    (check, "recserve config check service.json --strict"),
    (schema, "recserve config schema > service.schema.json"),
):
    app.command(epilog=f"[bold]Example[/bold]: {_example}")(_command)
