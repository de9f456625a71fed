"""`recserve score`: one request to a running service, its scores as a table."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recserve.cli import target
from recserve.cli.output import print_json, print_table

if TYPE_CHECKING:
    from recserve.client.client import Scores


def score(
    request: Annotated[
        Path,
        typer.Argument(
            help='A JSON file, - for stdin: {"user": {"user_id": "u1"}, "item_ids": ["i1", "i2"], '
            '"context": {"position": [1, 2]}, "item_features": {}}',
            allow_dash=True,
        ),
    ] = Path("-"),
    *,
    url: target.Url = target.DEFAULT_URL,
    name: target.Name = "",
    token: target.Token = "",
    config: target.Config = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the answer.")] = 5.0,
    top: Annotated[int, typer.Option(min=0, help="Only the best so many items, by the first output.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Send one request and print the scores."""
    from recserve.client.client import Client
    from recserve.config.document import parse_json, read_json
    from recserve.wire.json_scores import from_json

    content = parse_json(sys.stdin.read(), "stdin") if str(request) == "-" else read_json(request)
    service = target.target(url, name, token, config)
    with Client(service.url, service.name, service.token, timeout_s=timeout) as client:
        scores = client.send(from_json(content))
    columns, rows = ["item", *scores], _rows(scores)
    if top:
        rows = sorted(rows, key=lambda row: -_first(row))[:top]
    if as_json:
        items = [dict(zip(columns, row, strict=True)) for row in rows]
        print_json({"items": items, "request_id": scores.request_id, "stages_ms": dict(scores.stages_ms)})
        return
    print_table(columns, rows)
    if scores.stages_ms:
        stages = "  ".join(f"{stage} {spent:g}" for stage, spent in scores.stages_ms.items())
        typer.echo(f"server time in ms: {stages}", err=True)


def _rows(scores: "Scores") -> list[list[Any]]:
    """One row per item; without ids items are numbered from 0."""
    values = [array.tolist() for array in scores.values()]
    ids: list[Any] = list(scores.item_ids) or list(range(len(values[0]) if values else 0))
    return [[item, *(column[row] for column in values)] for row, item in enumerate(ids)]


def _first(row: list[Any]) -> float:
    value = row[1]
    return float(value[0] if isinstance(value, list) else value)
