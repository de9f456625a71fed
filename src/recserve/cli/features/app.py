"""Which commands `recserve features` has."""

from __future__ import annotations

import typer

from recserve.cli.features.plan import plan
from recserve.cli.features.run import run

app = typer.Typer(
    name="features",
    no_args_is_help=True,
    help="Feature generation (FG): plan, run and check an fg.json.",
    epilog="[bold]Example[/bold]: recserve features plan fg.json",
)

for _command, _example in (
    (plan, "recserve features plan fg.json"),
    (run, "recserve features run fg.json clicks.parquet features.parquet --threads 2"),
):
    app.command(epilog=f"[bold]Example[/bold]: {_example}")(_command)


@app.callback()
def features() -> None:
    """Keep `plan` a command of its own while it is the only one."""
