"""How much faster is a model at its own rates than the export itself?

    python -m benchmarks.compile [--bundle FOLDER ...] [--rows 1 20 200 1000] [--seconds 4] [--without-aot]

bare   the exported model, called with a ready dict of tensors: TorchScript, or what torch.export made
flat   the same operators without the containers around them
rates  what depends on the user alone computed once, by TorchScript
kept   the same, with what depends on the item alone taken from a table
aot    the graph of `rates` (of `flat` where there is none) by AOTInductor, called by the engine

All calls take turns in one worker thread, as a server's do: its allocator, one thread of torch. Figures are
medians of processor time, and ratios to `bare`. Beside them stands the ratio of FLOPs that was predicted
before anything was made. Passes (exit code 0) where every call answers as the original does, all rates are
understood, `flat` is never slower, and `rates` takes at most 0.60 of the time wherever at most 0.60 of the
FLOPs were predicted. Writes results-compile.md and ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import torch
from benchmarks import models
from benchmarks.machine import commit, machine, record, table
from rich.console import Console

from recserve.allocator import described, relaunch, tune_allocator
from recserve.bundle import Bundle
from recserve.compile import report
from recserve.compile.asked import USUAL_ROWS, Drawn
from recserve.compile.gate import laid_out
from recserve.compile.package import build_runner, write_package
from recserve.compile.rates.frontier import cut
from recserve.compile.rates.rewrite import Rewritten, rewrite
from recserve.compile.rates.values import Rate
from recserve.compile.rates.walk import Options
from recserve.compile.requests import Requests
from recserve.compile.script import write_script
from recserve.compile.sources import open_source
from recserve.compile.sources.torchscript import TorchScriptSource
from recserve.config.service import load
from recserve.engines import compiled
from recserve.engines.aotinductor import AotInductor
from recserve.engines.compiled import Compiled, Machine
from recserve.engines.engine import BATCH_SIZE
from recserve.engines.flat_script import load_flat
from recserve.engines.parity import PROBABILITY, RELATIVE, difference
from recserve.engines.torchscript import set_threads
from recserve.engines.users import repeated
from recserve.errors import BundleError
from recserve.processors.load import load_features

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from recserve.compile.export import Exported
    from recserve.compile.report import Prediction
    from recserve.compile.sources.source import Source

    Tensors = Mapping[str, NDArray[Any]]
    Call = Callable[[], Any]

DEMO = Path(".demo/bundle")
ROWS = (1, 20, 200, 1000)
VARIANTS = ("bare", "flat", "rates", "kept", "aot")
SEED = 2
KEPT_ITEMS = 100_000
WARM_UP, LEAST_ROUNDS = 5, 15
CPU = torch.device("cpu")
AT_MOST = 0.60  # of the time, where no more of the FLOPs are predicted, at USUAL_ROWS
NOT_SLOWER = 1.03  # what two runs of the same call may differ by
QUIET = 0.5  # processes that wait for a core, in the minute before
console = Console(stderr=True)


@dataclass(slots=True)
class Made:
    """What was made of a bundle: for a request in the layout of one user's row, a call of each variant."""

    name: str
    users: frozenset[str]
    repeats: bool  # the original takes the user's row once for every item
    calls: dict[str, Callable[[Tensors, int], Call]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)  # that it took to make them
    why_not: dict[str, str] = field(default_factory=dict)
    prediction: Prediction | None = None
    bytes_per_item: int = 0


