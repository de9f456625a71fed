"""`recserve features explain`: one value of one row, from the raw cells to the bucket id."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recserve.cli.output import print_json, print_table

if TYPE_CHECKING:
    from recserve.features.checks.explain import Explanation


def explain(
    fg_json: Annotated[Path, typer.Argument(help="The feature config.", show_default=False)],
    row: Annotated[
        Path, typer.Argument(help="JSON of one row's columns, or a Parquet file.", show_default=False)
    ],
    *,
    feature: Annotated[str, typer.Option("--feature", "-f", help="Which feature.", show_default=False)],
    number: Annotated[int, typer.Option("--row", min=0, help="Which row of a Parquet file, from 0.")] = 0,
    anywhere: Annotated[
        bool, typer.Option("--anywhere", help="Files that it names may lie outside of its folder.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show how a feature comes to its value: what it reads, then the result of each rule in turn.

    Columns are named as in the training table; those of a sequence group are <group>__<column>.
    """
    from recserve.cli.features.environment import farm_hash
    from recserve.features import config
    from recserve.features.checks.explain import explain as explain_value
    from recserve.features.checks.rows import read_row

    records = config.load(fg_json, farm_hash=farm_hash(), anywhere=anywhere)
    explained = explain_value(records, read_row(row, number), feature)
    if as_json:
        print_json(_finite(explained.as_json()))
        return
    _print(explained)


def _print(explained: "Explanation") -> None:
    typer.echo(f"{explained.feature} ({explained.feature_type}, rate {explained.rate})\n")
    reads = [[f"{read.source}:{read.name}"[:60], read.type, _shown(read.value)] for read in explained.inputs]
    print_table(["reads", "type", "value"], reads)
    typer.echo()
    print_table(["step", "rule", "result"], [[s.step, s.rule, _shown(s.value)] for s in explained.steps])
    typer.echo(f"\nresult  {_shown(explained.result)}")
    if explained.producers:
        typer.echo()
        print_table(
            ["feature", "type", "reads", "result"],
            [
                [
                    producer.feature,
                    producer.feature_type,
                    ", ".join(f"{read.name} = {_shown(read.value, 40)}" for read in producer.inputs),
                    _shown(producer.result) + (" (default)" if producer.steps else ""),
                ]
                for producer in explained.producers
            ],
        )


def _shown(value: Any, most: int = 160) -> str:
    """A value on one line: separators visible, a long one by its start."""
    if value is None:
        return "(missing)"
    text = json.dumps(value, ensure_ascii=False)
    text = text.replace("\\u001d", "␝")
    return text if len(text) <= most else f"{text[:most]}…"


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: they are texts."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    return value
