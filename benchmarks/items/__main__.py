"""Every benchmark of the item store, side by side in one run: `make bench-items`.

    python -m benchmarks.items [--rows 1000000] [--reads 100000000] [--ten-million 10000000]

One question, one file, one process of its own; each can be run alone, `python -m benchmarks.items.gather`.
Writes benchmarks/results-items.md and ends with one line of JSON, its figures. Run it on a machine that does
nothing else; `--ten-million 0` leaves out what takes 4 GB of memory.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from benchmarks.machine import commit, machine, table
from rich.console import Console

if TYPE_CHECKING:
    from collections.abc import Callable

RESULTS = Path(__file__).parent.parent / "results-items.md"
console = Console(stderr=True)

Figures = dict[str, Any]


def main() -> None:
    """Ask everything, write the page, print the line."""
    parser = argparse.ArgumentParser(description="Measure the item store.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--reads", type=int, default=100_000_000, help="rows read in search of a torn one")
    parser.add_argument("--ten-million", type=int, default=10_000_000, metavar="ROWS", help="0: leave it out")
    options = parser.parse_args()
    rows = ["--rows", str(options.rows)]
    figures: Figures = {"machine": machine(), "commit": commit(), "load_before": psutil.getloadavg()[0]}
    figures["gather"] = ask("gather", *rows)
    figures["memory"] = ask("memory", *rows)
    figures["loading"] = ask("loading", *rows)
    figures["keeping"] = ask("keeping", *rows)
    figures["postgres"] = ask("postgres", *rows, package="benchmarks")
    figures["writing"] = ask("writing", *rows, "--reads", str(options.reads))
    if options.ten_million:
        figures["ten_million"] = ask("ten_million", "--rows", str(options.ten_million))
    RESULTS.write_text(page(figures))
    console.print(f"wrote {RESULTS.name}")
    print(json.dumps(figures))


def ask(question: str, *options: str, package: str = "benchmarks.items") -> Figures:
    """The figures of one file."""
    console.print(f"» {question}")
    command = [sys.executable, "-m", f"{package}.{question}", *options]
    answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    figures: Figures = json.loads(answer.splitlines()[-1])
    return figures


def page(figures: Figures) -> str:
    """The figures as tables."""
    command = " ".join(["python -m benchmarks.items", *sys.argv[1:]])
    return f"""# The item store: results

Machine: {figures["machine"]}, load before the run {figures["load_before"]:.2f}.
Commit: {figures["commit"]}, {time.strftime("%Y-%m-%d")}. Command: `{command}`.
Medians of rounds in turns; what is compared gives equal results, which is checked before anything is timed.

## Targets

{targets_table(figures)}

The store has 50 columns (20 int64, 20 float32, 10 int32: 280 bytes) under text keys of 14 bytes. CPU is that
of the calling thread. *take*: a dict of row numbers and `RecordBatch.take`. *Index*: hash cells, the version
header of a row and its hash. *Packed row*: key, presence bits, cells and padding, over the bytes of the key
and the widths of the columns. *Refresh peak*: what the process has at most while a table comes in again, over
what it had before; 10 % of its rows changed, 5 % are gone, 5 % are new.

## All figures

{figures_table(figures)}
"""


TARGETS: list[tuple[str, float, str, Callable[[Figures], float]]] = [
    ("gather of 200 ids × 50 columns, CPU µs", 60, "at most", lambda f: f["gather"]["gather_200_us"]),
    ("gather of 1000 ids × 50 columns, CPU µs", 200, "at most", lambda f: f["gather"]["gather_1000_us"]),
    ("take / gather, 200 ids", 6, "at least", lambda f: f["gather"]["take_ratio_200"]),
    ("take / gather, 1000 ids", 6, "at least", lambda f: f["gather"]["take_ratio_1000"]),
    ("two threads / one, 200 ids", 1.8, "at least", lambda f: f["gather"]["two_threads_200"]),
    ("two threads / one, 1000 ids", 1.8, "at least", lambda f: f["gather"]["two_threads_1000"]),
    ("sequence of 200 ids × 8 columns, CPU µs", 25, "at most", lambda f: f["gather"]["sequence_us"]),
    ("index, bytes per row", 40, "at most", lambda f: f["memory"]["index_bytes_per_row"]),
    ("packed row / field widths", 1.05, "at most", lambda f: f["memory"]["packed_ratio"]),
    ("refresh peak / before, the store alone", 1.15, "at most", lambda f: f["memory"]["refresh_peak_ratio"]),
    ("the same with the server's file reader", 1.15, "at most", lambda f: f["keeping"]["refresh_peak_ratio"]),
    ("load of Parquet × 20 columns, rows/s", 1e6, "at least", lambda f: f["loading"]["rows_per_s"]),
    ("load of PostgreSQL / ADBC alone", 0.7, "at least", lambda f: f["postgres"]["of_adbc"]),
    ("start from the image, s", 1, "at most", lambda f: f["keeping"]["start_s"]),
    ("upserts/s beside the readers", 1e5, "at least", lambda f: f["writing"]["upserts_per_s"]),
    ("reader CPU with / without writer", 1.1, "at most", lambda f: f["writing"]["median_ratio"]),
    ("its p99 with / without writer", 1.5, "at most", lambda f: f["writing"]["p99_ratio"]),
    ("rows read in search of torn ones", 1e8, "at least", lambda f: f["writing"]["rows_read"]),
    ("upserts/s meanwhile", 1e5, "at least", lambda f: f["writing"]["torn_upserts_per_s"]),
    ("torn rows", 0, "at most", lambda f: f["writing"]["torn_rows"]),
]


def targets_table(figures: Figures) -> str:
    """What was set out to reach, and what was reached."""
    rows = []
    for name, target, side, of in TARGETS:
        found = of(figures)
        met = found <= target if side == "at most" else found >= target
        rows.append([name, f"{side} {target:,g}", f"{found:,.4g}", "yes" if met else "**no**"])
    return table(["figure", "target", "measured", "met"], rows)


def figures_table(figures: Figures) -> str:
    """Every figure of every question."""
    rows = [
        [question.replace("_", " "), name.replace("_", " "), f"{value:,.4g}"]
        for question, found in figures.items()
        if isinstance(found, dict)
        for name, value in found.items()
        if not name.endswith("_target")
    ]
    return table(["question", "figure", "value"], rows)


if __name__ == "__main__":
    main()
