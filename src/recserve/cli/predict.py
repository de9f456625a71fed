"""`recserve predict`: scores of joined rows, offline, by the very artefact that is served."""

from pathlib import Path
from typing import Annotated

import typer

from recserve.cli.output import progress_bar


def predict(
    bundle: Annotated[Path, typer.Argument(help="The exported model directory.", show_default=False)],
    source: Annotated[
        Path,
        typer.Argument(
            help="Parquet: user, item and context columns of one row to score.", show_default=False
        ),
    ],
    target: Annotated[
        Path, typer.Argument(help="Parquet to write: kept columns, then outputs.", show_default=False)
    ],
    *,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", "-c", help="The service file, for outputs and environment.", show_default=False
        ),
    ] = None,
    keep: Annotated[
        list[str] | None, typer.Option(help="A column of the source to keep; may be given more than once.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Rows per call of the model.")] = 4096,
    input_tile: Annotated[
        int | None,
        typer.Option(
            min=0, max=3, help="INPUT_TILE of a bundle whose model_acc.json does not say.", show_default=False
        ),
    ] = None,
) -> None:
    """Score the rows of a Parquet file without server, item store or shortcuts.

    A running service answers the same scores for the same users and items.
    """
    from recserve.bundle import Bundle
    from recserve.config.environment import export, process_environ
    from recserve.config.service import load
    from recserve.processors.load import load_engine, load_features
    from recserve.processors.predict import predict_file

    environ = process_environ()
    if input_tile is not None:
        environ["INPUT_TILE"] = str(input_tile)
    spec = load(config, environ)
    export(spec.envs)
    opened = Bundle.open(bundle)
    features = load_features(opened, spec)
    engine = load_engine(opened, spec, features, repeated=True)
    with progress_bar(f"{source.name} → {target.name}", "rows") as show:
        rows = predict_file(
            features, engine, source, target, batch_rows=batch_size, keep=keep or (), progress=show
        )
    typer.echo(f"{rows} rows scored into {target}", err=True)
