"""The command line: which commands there are, and what becomes of their errors."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from recserve.cli.bench import bench
from recserve.cli.captures.app import app as captures
from recserve.cli.check import check
from recserve.cli.compile import compile
from recserve.cli.config.app import app as config
from recserve.cli.deploy import app as deploy
from recserve.cli.deploy import asking
from recserve.cli.doctor import doctor
from recserve.cli.features.app import app as features
from recserve.cli.inspect import inspect
from recserve.cli.items.app import app as items
from recserve.cli.predict import predict
from recserve.cli.replay import replay
from recserve.cli.score import score
from recserve.cli.serve import OWN_PROCESS, serve
from recserve.cli.store.app import app as store
from recserve.cli.version import version
from recserve.errors import RecserveError


class Commands(TyperGroup):
    """Turns our own errors into one line and exit code 1; usage errors are 2, as everywhere."""

    def invoke(self, ctx: Any) -> Any:  # click's Context, or that of the copy of click in newer typers
        """Run a command."""
        try:
            return super().invoke(ctx)
        except RecserveError as error:
            if ctx.params["debug"]:
                raise
            typer.echo(f"recserve: {error}", err=True)
            raise typer.Exit(1) from None


app = typer.Typer(
    cls=Commands,
    name="recserve",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="The open, self-hosted recommendation scoring server.",
    epilog="[bold]Example[/bold]: recserve serve my_export --config service.json --port 8000",
)


@app.callback()
def options(
    context: typer.Context,
    *,
    debug: Annotated[bool, typer.Option("--debug", help="Show the whole trace of an error.")] = False,
    endpoint: asking.Endpoint = "",
    config: asking.Config = None,
    output: asking.Format = asking.Output.table,
    yes: asking.Yes = False,
    key_id: asking.KeyId = "",
    key_secret: asking.KeySecret = "",
) -> None:
    """Hold the options that stand before the command."""
    context.meta[asking.BEFORE] = {"endpoint": endpoint, "config": config, "output": output, "yes": yes}


for _command, _example in (
    (serve, "recserve serve my_export --config service.json --port 8000"),
    (check, "recserve check my_export --config service.json"),
    (doctor, "recserve doctor my_export --config service.json"),
    (inspect, "recserve inspect my_export"),
    (compile, "recserve compile my_export --config service.json"),
    (score, "recserve score request.json --config service.json --url http://127.0.0.1:8000"),
    (predict, "recserve predict my_export joined.parquet scores.parquet --keep user_id --keep item_id"),
    (bench, "recserve bench requests.jsonl --config service.json --rate 200 --duration 30"),
    (replay, "recserve replay request_log --against http://127.0.0.1:8000,http://127.0.0.1:8001"),
    (version, "recserve version --json"),
):
    app.command(epilog=f"[bold]Example[/bold]: {_example}")(_command)
deploy.register(app)
app.add_typer(captures)
app.add_typer(config)
app.add_typer(features)
app.add_typer(items)
app.add_typer(store)


def main() -> None:
    """Entry point of the console script."""
    app(prog_name="recserve", obj=OWN_PROCESS)
