"""`recserve features plan`: in which order and how often the features of an fg.json are computed."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recserve.cli.output import print_json, print_table

if TYPE_CHECKING:
    from recserve.features.config import FeatureConfig
    from recserve.features.plan import Plan
    from recserve.features.views.overview import Line
    from recserve.features.views.timing import Timing


def plan(
    fg_json: Annotated[Path, typer.Argument(help="The feature config.", show_default=False)],
    *,
    feature: Annotated[
        str, typer.Option(help="Only this feature and all that it reads.", show_default=False)
    ] = "",
    rate: Annotated[
        str, typer.Option(help="Only features of this rate: const, item, user, pair.", show_default=False)
    ] = "",
    candidates: Annotated[int, typer.Option(min=1, help="Items per request, for what it costs.")] = 200,
    measure: Annotated[bool, typer.Option("--measure", help="Time every feature, on made-up rows.")] = False,
    data: Annotated[
        Path | None,
        typer.Option(help="Parquet: time every feature on these rows instead.", show_default=False),
    ] = None,
    tile: Annotated[int, typer.Option(min=0, max=3, help="INPUT_TILE of the model.")] = 0,
    mermaid: Annotated[
        Path | None,
        typer.Option(help="Draw it, as Mermaid text for Markdown, into this file; - prints it."),
    ] = None,
    dot: Annotated[Path | None, typer.Option(help="Draw it, as text for Graphviz; - prints it.")] = None,
    svg: Annotated[Path | None, typer.Option(help="Draw it, by Graphviz's program dot; - prints it.")] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Draw every feature of a large plan, rather than like ones as one.")
    ] = False,
    anywhere: Annotated[
        bool, typer.Option("--anywhere", help="Files that it names may lie outside of its folder.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show each feature's order, rate, inputs, what is prepared, and what a request costs.

    The rate says when a feature is computed: const with the model, item with a row of the item table, user
    once per request, pair for every candidate.
    """
    from recserve.features import config
    from recserve.features.plan import Plan
    from recserve.features.views import overview

    if rate and rate not in overview.RATES:
        raise typer.BadParameter(f"'{rate}' is none of {', '.join(overview.RATES)}", param_hint="--rate")
    loaded = config.load(fg_json, anywhere=anywhere)
    planned = Plan(loaded, tile=tile > 0)
    names = overview.chosen(planned, feature=feature, rate=rate)
    if mermaid or dot or svg:
        _draw(planned, names, {"mermaid": mermaid, "dot": dot, "svg": svg}, full=full)
        return
    timing = _measured(loaded, data, tile=tile, candidates=candidates) if measure or data else None
    lines = overview.lines(planned, candidates=candidates, names=names, timing=timing)
    if as_json:
        print_json(_document(lines, timing, candidates))
    else:
        _print(lines, timing, candidates)


def _draw(planned: "Plan", names: list[str], files: dict[str, Path | None], *, full: bool) -> None:
    from recserve.features.views import drawing

    folded = len(names) > drawing.MANY and not full
    drawn = drawing.draw(planned, names, folded=folded)
    texts = {"mermaid": drawing.mermaid(drawn), "dot": drawing.dot(drawn)}
    for kind, path in files.items():
        if path is None:
            continue
        content = drawing.svg(texts["dot"]) if kind == "svg" else texts[kind].encode()
        if str(path) == "-":
            typer.echo(content, nl=False)
        else:
            path.write_bytes(content)
            typer.echo(f"{path}: {len(names)} features", err=True)
    if folded:
        typer.echo(
            "Like features are drawn as one; --full draws each, --feature NAME what it reads", err=True
        )


def _measured(loaded: "FeatureConfig", data: Path | None, *, tile: int, candidates: int) -> "Timing":
    from recserve.features.generator import Generator
    from recserve.features.views.made_up import made_up_rows
    from recserve.features.views.timing import measure, read_sample

    texts = any(f.type.discrete and not f.type.bucketized and not f.type.stub_type for f in loaded.features)
    generator = Generator(loaded, tile=tile > 0, texts=texts)
    sample = made_up_rows(generator.plan) if data is None else read_sample(generator.plan, data)
    wanted = {
        i.joined for f in generator.plan.features for i in f.inputs if i.source not in ("feature", "const")
    }
    if absent := sorted(wanted - set(sample.column_names)):
        typer.echo(f"{data} lacks, and takes for missing: {', '.join(absent)}", err=True)
    return measure(generator, sample, candidates=candidates)


def _document(lines: list["Line"], timing: "Timing | None", candidates: int) -> dict[str, Any]:
    from recserve.features.views.overview import totals

    return {
        "candidates": candidates,
        "features": [asdict(line) for line in lines],
        "totals": [asdict(total) for total in totals(lines)],
        "generate_ns": None if timing is None else timing.generate,
    }


def _print(lines: list["Line"], timing: "Timing | None", candidates: int) -> None:
    from recserve.features.views.overview import totals

    columns = ["#", "feature", "type", "rate", "reads", "ready", "gives", "rows"]
    rows: list[list[Any]] = [
        [
            line.place,
            line.feature,
            f"{line.type}, Python step" if line.python else line.type,
            line.rate,
            ", ".join(line.reads),
            line.ready,
            line.gives,
            line.rows,
        ]
        for line in lines
    ]
    sums: list[list[Any]] = [[total.rate, total.features, total.rows] for total in totals(lines)]
    headings = ["rate", "features", "rows"]
    if timing is not None:
        columns += ["ns per row", "µs per request"]
        headings += ["ns per item row", "µs per request"]
        for row, line in zip(rows, lines, strict=True):
            row += [round(line.row_ns or 0), _microseconds(line.request_ns)]
        for row, total in zip(sums, totals(lines), strict=True):
            row += [round(total.item_row_ns or 0) or "", _microseconds(total.request_ns)]
    print_table(columns, rows)
    typer.echo(f"\nA request of {candidates} candidates")
    print_table(headings, sums)
    if timing is not None and timing.generate is not None:
        typer.echo(f"\n{_microseconds(timing.generate):g} µs for all features, tensors laid out")


def _microseconds(nanoseconds: float | None) -> float:
    return round((nanoseconds or 0) / 1000, 2)
