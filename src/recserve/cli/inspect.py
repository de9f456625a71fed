"""`recserve inspect`: what a bundle reads and answers, and how often each feature is computed."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

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
    bundle: Annotated[Path, typer.Argument(help="The exported model directory.", show_default=False)],
    *,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", "-c", help="The service file, for outputs and environment.", show_default=False
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the inputs, features and outputs of a bundle.

    The rate of a feature says when it is computed: const with the model, item with a row of the item table,
    user once per request, pair for every candidate.
    """
    from dataclasses import asdict

    content = _content(bundle, config)
    if as_json:
        print_json(asdict(content))
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


def _content(path: Path, config: Path | None) -> Content:
    from recserve.bundle import Bundle
    from recserve.cli.columns import request_columns
    from recserve.config.environment import export
    from recserve.config.service import load
    from recserve.processors.load import load_engine, load_features, schema_of, tile_of

    spec = load(config)
    export(spec.envs)
    bundle = Bundle.open(path)
    features = load_features(bundle, spec) if bundle.fg_path else None
    engine = load_engine(bundle, spec, features)
    facts = {
        "path": str(bundle.path),
        "model": bundle.model_path.name,
        "engine": bundle.engine,
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