def make(bundle: Bundle, folder: Path, *, aot: bool) -> Made:
    """Make all that can be made of a bundle, in a folder."""
    features = load_features(bundle, load(None))
    source = open_source(bundle)
    set_threads(1)
    asked = Drawn(features, source.inputs, source.sizes)
    made = Made(name_of(bundle.path), asked.users, repeats=not asked.users_once)
    made.calls["bare"] = lambda tensors, rows: _export(source, _as_exported(made, tensors, rows))

    def attempt(name: str, work: Callable[[], Callable[[Tensors, int], Call]]) -> None:
        console.print(f"» {made.name}: making {name}")
        start = time.perf_counter()
        try:
            made.calls[name] = work()
        except BundleError as error:
            made.why_not[name] = str(error)
        made.seconds[name] = time.perf_counter() - start

    def flat() -> Callable[[Tensors, int], Call]:
        exported = source.graph(asked)
        call = _scripted(exported, folder / "flat", source.module)
        graphs["flat"] = exported
        return lambda tensors, rows: call(_as_exported(made, tensors, rows))

    def rates(options: Options) -> Rewritten:
        return rewrite(
            graphs.get("flat") or source.graph(asked),
            source.module,
            example=asked.example(users_once=True),
            alike=asked.alike(users_once=True),
            rates={name: Rate[rate.upper()] for name, rate in asked.rates.items()},
            options=options,
        )

    def by_rates() -> Callable[[Tensors, int], Call]:
        graphs["rates"] = rates(Options(interpreted=True)).exported
        call = _scripted(graphs["rates"], folder / "rates", source.module)
        return lambda tensors, rows: call(tensors)

    def by_items() -> Callable[[Tensors, int], Call]:
        second = rates(Options(interpreted=True, items_apart=True))
        made.prediction = report.predict(report.split(second.steps), USUAL_ROWS)
        by_name = {name: Rate[rate.upper()] for name, rate in asked.rates.items()}
        programs = cut(second.exported, by_name, asked.example(users_once=True))
        made.bytes_per_item = programs.bytes_per_item
        items = _loaded(programs.items, folder / "items", source.module)
        rest = _loaded(programs.rest, folder / "rest", source.module)
        return lambda tensors, rows: _with_kept_items(items, rest, list(programs.widths), tensors, rows)

    def by_aot() -> Callable[[Tensors, int], Call]:
        whole = "rates" in made.calls
        exported = rates(Options()).exported if whole else graphs["flat"]
        engine = _compiled(exported, folder / "aot", bundle, packed=not whole)

        def call(tensors: Tensors, rows: int) -> Call:
            inputs = laid_out(tensors if whole else _as_exported(made, tensors, rows))
            return lambda: engine.run(inputs, rows=rows)

        return call

    graphs: dict[str, Exported] = {}
    attempt("flat", flat)
    attempt("rates", by_rates)
    if "rates" in graphs:
        attempt("kept", by_items)
    if aot and graphs:
        attempt("aot", by_aot)
    return made


def name_of(path: Path) -> str:
    """How a bundle is called in tables."""
    return "demo" if path == DEMO else path.name


def _as_exported(made: Made, tensors: Tensors, rows: int) -> Tensors:
    """The request as the export takes it."""
    if not made.repeats:
        return tensors
    given = repeated(tensors, made.users, rows)
    return {name: tensor for name, tensor in given.items() if name != BATCH_SIZE}


def _export(source: Source, tensors: Tensors) -> Call:
    """A call of the exported model."""
    if isinstance(source, TorchScriptSource):
        return _bare(source.module, tensors)
    engine = source.engine()
    return lambda: engine.run_arrays(tensors)


def _bare(script: Any, tensors: Tensors) -> Call:
    data = {name: torch.from_numpy(tensor) for name, tensor in tensors.items()}
    takes_device = len(script.forward.schema.arguments) > 2
    arguments = (data, CPU) if takes_device else (data,)

    def call() -> Any:
        with torch.inference_mode():
            return script.forward(*arguments)

    return call


def _scripted(exported: Exported, folder: Path, original: Any) -> Callable[[Tensors], Call]:
    script = _loaded(exported, folder, original)
    return lambda tensors: _bare(script, tensors)


def _loaded(exported: Exported, folder: Path, original: Any) -> Any:
    """The graph as a TorchScript file, written and loaded again."""
    folder.mkdir()
    write_script(exported, folder / compiled.SCRIPT)
    return load_flat(_record(exported, folder, "torchscript"), original)


