"""`recserve store init`: a registry and tables to begin with."""

from pathlib import Path
from typing import Annotated

import typer


def init(
    folder: Annotated[Path, typer.Argument(help="Where to write it; made if it is not there.")] = Path(),
) -> None:
    """Write a commented registry and sample tables; every other command works on them at once."""
    from recserve.feature_store.sample import write_sample

    registry = write_sample(folder)
    typer.echo(f"{registry}: project 'shop'; its tables are in {folder / 'offline'}")
    option = "" if folder == Path() else f" --registry {registry}"
    typer.echo(f"next: recserve store apply{option}")
