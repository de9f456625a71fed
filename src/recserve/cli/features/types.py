"""`recserve features types`: what each feature type does, case by case."""

from typing import Annotated

import typer

from recserve.cli.output import print_table


def types(
    name: Annotated[
        str, typer.Argument(help="A feature_type, as in fg.json; without it all are listed.")
    ] = "",
) -> None:
    """Show the feature types, or the keys, cases and rules of one."""
    from rich.console import Console
    from rich.markdown import Markdown

    from recserve.features.docs import reference

    if not name:
        print_table(["feature_type", "its result"], list(reference.summaries().items()))
        return
    page = reference.section(reference.named(name))
    console = Console()
    if console.is_terminal:
        console.print(Markdown(page))
    else:
        typer.echo(page)