def _with_kept_items(items: Any, rest: Any, names: Sequence[str], tensors: Tensors, rows: int) -> Call:
    """A call that gathers results of items from tables of many, and computes the rest."""
    answers = _bare(items, tensors)()
    tables = {name: answers[name].repeat(-(-KEPT_ITEMS // rows), 1) for name in names}
    slots = torch.randint(KEPT_ITEMS // rows, (rows,), generator=torch.Generator().manual_seed(SEED))
    slots = slots * rows + torch.arange(rows)  # a copy of each item, anywhere
    data = {name: torch.from_numpy(tensor) for name, tensor in tensors.items()}

    def call() -> Any:
        with torch.inference_mode():
            return rest.forward({**data, **{name: tables[name].index_select(0, slots) for name in names}})

    return call


def _compiled(exported: Exported, folder: Path, bundle: Bundle, *, packed: bool) -> AotInductor:
    folder.mkdir()
    write_package(exported, folder / compiled.PACKAGE, packed=packed)
    build_runner(folder / compiled.RUNNER)
    return AotInductor.open(_record(exported, folder, "aotinductor"), bundle)


def _record(exported: Exported, folder: Path, engine: str) -> Compiled:
    return Compiled(
        folder, engine, Machine.this(), "", exported.inputs, exported.tables, exported.outputs,
        parity={}, speed=(), faster=True, created="",
    )  # fmt: skip


# -- measuring ---------------------------------------------------------------------------------------------


def measure(made: Made, tensors: Tensors, rows: int, seconds: float) -> dict[str, Any]:
    """Medians of processor time of calls that take turns, and how far their answers are from the original."""
    calls = {name: made.calls[name](tensors, rows) for name in VARIANTS if name in made.calls}
    wanted = _answer(calls["bare"])
    apart = {name: _apart(wanted, _answer(call)) for name, call in calls.items() if name != "bare"}
    taken: dict[str, list[float]] = {name: [] for name in calls}
    end, turn = time.monotonic() + seconds, 0
    while turn < WARM_UP + LEAST_ROUNDS or time.monotonic() < end:
        for name, call in calls.items():
            start = time.thread_time()
            call()
            if turn >= WARM_UP:
                taken[name].append(time.thread_time() - start)
        turn += 1
    milliseconds = {name: float(np.median(times)) * 1e3 for name, times in taken.items()}
    ratios = {
        name: float(np.median(np.divide(times, taken["bare"])))
        for name, times in taken.items()
        if name != "bare"
    }
    return {"rows": rows, "rounds": turn - WARM_UP, "ms": milliseconds, "ratio": ratios, "apart": apart}


def _answer(call: Call) -> dict[str, NDArray[Any]]:
    return {name: torch.as_tensor(answered).numpy().copy() for name, answered in call().items()}


def _apart(wanted: Mapping[str, NDArray[Any]], found: Mapping[str, NDArray[Any]]) -> float:
    """The largest difference of an output, in shares of what is allowed."""
    apart = difference(wanted, found)
    return max(apart.probability / PROBABILITY, apart.relative / RELATIVE)


def measured(path: Path, rows: Sequence[int], *, seconds: float, aot: bool) -> dict[str, Any]:
    """All figures of one bundle."""
    bundle = Bundle.open(path)
    requests = Requests(load_features(bundle, load(None)), open_source(bundle).inputs, users_once=True)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as worker:
        made = make(bundle, Path(folder), aot=aot)
        figures = []
        for count in rows:
            console.print(f"» {made.name}: {count} rows")
            tensors = requests.example(count, SEED)
            figures.append(worker.submit(measure, made, tensors, count, seconds).result())
    return {
        "bundle": made.name,
        "input_tile": bundle.input_tile(),
        "predicted": made.prediction.figures() if made.prediction else None,
        "seconds": made.seconds,
        "bytes_per_item": made.bytes_per_item,
        "why_not": made.why_not,
        "rows": figures,
    }


# -- what is shown -----------------------------------------------------------------------------------------


def page(bundles: Sequence[Mapping[str, Any]]) -> str:
    """The figures as tables."""
    head = ["model", "INPUT_TILE", "rows", "bare ms", *VARIANTS[1:], "FLOPs predicted", "items kept"]
    rows = []
    for one in bundles:
        predicted = one["predicted"] or {}
        for at in one["rows"]:
            cells = [_figure(at["ratio"].get(name)) for name in VARIANTS[1:]]
            rows.append(
                [one["bundle"], str(one["input_tile"]), str(at["rows"]), f"{at['ms']['bare']:.2f}", *cells]
                + [_figure(predicted.get(key)) for key in ("ratio", "ratio_items_kept")]
            )
    blocks = [table(head, rows)]
    work = [
        [one["bundle"], str(one["input_tile"])]
        + [f"{one['predicted'][f'{rate}_mflop']:.2f}" for rate in ("plain", "user", "item", "pair")]
        + [f"{one['bytes_per_item']:,}" if one["bytes_per_item"] else "–"]
        for one in bundles
        if one["predicted"]
    ]
    if work:
        blocks += [f"MFLOP of a request of {USUAL_ROWS} rows, by rate:"]
        head = ["model", "INPUT_TILE", "as exported", "user", "item", "pair", "bytes per kept item"]
        blocks += [table(head, work)]
    making = [
        [one["bundle"], *(_figure(one["seconds"].get(name), digits=1) for name in VARIANTS[1:])]
        for one in bundles
    ]
    blocks += ["Seconds to make:", table(["model", *VARIANTS[1:]], making)]
    refused = [f"- {one['bundle']}: {name}: {why}" for one in bundles for name, why in one["why_not"].items()]
    if refused:
        blocks += ["Not made:", "\n".join(refused)]
    misses = failures(bundles)
    blocks += ["Missed:\n\n" + "\n".join(f"- {miss}" for miss in misses) if misses else "Nothing is missed."]
    return "\n\n".join(blocks)


def _figure(value: float | None, *, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def failures(bundles: Sequence[Mapping[str, Any]]) -> list[str]:
    """What was not reached."""
    found = []
    for one in bundles:
        if "rates" in one["why_not"]:
            found.append(f"{one['bundle']}: its rates are not understood")
        predicted = (one["predicted"] or {}).get("ratio", 1.0)
        for at in one["rows"]:
            where = f"{one['bundle']} at {at['rows']} rows"
            found += [
                f"{where}: {name} differs by {apart:.1f} times what is allowed"
                for name, apart in at["apart"].items()
                if not apart <= 1.0
            ]
            if at["ratio"].get("flat", 0.0) > NOT_SLOWER:
                found.append(f"{where}: flat takes {at['ratio']['flat']:.2f} of the original's time")
            rates = at["ratio"].get("rates", 1.0)
            if at["rows"] == USUAL_ROWS and predicted <= AT_MOST < rates:
                found.append(f"{where}: rates takes {rates:.2f}, and {predicted:.2f} were predicted")
    return found


def main() -> int:
    """Measure, write the page, print the line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", type=Path, nargs="+", default=[])
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS)
    parser.add_argument("--seconds", type=float, default=4.0, help="of one measurement")
    parser.add_argument("--without-aot", action="store_true", help="compile no machine code")
    parser.add_argument("--folder", type=Path, default=Path("build/bench"))
    arguments = parser.parse_args()
    allocators = load(None).rpc.allocators
    relaunch(allocators, os.environ)
    tune_allocator()
    bundles = arguments.bundle
    if not bundles:
        if not DEMO.exists():
            raise SystemExit(f"{DEMO} is not there; try: make demo")
        models.build(arguments.folder)
        bundles = [DEMO, arguments.folder / "rank"]
    load_before = psutil.getloadavg()[0]
    figures: dict[str, Any] = {
        "machine": machine(),
        "commit": commit(),
        "load_before": load_before,
        "allocator": described(allocators),
        "bundles": [
            measured(path, arguments.rows, seconds=arguments.seconds, aot=not arguments.without_aot)
            for path in bundles
        ],
    }
    shown = page(figures["bundles"])
    console.print(shown, markup=False, soft_wrap=True)
    command = "make bench-compile"
    if arguments.bundle:
        command = f"python -m benchmarks.compile --bundle {' '.join(path.name for path in bundles)}"
    record("compile", "Models at their own rates", command, f"{_said(figures)}\n\n{shown}")
    print(json.dumps(figures))
    return 1 if failures(figures["bundles"]) else 0


def _said(figures: Mapping[str, Any]) -> str:
    """What the figures are."""
    noise = ""
    if figures["load_before"] > QUIET:
        others = f"{figures['load_before']:.1f} other processes ran"
        noise = f"**Not measured on a quiet machine yet**: {others}.\n\n"
    return f"""{noise}*Bare* is the exported model's own call, in milliseconds. All else are
ratios to it: *flat* the same operators without containers, *rates* with the user's part once, *kept* with
results of items in a table, *aot* by AOTInductor. Medians of processor time of calls that take turns in one
worker thread; torch has one thread, the allocator is {figures["allocator"]}."""


if __name__ == "__main__":
    sys.exit(main())
