"""recserve beside BentoML, FastAPI, LitServe, Ray Serve and TorchServe: `make bench-peers`.

    python -m benchmarks.peers [--folder build/bench] [--peers .venv-peers]
                               [--only fastapi,recserve] [--workload tiny] [--quick]

Writes benchmarks/results-peers.md (of a whole run: not with an option of the second line) and ends with one
line of JSON, its figures. Takes about twelve minutes; run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
from benchmarks import models
from benchmarks.machine import commit, machine
from benchmarks.peers.items import Items
from benchmarks.peers.page import page, targets_table, verdicts
from benchmarks.peers.servers import PEERS, SERVERS, bundle_of, can_compile, versions
from benchmarks.peers.turns import Contest, Plan
from benchmarks.workloads import RANK_200, TINY, Workload
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

RESULTS = Path(__file__).parent.parent / "results-peers.md"
COMPILE_SECONDS = 600  # it takes a minute where nothing else runs
console = Console(stderr=True)

#: Large requests are not scored together, and small ones are no work for a compiler.
COMPILED = ("compiled", "kept")
TAKING_PART = {RANK_200: {"recserve", *COMPILED, *PEERS}, TINY: {"recserve", "batching", *PEERS}}

#: rank-200 is compared in all respects, tiny in throughput.
FULL = {RANK_200: Plan(rounds=3, seconds=3, tail_seconds=6), TINY: Plan(rounds=3, seconds=2, tail_seconds=0)}
QUICK = {RANK_200: Plan(rounds=2, seconds=1, tail_seconds=2), TINY: Plan(rounds=1, seconds=1, tail_seconds=0)}


def main() -> None:
    """Measure, write the page, print the line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("build/bench"))
    parser.add_argument("--peers", type=Path, default=Path(".venv-peers"), help="environment of the peers")
    parser.add_argument("--only", default="", help=f"some of {','.join(SERVERS)}")
    parser.add_argument("--workload", choices=[workload.name for workload in TAKING_PART])
    parser.add_argument("--quick", action="store_true", help="see that all works; the figures are rough")
    arguments = parser.parse_args()
    names = chosen(parser, arguments.only)
    bin = arguments.peers / "bin"
    if not (bin / "python").exists():
        parser.error(f"{arguments.peers} is no environment; `make bench-peers` makes it")
    console.print("» building the models (half a GB, kept)")
    models.build(arguments.folder)
    for workload in TAKING_PART:
        bundle = arguments.folder / bundle_of(workload)
        arrays = bundle.with_name(f"{bundle.name}-arrays")
        Items.prepare(bundle.with_name(f"{bundle.name}-items.parquet"), workload, arrays)
    figures: dict[str, Any] = {
        "machine": machine(),
        "commit": commit(),
        "load_before": psutil.getloadavg()[0],
        "versions": versions(bin),
        "rounds": (QUICK if arguments.quick else FULL)[RANK_200].rounds,
        "workloads": contests(arguments.folder, bin, names, plans_of(arguments)),
    }
    figures["targets"] = verdicts(figures["workloads"])
    for found in figures["workloads"].values():
        for name, why in found["left_out"].items():
            console.print(f"{SERVERS[name].name} is left out: {why}", markup=False)
    if arguments.quick or arguments.only or arguments.workload:
        console.print(targets_table(figures["workloads"]), markup=False)
    else:
        RESULTS.write_text(page(figures, "make bench-peers"))
        console.print(f"wrote {RESULTS.name}")
    print(json.dumps(without_infinities(figures)))


def chosen(parser: argparse.ArgumentParser, only: str) -> list[str]:
    """The servers that take part, in the order of the table."""
    wanted = only.split(",") if only else [*SERVERS]
    for name in wanted:
        if name not in SERVERS:
            parser.error(f"--only {name}: unknown; known are {', '.join(SERVERS)}")
    return [name for name in SERVERS if name in wanted]


def plans_of(arguments: argparse.Namespace) -> dict[Workload, Plan]:
    """What is measured, by workload."""
    plans = QUICK if arguments.quick else FULL
    return {one: plan for one, plan in plans.items() if arguments.workload in (None, one.name)}


def contests(folder: Path, bin: Path, names: list[str], plans: dict[Workload, Plan]) -> dict[str, Any]:
    """The figures of the workloads."""
    found: dict[str, Any] = {}
    with Progress(TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=console) as bar:
        task = bar.add_task("", total=sum(plan.rounds for plan in plans.values()) * len(names))

        def progress(what: str) -> None:
            bar.update(task, description=what, advance=1)
            if not console.is_terminal:
                console.print(f"» {what}")

        for workload, plan in plans.items():
            missing = {}
            taking_part = [name for name in names if name in TAKING_PART[workload]]
            if not set(COMPILED).isdisjoint(taking_part):
                progress("recserve compile")
                missing = compiled(folder / bundle_of(workload))
                taking_part = [name for name in taking_part if name not in missing]
            contest = Contest(workload, taking_part, folder=folder, bin=bin, plan=plan, progress=progress)
            found[workload.name] = contest.run()
            found[workload.name]["left_out"] |= missing
    return found


def compiled(bundle: Path) -> dict[str, str]:
    """Compile a bundle once; why its servers are left out, if it cannot be compiled."""
    if not can_compile():
        return dict.fromkeys(COMPILED, "this recserve has no `recserve compile`")
    if not any(found.parent.name[0] != "." for found in bundle.glob("compiled/*/compiled.json")):
        command = [sys.executable, "-m", "recserve", "compile", str(bundle), "--item-results"]
        try:
            done = subprocess.run(command, stdout=sys.stderr, check=False, timeout=COMPILE_SECONDS)
        except subprocess.TimeoutExpired:
            return dict.fromkeys(COMPILED, f"`recserve compile` took over {COMPILE_SECONDS} s")
        if done.returncode != 0:
            return dict.fromkeys(COMPILED, f"`recserve compile` ended with status {done.returncode}")
    return {}


def without_infinities(value: Any) -> Any:
    """The same with null for what JSON has no number for."""
    if isinstance(value, dict):
        return {key: without_infinities(one) for key, one in value.items()}
    if isinstance(value, list):
        return [without_infinities(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


if __name__ == "__main__":
    main()
