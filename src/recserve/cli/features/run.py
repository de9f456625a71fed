"""`recserve features run`: features of a table of raw columns, from file to file."""

from enum import StrEnum
from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer

from recserve.cli.output import progress_bar


class OnError(StrEnum):
    """What a value that cannot be read does."""

    RAISE = "raise"
    DEFAULT = "default"


def run(
    fg_json: Annotated[Path, typer.Argument(help="The feature config.", show_default=False)],
    source: Annotated[
        Path,
        typer.Argument(
            help="Raw columns: .parquet, .arrow, .feather, .csv, or a directory of *.parquet.",
            show_default=False,
        ),
    ],
    target: Annotated[Path, typer.Argument(help="The file to write, of the same kinds.", show_default=False)],
    *,
    threads: Annotated[int, typer.Option(min=1, help="Threads that generate.")] = 1,
    on_error: Annotated[
        OnError,
        typer.Option(help="What a text that should be a number does, or a column that the table lacks."),
    ] = OnError.RAISE,
    rejects: Annotated[
        Path | None,
        typer.Option(
            help="Where the rows go that could not be read whole, with --on-error default.",
            show_default=False,
        ),
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            help="A feature to write, or a column to pass through; may be given more than once. "
            "Without it: all output features, and reserves.",
            show_default=False,
        ),
    ] = None,
    without_bucketizers: Annotated[
        bool,
        typer.Option(
            "--without-bucketizers", help="Write the texts and numbers that bucketizers would read."
        ),
    ] = False,
    bucketize_only: Annotated[
        bool,
        typer.Option("--bucketize-only", help="Read what --without-bucketizers wrote, and bucketize it."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
) -> None:
    """Generate the features of all rows of a table, as the server would.

    Rows keep their order. The bytes written depend neither on the threads nor on how the source is cut.
    """
    from recserve.allocator import tune_allocator
    from recserve.cli.features.environment import farm_hash
    from recserve.features.offline import load_generator
    from recserve.features.offline.file_run import run_file

    if rejects is not None and on_error is OnError.RAISE:
        raise typer.BadParameter("rows are rejected with --on-error default only", param_hint="--rejects")
    if without_bucketizers and bucketize_only:
        raise typer.BadParameter("one step at a time", param_hint="--bucketize-only")
    generator = load_generator(
        fg_json,
        farm_hash=farm_hash(),
        step="without_bucketizers" if without_bucketizers else "bucketize_only" if bucketize_only else "",
    )
    tune_allocator()
    started = perf_counter()
    with progress_bar(f"{source.name} → {target.name}", "rows") as show:
        report = run_file(
            generator,
            source,
            target,
            columns=columns,
            threads=threads,
            on_error=on_error.value,
            rejects=rejects,
            force=force,
            progress=show,
        )
    seconds = perf_counter() - started
    typer.echo(f"{report.rows} rows, {report.features} features → {target} in {seconds:.1f} s", err=True)
    for feature, column in report.missing:
        typer.echo(f"feature '{feature}': column '{column}' is not in the table, so missing", err=True)
    for feature, count in report.unparsable.items():
        typer.echo(f"feature '{feature}': {count} values were no numbers, so missing", err=True)
    if report.rejected:
        where = f", written to {rejects}" if rejects else ""
        typer.echo(f"{report.rejected} rows could not be read whole{where}", err=True)
