"""`recserve inspect`: what a bundle reads and answers, and how often each feature is computed."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recserve.cli.items.load import loaded, print_columns
from recserve.cli.output import print_json, print_pairs, print_table

if TYPE_CHECKING:
    from recserve.features.plan import PlannedFeature
    from recserve.messages import InputSchema


@dataclass(frozen=True, slots=True)
class Content:
    """What is shown, as JSON has it."""

    bundle: dict[str, Any]
    columns: list[dict[str, str]]  # name, side, type: what requests and item tables bring
    features: list[dict[str, Any]]  # name, type, rate, reads
    tensors: list[dict[str, Any]]  # name, dtype, rank: what the model reads
    outputs: list[str]


def inspect(
    bundle: Annotated[
        Path,
        typer.Argument(help="The exported model directory, or an item snapshot file.", show_default=False),
    ],
    *,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", "-c", help="The service file, for outputs and environment.", show_default=False
        ),
    ] = None,
    items: Annotated[
        bool, typer.Option("--items", help="Load the item tables of the service file: memory by column.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the inputs, features and outputs of a bundle, or what an item snapshot holds.

    The rate of a feature says when it is computed: const with the model, item with a row of the item table,
    user once per request, pair for every candidate.
    """
    from dataclasses import asdict

    if bundle.is_file():
        _show_snapshot(bundle, as_json=as_json)
        return
    content = _content(bundle, config)
    columns = loaded(bundle, config)["columns"] if items else []
    if as_json:
        print_json(asdict(content) | ({"items": columns} if items else {}))
        return
    print_pairs(content.bundle, title="Bundle")
    for title, rows in (
        ("Columns that requests and item tables bring", content.columns),
        ("Features", content.features),
        ("Tensors that the model reads", content.tensors),
        ("Outputs", [{"name": name} for name in content.outputs]),
    ):
        if rows:
            typer.echo()
            print_table(list(rows[0]), [list(row.values()) for row in rows], title=f"{title} ({len(rows)})")
    if columns:
        typer.echo()
        print_columns(columns)


def _show_snapshot(path: Path, *, as_json: bool) -> None:
    """What a file of `item_snapshot` holds; it is not read to its end."""
    from recserve.items.image import Image

    image = Image(path)
    facts = {
        "path": str(path),
        "items": image.rows,
        "bytes": image.bytes,
        "keys": image.key,
        "created": image.created.isoformat(timespec="seconds"),
    }
    columns = [
        {"name": column.name, "type": column.type, "kind": "raw" if column.raw else "finished"}
        for column in image.layout
    ]
    if as_json:
        print_json(facts | {"columns": columns})
        return
    print_pairs(facts, title="Item snapshot")
    typer.echo()
    print_table(["column", "type", "kind"], [list(column.values()) for column in columns], title="Columns")


def _content(path: Path, config: Path | None) -> Content:
    from recserve.bundle import Bundle
    from recserve.cli.columns import request_columns
    from recserve.config.environment import export
    from recserve.config.service import load
    from recserve.engines import name_of
    from recserve.processors.load import load_features, load_model, schema_of, tile_of

    spec = load(config)
    export(spec.envs)
    bundle = Bundle.open(path)
    features, engine, chosen, _ = load_model(bundle, spec)
    if features is None and bundle.fg_path:  # not served, and worth a look
        features = load_features(bundle, spec)
    facts = {
        "path": str(bundle.path),
        "model": bundle.model_path.name,
        "engine": name_of(engine),
        "compiled": chosen.told,
        "input_tile": tile_of(bundle, spec),
    }
    return Content(
        bundle=facts | dict(bundle.model_acc),
        columns=_columns(request_columns(features, schema_of(bundle))) if features else [],
        features=[_feature(feature) for feature in features.plan.features] if features else [],
        tensors=[{"name": name, "dtype": t.dtype, "rank": t.rank} for name, t in engine.inputs.items()],
        outputs=list(engine.outputs),
    )


def _columns(schema: "InputSchema") -> list[dict[str, str]]:
    sides = {"user": schema.user, "context": schema.context, "item": schema.item}
    return [
        {"name": name, "side": side, "type": type_}
        for side, types in sides.items()
        for name, type_ in types.items()
    ]


def _feature(feature: "PlannedFeature") -> dict[str, Any]:
    reads = ", ".join(f"{source.source}:{source.name}" for source in feature.inputs).replace("\x1d", "␝")
    return {
        "name": feature.name,
        "type": feature.type,
        "rate": feature.rate,
        "finished": bool(feature.finished or feature.element),
        "output": feature.is_output,
        "reads": reads,
    }
