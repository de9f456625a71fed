"""`recserve config show`: every setting of a service, with its value and where that came from."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recserve.cli.output import print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from recserve.config.shown import Value


def show(
    service_file: Annotated[
        Path | None, typer.Argument(help="The service file; none = all defaults.", show_default=False)
    ] = None,
    *,
    bundle: Annotated[
        Path | None,
        typer.Option(help="The exported model directory, whose model_acc.json counts.", show_default=False),
    ] = None,
    origin: Annotated[bool, typer.Option("--origin", help="Say where each value came from.")] = False,
    changed: Annotated[bool, typer.Option("--changed", help="Only what is not left at its default.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print each setting of a service as it would be served, secrets as ***."""
    from recserve.config.service import load
    from recserve.config.shown import DEFAULT, values_of

    values = list(_with_bundle(values_of(load(service_file)), bundle))
    values = [value for value in values if not changed or value.origin != DEFAULT]
    if as_json:
        print_json([_of_json(value, origin=origin) for value in values])
        return
    columns = ("key", "value", "unit", "origin")[: 4 if origin else 3]
    rows = [(value.key, _written(value.value), value.unit, value.origin)[: len(columns)] for value in values]
    print_table(columns, rows)


def _with_bundle(values: "Iterable[Value]", bundle: Path | None) -> "Iterator[Value]":
    """INPUT_TILE of the exported model wins over what the service file and the environment say."""
    if bundle is None:
        yield from values
        return
    from recserve.bundle import Bundle

    opened = Bundle.open(bundle)
    for value in values:
        if value.key == "processor_envs.INPUT_TILE" and opened.model_acc.get("INPUT_TILE"):
            yield replace(
                value, value=opened.input_tile(), origin=f"{bundle.name}/model_acc.json, INPUT_TILE"
            )
        else:
            yield value


def _of_json(value: "Value", *, origin: bool) -> dict[str, Any]:
    found = asdict(value)
    return found if origin else {key: found[key] for key in ("key", "value", "unit")}


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
