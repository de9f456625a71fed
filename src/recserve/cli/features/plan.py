"""`recserve features plan`: in which order and how often the features of an fg.json are computed."""

from pathlib import Path
from typing import Annotated

import typer

from recserve.cli.output import print_table


def plan(
    fg_json: Annotated[Path, typer.Argument(help="The feature config.", show_default=False)],
) -> None:
    """Show each feature's order, rate and inputs."""
    from recserve.features import config
    from recserve.features.plan import Plan

    planned = Plan(config.load(fg_json), tile=False)
    by_name = {feature.name: feature for feature in planned.features}
    rows = [
        [name, by_name[name].type, by_name[name].rate, ", ".join(i.joined for i in by_name[name].inputs)]
        for name in planned.order
    ]
    print_table(["feature", "type", "rate", "reads"], rows)
