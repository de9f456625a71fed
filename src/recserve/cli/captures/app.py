"""Which commands `recserve captures` has."""

from __future__ import annotations

import typer

from recserve.cli.captures.ls import ls
from recserve.cli.captures.show import show
from recserve.cli.captures.to_parquet import to_parquet

app = typer.Typer(
    name="captures",
    no_args_is_help=True,
    help="Requests that a service has kept: list them, look at one, make a table of them.",
    epilog="[bold]Example[/bold]: recserve captures ls request_log",
)

for _name, _command, _example in (
    ("ls", ls, "recserve captures ls request_log"),
    ("show", show, "recserve captures show request_log/2026032015/r1_0a1b2c3d4e5f.pb"),
    ("to-parquet", to_parquet, "recserve captures to-parquet request_log table.parquet"),
):
    app.command(_name, epilog=f"[bold]Example[/bold]: {_example}")(_command)
