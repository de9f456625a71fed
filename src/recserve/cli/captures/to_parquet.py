"""`recserve captures to-parquet`: kept requests as a table, one row per item."""

from pathlib import Path
from typing import Annotated

import typer

from recserve.cli.output import progress_bar


def to_parquet(
    captures: Annotated[
        Path, typer.Argument(help="Folder of kept requests, or one of them.", show_default=False)
    ],
    target: Annotated[Path, typer.Argument(help="The Parquet file to write.", show_default=False)],
    *,
    bundle: Annotated[
        Path | None,
        typer.Option(help="The exported model, whose input_schema.json types columns.", show_default=False),
    ] = None,
) -> None:
    """Write one row per item: what was sent of user, context and item, and the texts of its features.

    Files that cannot be read are named, and left out.
    """
    from recserve.client.capture_table import write_table
    from recserve.client.captures import find
    from recserve.messages import InputSchema

    schema = InputSchema.load(bundle / "input_schema.json") if bundle else None
    files = find([captures])
    with progress_bar(f"{captures.name} → {target.name}", "files") as show:

        def progress(step: str, done: int, total: int) -> None:
            show(done + (total if step == "writing" else 0), 2 * total)

        rows, problems = write_table(files, target, schema=schema, progress=progress)
    for problem in problems.values():
        typer.echo(f"left out: {problem}", err=True)
    typer.echo(f"{rows} items of {len(files) - len(problems)} requests in {target}", err=True)
