"""Every benchmark of feature generation, side by side in one run: `make bench-features`.

    python -m benchmarks.features

One question, one file, one process of its own; each can be run alone, `python -m benchmarks.features.costs`.
Writes benchmarks/results-features.md and ends with one line of JSON, its figures. Run it on a machine that
does nothing else.
"""

from __future__ import annotations

import json
import os
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

RESULTS = Path(__file__).parent.parent / "results-features.md"
QUESTIONS = ("request", "offline", "scaling", "costs", "startup")
console = Console(stderr=True)

Figures = dict[str, Any]


def main() -> None:
    """Ask everything, write the page, print the line."""
    figures: Figures = {"machine": machine(), "commit": commit(), "load_before": psutil.getloadavg()[0]}
    for question in QUESTIONS:
        console.print(f"» {question}")
        figures[question] = ask(question)
    RESULTS.write_text(page(figures))
    console.print(f"wrote {RESULTS.name}")
    print(json.dumps(figures))


def ask(question: str) -> Figures:
    """The figures of one file. Everybody has one thread: polars as many as recserve."""
    command = [sys.executable, "-m", f"benchmarks.features.{question}"]
    environment = os.environ | {"POLARS_MAX_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment).stdout
    figures: Figures = json.loads(answer.splitlines()[-1])
    return figures


def page(figures: Figures) -> str:
    """The figures as tables."""
    scaling, startup = figures["scaling"], figures["startup"]
    ids = figures["offline"]["id_values_per_s"] / 1e6
    return f"""# Feature generation: results

Machine: {figures["machine"]}, load before the run {figures["load_before"]:.2f}.
Commit: {figures["commit"]}, {time.strftime("%Y-%m-%d")}. Command: `make bench-features`.
Medians of interleaved rounds; results are compared with those of the others before anything is timed.

## Targets

{targets_table(figures)}

## A request: rank-200, CPU µs

{request_table(figures["request"])}

*finished*: item features and sequence elements lie finished in the item rows, as when serving. *unfinished*:
all 80 features from raw columns. The others start from views of the same raw Arrow buffers: feature by
feature, as a generator does that a config drives; or *by hand*, all columns of this one workload in one
program that asks nothing of the data (no missing values, no several values in a text).

## A table: CPU ns per row and feature, one thread each

{offline_table(figures["offline"])}

polars is lazy and typed, and hashes by its own function; pandas calls a Python function with each cell.

- Texts hashed into ids alone: {ids:.0f} million per second and core.
- All {scaling["features"]} features, `offline.stream`, one thread: {scaling["rows_per_s"]:,.0f} rows/s.
- Peak memory of {scaling["short_rows"]:,} rows: {scaling["short_peak_mib"]:.0f} MiB.
- Peak memory of {scaling["long_rows"]:,} rows: {scaling["long_peak_mib"]:.0f} MiB.

## A feature of each type, ns

{costs_table(figures["costs"])}

Per item row written, per request, and per candidate; const features cost nothing once the plan is built. One
feature alone, its keys in benchmarks/features/costs.py, with made-up rows: maps of 20 pairs and lists come as
texts, as do numbers for overlap, kv_dot_product and combine.

## Start-up

CPU from the files to a generator, a third of the features on one vocab_file of {startup["words"]:,} words:

- {startup["features"]:,} features: {startup["s"]:.2f} s
- a tenth of them: {startup["tenth_s"]:.2f} s
"""


def least(figures: Figures, kind: str, peer: str) -> float:
    """The worst ratio of the groups of a kind."""
    groups = figures["offline"]["groups"].values()
    return min(float(group[f"{peer}_ratio"]) for group in groups if kind in (group["kind"], ""))


TARGETS: list[tuple[str, float, str, Callable[[Figures], float]]] = [
    ("rank-200, finished: CPU µs", 200, "at most", lambda f: f["request"]["finished_us"]),
    ("rank-200, unfinished: CPU µs", 350, "at most", lambda f: f["request"]["unfinished_us"]),
    ("numpy / unfinished", 8, "at least", lambda f: f["request"]["numpy_ratio"]),
    ("numba / unfinished", 3, "at least", lambda f: f["request"]["numba_ratio"]),
    ("id values/s and core, millions", 10, "at least", lambda f: f["offline"]["id_values_per_s"] / 1e6),
    ("two threads / one", 1.8, "at least", lambda f: f["scaling"]["two_threads"]),
    ("polars / recserve, arithmetic, worst", 0.5, "at least", lambda f: least(f, "arithmetic", "polars")),
    (
        "polars / recserve, joins, lists, texts, worst",
        3,
        "at least",
        lambda f: least(f, "relational", "polars"),
    ),
    ("pandas apply / recserve, worst", 20, "at least", lambda f: least(f, "", "pandas")),
    ("peak memory, ten times the rows", 1.1, "at most", lambda f: f["scaling"]["memory_ratio"]),
    ("compiling 1,000 features, CPU s", 2, "at most", lambda f: f["startup"]["s"]),
]


def targets_table(figures: Figures) -> str:
    """What was set out to reach, and what was reached."""
    rows = []
    for name, target, side, of in TARGETS:
        found = of(figures)
        met = found <= target if side == "at most" else found >= target
        rows.append([name, f"{side} {target:g}", f"{found:.4g}", "yes" if met else "**no**"])
    return table(["figure", "target", "measured", "met"], rows)


REQUEST = {
    "finished": "recserve, finished",
    "unfinished": "recserve, unfinished",
    "numpy": "numpy, feature by feature",
    "numba": "numba, feature by feature",
    "fused_numpy": "numpy, by hand",
    "fused_numba": "numba, by hand",
}


def request_table(found: Figures) -> str:
    """One line per contestant."""
    return table(
        ["", "µs", "/ unfinished"],
        [
            [shown, f"{found[f'{name}_us']:.0f}", f"{found[f'{name}_us'] / found['unfinished_us']:.2f}"]
            for name, shown in REQUEST.items()
        ],
    )


def offline_table(found: Figures) -> str:
    """One line per group of features."""
    who = ("recserve", "polars", "pandas")
    return table(
        ["features", "for polars", *who, "polars / recserve", "pandas / recserve"],
        [
            [
                name,
                group["kind"],
                *(f"{group[one]:.1f}" for one in who),
                f"{group['polars_ratio']:.2f}",
                f"{group['pandas_ratio']:.0f}",
            ]
            for name, group in found["groups"].items()
        ],
    )


def costs_table(found: Figures) -> str:
    """One line per feature type."""
    rates = ("item", "user", "pair")
    return table(
        ["feature_type", "const", "item row", "user request", "pair candidate"],
        [
            [name, "0", *(f"{costs[rate]:.0f}" if rate in costs else "" for rate in rates)]
            for name, costs in found.items()
        ],
    )


if __name__ == "__main__":
    main()
