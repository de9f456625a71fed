"""Every benchmark of a release, side by side in one run: `make bench`.

    python -m benchmarks [--folder build/bench] [--seconds 4] [--rounds 5] [--items 1000000]

Writes benchmarks/results.md and ends with one line of JSON, its figures. Run it on a machine that does
nothing else.
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
from benchmarks import models, serving, stages
from benchmarks.machine import commit, machine, recorded, table
from benchmarks.workloads import WORKLOADS
from rich.console import Console

if TYPE_CHECKING:
    from collections.abc import Callable

RESULTS = Path(__file__).parent / "results.md"
PEERS = RESULTS.with_name("results-peers.md")
console = Console(stderr=True)


def main() -> None:
    """Measure everything, write the page, print the line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("build/bench"))
    parser.add_argument("--seconds", type=float, default=4.0, help="of one measurement of a server")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--items", type=int, default=1_000_000, help="rows of the item table")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    figures: dict[str, Any] = {
        "machine": machine(),
        "commit": commit(),
        "load_before": psutil.getloadavg()[0],
    }
    console.print("» building the models (half a GB, kept)")
    models.build(arguments.folder)
    console.print("» stages")
    figures["stages"] = {
        name: stages.measure(arguments.folder, workload, runs=600) for name, workload in WORKLOADS.items()
    }
    figures["alone"] = {
        name: stages.alone(arguments.folder, workload, runs=600) for name, workload in WORKLOADS.items()
    }
    console.print("» items")
    figures["items"] = item_store(arguments.items)
    console.print("» servers")
    figures["serving"] = serving.run(arguments.folder, seconds=arguments.seconds, rounds=arguments.rounds)
    RESULTS.write_text(page(figures))
    console.print(f"wrote {RESULTS.name}")
    print(json.dumps(figures))


def item_store(rows: int) -> dict[str, float]:
    """The row store's figures, from a process of its own: its memory is one of them."""
    command = [sys.executable, "-m", "benchmarks.items.store", "--rows", str(rows)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    figures: dict[str, float] = json.loads(lines[-1])
    return figures


def page(figures: dict[str, Any]) -> str:
    """The figures as tables."""
    pages = "\n".join(f"- [{title}]({name})" for name, title in recorded())
    return f"""# Results

Machine: {figures["machine"]}, load before the run {figures["load_before"]:.2f}.
Commit: {figures["commit"]}, {time.strftime("%Y-%m-%d")}. Command: `make bench`.
Medians; the server and its yardsticks take turns in one run, in new processes each round.

The workloads are those of benchmarks/workloads.py. *Bare* is the same TorchScript artefact called in a warmed
worker thread; *non-model* is the CPU of the whole server process per request with a model that takes the same
inputs and returns zeros.

## Serving

{serving_table(figures["serving"])}

p99 is that of an open loop at {serving.LOAD:.0%} of the saturated throughput; saturated means
{serving.SATURATING} callers that never wait.

## Targets

{targets_table(figures)}

## CPU per stage, one request, µs

{stages_table(figures["stages"])}

`run` is what the engine adds to its model: the zero model's call with its tensors. Here the stages follow one
another, and each finds the caches full of the others' data. Alone, one call after the other of the same verb:

{stages_table(figures["alone"])}

## Items

{items_table(figures["items"])}

## Beside other servers

{tables_of(PEERS)}

## More

{pages}
"""


def tables_of(page: Path) -> str:
    """The sections of another benchmark's page, one level further down, and where the rest of it is."""
    if not page.exists():
        return "Not measured: `make bench-peers`."
    sections = page.read_text().partition("\n## ")[2].strip()
    shown = f"## {sections}".replace("\n## ", "\n### ").replace("## ", "### ", 1)
    return f"Of [{page.name}]({page.name}), which says how, and on which commit.\n\n{shown}"


SERVING = {
    "bare p50 ms": ("bare_p50_ms", ".2f"),
    "p50 ms": ("p50_ms", ".2f"),
    "p50 / bare": ("p50_ratio", ".3f"),
    "p99 ms": ("p99_ms", ".2f"),
    "bare req/s": ("bare_throughput", ".0f"),
    "req/s": ("throughput", ".0f"),
    "req/s / bare": ("throughput_ratio", ".3f"),
    "CPU ms": ("cpu_ms", ".2f"),
    "non-model CPU ms": ("non_model_cpu_ms", ".3f"),
    "RSS MB": ("rss_mb", ".0f"),
}


def serving_table(rows: dict[str, dict[str, float]]) -> str:
    """One line per workload."""
    return table(
        ["workload", *SERVING],
        [
            [name, *(format(found[key], form) for key, form in SERVING.values())]
            for name, found in rows.items()
        ],
    )


def stages_table(rows: dict[str, dict[str, float]]) -> str:
    """One line per workload, one column per stage."""
    return table(
        ["workload", *stages.STAGES, "sum"],
        [
            [
                name,
                *(f"{found[stage]:.0f}" if stage in found else "" for stage in stages.STAGES),
                f"{sum(found.values()):.0f}",
            ]
            for name, found in rows.items()
        ],
    )


def items_table(found: dict[str, float]) -> str:
    """One line per figure."""
    return table(
        ["figure", "value"], [[name.replace("_", " "), f"{value:.4g}"] for name, value in found.items()]
    )


TARGETS: list[tuple[str, float, str, Callable[[dict[str, Any]], float]]] = [
    ("rank-200: non-model CPU ms", 0.8, "at most", lambda f: f["serving"]["rank-200"]["non_model_cpu_ms"]),
    ("rank-200: p50 / bare", 1.10, "at most", lambda f: f["serving"]["rank-200"]["p50_ratio"]),
    ("rank-200: req/s / bare", 0.92, "at least", lambda f: f["serving"]["rank-200"]["throughput_ratio"]),
    ("rank-1000: p50 / bare", 1.10, "at most", lambda f: f["serving"]["rank-1000"]["p50_ratio"]),
    ("tiny: non-model CPU ms", 0.35, "at most", lambda f: f["serving"]["tiny"]["non_model_cpu_ms"]),
    ("rank-200: generate µs, in a request", 250, "at most", lambda f: f["stages"]["rank-200"]["generate"]),
    ("rank-200: decode µs, alone", 20, "at most", lambda f: f["alone"]["rank-200"]["decode"]),
    ("gather of 200 ids × 40 columns µs", 60, "at most", lambda f: f["items"]["gather_200_cpu_us"]),
    ("load of 1M items × 40 columns s", 8, "at most", lambda f: f["items"]["load_s"]),
    ("memory / narrowest columns", 1.3, "at most", lambda f: f["items"]["process_memory_ratio"]),
]


def targets_table(figures: dict[str, Any]) -> str:
    """What the first release set out to reach, and what it did reach."""
    rows = []
    for name, target, side, of in TARGETS:
        found = of(figures)
        met = found <= target if side == "at most" else found >= target
        rows.append([name, f"{side} {target:g}", f"{found:.4g}", "yes" if met else "**no**"])
    return table(["figure", "target", "measured", "met"], rows)


if __name__ == "__main__":
    main()
