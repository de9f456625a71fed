"""`recserve features check`: all that is wrong with an fg.json, and what a sample of the data says of it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recserve.cli.findings import Report
from recserve.cli.output import print_table, progress_bar

if TYPE_CHECKING:
    from recserve.features.checks.sample import FeatureSample
    from recserve.features.config import FeatureConfig


def check(
    fg_json: Annotated[Path, typer.Argument(help="The feature config.", show_default=False)],
    *,
    data: Annotated[
        Path | None,
        typer.Option(help="Parquet: rows of the training table to try it on.", show_default=False),
    ] = None,
    rows: Annotated[int, typer.Option(min=1, help="Look at this many rows of it at most.")] = 1_000_000,
    texts: Annotated[
        bool, typer.Option("--texts", help="Outputs may be texts, to be bucketized later.")
    ] = False,
    anywhere: Annotated[
        bool, typer.Option("--anywhere", help="Files that it names may lie outside of its folder.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Find everything that is wrong with an fg.json; exit code 1 if it would not load or not fit the data.

    With --data also: missing columns, types that do not fit, how often each feature takes its default, what
    its limits cut, what its vocabulary lacks, and the buckets that are never hit.
    """
    from recserve.cli.features.environment import farm_hash
    from recserve.features.checks.check import check as check_config

    report = Report(as_json=as_json)
    records = check_config(fg_json, report.note, farm_hash=farm_hash(), texts=texts, anywhere=anywhere)
    samples = _sample(records, data, rows, report) if records is not None and data is not None else []
    if samples and not as_json:
        typer.echo()
        _print(samples)
    report.end(sample=[sample.as_json() for sample in samples])


def _sample(records: "FeatureConfig", data: Path, most: int, report: Report) -> list["FeatureSample"]:
    from recserve.features.checks.rows import RowReader
    from recserve.features.checks.sample import Sampler, check_columns, remarks

    reader = RowReader(data)
    check_columns(records, reader.schema, report.note)
    sampler = Sampler(records)
    total = min(most, reader.rows)
    with progress_bar(data.name, "rows") as show:
        done = 0
        for batch in reader.batches(most):
            sampler.add(batch)
            done += batch.num_rows
            show(done, total)
    remarks(sampler, report.note)
    return [sample for name, sample in sampler.samples.items() if name not in sampler.failed]


def _print(samples: list["FeatureSample"]) -> None:
    rows = [
        [
            sample.feature,
            f"{sample.default_rate:.1%}" if sample.defaults >= 0 else "random",
            sample.unparsable,
            sample.unknown_words,
            sample.out_of_range,
            sample.cut_values + sample.cut_elements,
            "" if sample.hits is None else f"{sample.hits.sum():,} of {len(sample.hits):,}",
        ]
        for sample in samples
    ]
    titles = ["feature", "default", "no number", "unknown", "out of range", "cut", "buckets hit"]
    print_table(titles, rows, title=f"Sample of {max((s.rows for s in samples), default=0):,} rows")
