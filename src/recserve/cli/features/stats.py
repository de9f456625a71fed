"""`recserve features stats`: what features look like in a table, and how far they are from a baseline."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recserve.cli.output import print_json, print_table, progress_bar

if TYPE_CHECKING:
    from recserve.features.checks.drift import Drift
    from recserve.features.checks.stats import Baseline


def stats(
    fg_json: Annotated[Path, typer.Argument(help="The feature config.", show_default=False)],
    data: Annotated[Path, typer.Argument(help="Parquet: rows of the training table.", show_default=False)],
    *,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="JSON to write: the baseline.", show_default=False)
    ] = None,
    compare: Annotated[
        Path | None, typer.Option(help="A baseline to compare with.", show_default=False)
    ] = None,
    psi: Annotated[float, typer.Option(help="PSI above which a feature has drifted.")] = 0.25,
    js_distance: Annotated[float, typer.Option(help="The same, of the Jensen-Shannon distance.")] = 0.3,
    rate: Annotated[float, typer.Option(help="The same, of the default or missing rate, either way.")] = 0.05,
    plots: Annotated[
        Path | None, typer.Option(help="Directory to draw pages of features into.", show_default=False)
    ] = None,
    svg: Annotated[bool, typer.Option("--svg", help="Draw SVG rather than PNG.")] = False,
    anywhere: Annotated[
        bool, typer.Option("--anywhere", help="Files that it names may lie outside of its folder.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure every feature over a table; with --compare, exit code 1 if one has drifted from a baseline.

    Memory does not depend on the number of rows.
    """
    from dataclasses import asdict

    from recserve.features.checks.drift import Limits
    from recserve.features.checks.drift import compare as compare_baselines
    from recserve.features.checks.stats import Baseline

    before = Baseline.read(compare) if compare else None
    today = _measure(fg_json, data, anywhere=anywhere)
    if out is not None:
        today.write(out)
    if plots is not None:
        from recserve.features.checks.plots import draw

        for page in draw(today, plots, before=before, form="svg" if svg else "png"):
            typer.echo(f"{page}", err=True)
    found = list(compare_baselines(today, before, Limits(psi, js_distance, rate))) if before else []
    if as_json:
        features = [entry.as_json() for entry in today.features.values()]
        print_json({"rows": today.rows, "features": features, "drift": [asdict(entry) for entry in found]})
    elif before is None:
        _print(today)
    else:
        _print_drift(found)
    raise typer.Exit(int(any(entry.why for entry in found)))


def _measure(fg_json: Path, data: Path, *, anywhere: bool) -> "Baseline":
    from recserve.cli.features.environment import farm_hash
    from recserve.features import config
    from recserve.features.checks.rows import RowReader
    from recserve.features.checks.stats import Statistician

    statistician = Statistician(config.load(fg_json, farm_hash=farm_hash(), anywhere=anywhere))
    reader = RowReader(data)
    with progress_bar(data.name, "rows") as show:
        done = 0
        for batch in reader.batches(columns=statistician.columns):
            statistician.add(batch)
            done += batch.num_rows
            show(done, reader.rows)
    return statistician.baseline()


def _print(today: "Baseline") -> None:
    rows = []
    for name, entry in today.features.items():
        typical = f"{entry.numbers.mean:.4g} ± {entry.numbers.deviation:.4g}"
        if entry.kind != "numbers":
            typical = ", ".join(f"{value}: {share:.1%}" for value, share in list(entry.shares.items())[:3])
        per_row = f"{entry.lengths.quantile(0.5):.0f} … {entry.lengths.most:.0f}" if entry.rows else ""
        rows.append([name, entry.kind, f"{entry.default_rate:.1%}", per_row, entry.distinct, typical])
    titles = ["feature", "kind", "default", "values per row", "different", "typical"]
    print_table(titles, rows, title=f"{today.rows:,} rows")


def _print_drift(found: list["Drift"]) -> None:
    rows = [
        [
            "✗" if entry.why else "✓",
            entry.name,
            f"{entry.psi:.3f}",
            f"{entry.js_distance:.3f}",
            f"{entry.rate_before:.1%} → {entry.rate:.1%}",
            ", ".join(entry.why),
        ]
        for entry in sorted(found, key=lambda entry: (not entry.why, -entry.psi))
    ]
    drifted = sum(bool(entry.why) for entry in found)
    titles = ["", "feature", "PSI", "JS distance", "without value", "drift of"]
    print_table(titles, rows, title=f"{drifted} of {len(found)} have drifted")
