"""Which commands `recserve store` has."""

from __future__ import annotations

import typer

from recserve.cli.store.apply import apply
from recserve.cli.store.get import get
from recserve.cli.store.init import init
from recserve.cli.store.ls import ls
from recserve.cli.store.schema import schema
from recserve.cli.store.sync import sync
from recserve.cli.store.training_set import training_set
from recserve.cli.store.write import write

app = typer.Typer(
    name="store",
    no_args_is_help=True,
    help="The feature store: a registry of features over your tables.",
    epilog="[bold]Example[/bold]: recserve store init shop",
)

for _command, _example in (
    (init, "recserve store init shop"),
    (apply, "recserve store apply --registry shop/feature_store.yaml"),
    (ls, "recserve store ls fields -o json"),
    (get, "recserve store get i1 i2 --view item_base"),
    (write, "recserve store write item_clicks clicks.parquet --mode merge"),
    (sync, "recserve store sync --all"),
    (training_set, "recserve store training-set rank_v1 --output train.parquet"),
    (schema, "recserve store schema > feature_store.schema.json"),
):
    app.command(_command.__name__.replace("_", "-"), epilog=f"[bold]Example[/bold]: {_example}")(_command)
