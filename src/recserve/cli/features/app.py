"""Which commands `recserve features` has."""

from __future__ import annotations

import typer

from recserve.cli.features.check import check
from recserve.cli.features.explain import explain
from recserve.cli.features.plan import plan
from recserve.cli.features.run import run
from recserve.cli.features.schema import schema
from recserve.cli.features.stats import stats
from recserve.cli.features.types import types

app = typer.Typer(
    name="features",
    no_args_is_help=True,
    help="Feature generation (FG): plan, run and check an fg.json.",
    epilog="[bold]Example[/bold]: recserve features plan fg.json",
)

for _command, _example in (
    (check, "recserve features check fg.json --data sample.parquet"),
    (explain, "recserve features explain fg.json row.json --feature price_bucket"),
    (plan, "recserve features plan fg.json"),
    (run, "recserve features run fg.json clicks.parquet features.parquet --threads 2"),
    (schema, "recserve features schema > fg.schema.json"),
    (stats, "recserve features stats fg.json today.parquet --compare baseline.json"),
    (types, "recserve features types lookup_feature"),
):
    app.command(epilog=f"[bold]Example[/bold]: {_example}")(_command)
