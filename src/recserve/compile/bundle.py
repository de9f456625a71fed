"""`recserve compile`, step by step: a bundle becomes faster, or stays as it is.

    original ──▶ flat graph ──┬──────────────────────▶ variants: a graph in an engine, each
                              └─▶ at its own rates ──▶ written, loaded again, compared, raced
                                                       the fastest is kept

Whatever fails leaves the bundle untouched: the steps work in a folder beside their aim, which takes its place
at the end.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recserve.compile import gate, report
from recserve.compile.asked import Drawn, Given
from recserve.compile.item_results import write_item_programs
from recserve.compile.package import build_runner, find_compiler, write_package
from recserve.compile.rates.rewrite import rewrite
from recserve.compile.rates.values import Rate
from recserve.compile.rates.walk import Options
from recserve.compile.script import write_script
from recserve.compile.sources import check_kind, open_source
from recserve.engines import compiled, first_sizes, item_programs
from recserve.engines.aotinductor import AotInductor
from recserve.engines.compiled import FLAT, RATES, Compiled, Machine, Step, Variant, sha256_of
from recserve.engines.engine import check_features
from recserve.engines.flat_script import load_flat
from recserve.engines.torch_arrays import device_of
from recserve.engines.torchscript import TorchScript, set_threads
from recserve.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from recserve.bundle import Bundle
    from recserve.compile.export import Exported
    from recserve.compile.sources.source import Source
    from recserve.engines.compiled import Speed
    from recserve.engines.guarded import TensorEngine
    from recserve.engines.item_programs import ItemPrograms
    from recserve.features.generator import Generator

TORCHSCRIPT, AOTINDUCTOR = "torchscript", "aotinductor"

READ, FLATTEN, FIND_RATES = "reading the model", "flattening its graph", "finding its rates"
COMPILE, COMPARE, RACE = "compiling", "comparing answers", "comparing times"
CUT = "cutting out what depends on items alone"


@dataclass(frozen=True, slots=True)
class Progress:
    """Who is told of what is going on: `step` of each that begins, `say` of what was found."""

    step: Callable[[str], None] = lambda step: None
    say: Callable[[str], None] = lambda line: None


def steps(engines: Sequence[str], *, item_results: bool = False) -> tuple[str, ...]:
    """What `compile_bundle` does, as it tells it; what a model cannot have is left out."""
    variants = [
        variant
        for engine in engines
        for graph in (RATES, FLAT)
        for variant in _variants(graph, engine, tuning=len(engines) > 1)
    ]
    return (
        READ,
        FLATTEN,
        *(f"{FIND_RATES} ({engine})" for engine in engines),
        *(f"{verb}: {variant}" for variant in variants for verb in (COMPILE, COMPARE)),
        RACE,
        *([CUT] if item_results else []),
    )


def _variants(graph: str, engine: str, *, tuning: bool) -> list[Variant]:
    """What is made of a graph in an engine; a flat one has large products, for which packed weights pay."""
    if engine != AOTINDUCTOR:
        return [Variant(graph, engine)]
    packed = Variant(graph, engine, packed=True)
    if graph == FLAT:
        return [packed]
    return [Variant(graph, engine), packed] if tuning else [Variant(graph, engine)]


def compile_bundle(
    bundle: Bundle,
    features: Generator | None,
    *,
    samples: Sequence[Mapping[str, NDArray[Any]]] = (),
    output: Path | None = None,
    engines: Sequence[str] = (TORCHSCRIPT,),
    graphs: Collection[str] = (RATES, FLAT),
    item_results: bool = False,
    progress: Progress | None = None,
) -> Compiled:
    """Compile a bundle's model for this machine, into `output` or the bundle itself.

    Each of `engines` gets each of `graphs`: the model at its own rates, and as it is; the fastest of all is
    kept. Without features the compared requests are `samples`: the tensors of at least one request.
    `item_results`: also the two programs that servers need to keep what depends on items alone. Raises
    BundleError if there is nothing that answers alike, and then nothing is written.
    """
    check_kind(bundle)
    if AOTINDUCTOR in engines:
        find_compiler()
    if features is None and not samples:
        raise BundleError(
            "the bundle has no fg.json to draw requests from; give a folder of recorded ones with --samples"
        )
    progress = progress or Progress()
    progress.step(READ)
    source = open_source(bundle)
    set_threads(1)
    if features is not None:
        check_features(features.tensors, source.inputs)
    requests = (
        Given(samples, source.sizes) if features is None else Drawn(features, source.inputs, source.sizes)
    )
    work = _Work(bundle, source, requests, progress, _beside(bundle, output))
    target = (output or bundle.path) / compiled.FOLDER / Machine.this().key
    with _replaced(target) as folder:
        made = work.fastest(folder, engines, graphs)
        made.write()
        why = [made.not_understood] if made.not_understood else []
        if item_results:
            work.cut(folder)
        report.write(folder, made.steps, made.rows, not_understood=why)
    return replace(made, folder=target)


def add_runner(bundle: Bundle, *, output: Path | None = None) -> Path:
    """Build what runs an export that is compiled already (ENABLE_AOT); returns its folder."""
    target = (output or bundle.path) / compiled.FOLDER / Machine.this().key
    with _replaced(target) as folder:
        build_runner(folder / compiled.RUNNER)
    return target


@dataclass(frozen=True, slots=True)
class _Graph:
    """What variants are made of."""

    name: str  # FLAT or RATES
    exported: Exported
    steps: tuple[Step, ...] = ()
    not_understood: str = ""


class _Work:
    """One model, and what is made of it."""

    def __init__(
        self, bundle: Bundle, source: Source, requests: Drawn | Given, progress: Progress, reproducer: Path
    ) -> None:
        self._bundle, self._source, self._requests = bundle, source, requests
        self._progress, self._reproducer = progress, reproducer
        self._sha256 = sha256_of(bundle.model_path)
        self._first: Exported | None = None

    def fastest(self, folder: Path, engines: Sequence[str], names: Collection[str]) -> Compiled:
        """The record of the fastest variant that answers alike; its files are then in `folder`."""
        graphs = dict(zip(engines, self._graphs(engines, names), strict=True))
        made: list[Compiled] = []
        refused: list[Variant] = []
        for engine in engines:
            for graph in graphs[engine]:
                if graph.name == FLAT and engine == AOTINDUCTOR and len(engines) == 1 and made:
                    continue  # it takes its time, and was not asked for
                for variant in _variants(graph.name, engine, tuning=len(engines) > 1):
                    name = f"{graph.name}-{engine}{'-packed' if variant.packed else ''}"
                    try:
                        made.append(self._made(variant, graph, folder / name))
                    except BundleError as error:
                        refused.append(replace(variant, why_not=str(error)))
                        self._progress.say(f"{variant} is not used: {error}")
        if not made:
            raise BundleError(f"nothing is written: {'; '.join(one.why_not for one in refused)}")
        self._progress.step(RACE)
        with ThreadPoolExecutor(
            1
        ) as worker:  # where servers call models; memory of the main thread is slower
            speeds = worker.submit(self._raced, made).result()
        best = min(range(len(made)), key=lambda k: gate.mean_ratio(speeds[k]))
        kept = made[best]
        for file in list(kept.folder.iterdir()):
            file.rename(folder / file.name)
        for path in list(folder.glob("*-*/")):
            shutil.rmtree(path)
        raced = [replace(one.variant, speed=speed) for one, speed in zip(made, speeds, strict=True)]
        return replace(
            kept,
            folder=folder,
            speed=speeds[best],
            faster=gate.is_faster(speeds[best]),
            variants=(*raced, *refused),
            not_understood=next((graph.not_understood for found in graphs.values() for graph in found), ""),
        )

    def cut(self, folder: Path) -> ItemPrograms | None:
        """Write the two programs beside the record; None, and told, where that cannot be."""
        self._progress.step(CUT)
        assert self._first is not None, "something was compiled already"
        try:
            with _in_one_line("what depends on items was not cut out"):
                made = write_item_programs(
                    self._source, self._first, self._requests, folder, reproducer=self._reproducer
                )
        except BundleError as error:
            self._progress.say(f"no item results can be kept: {error}")
            shutil.rmtree(folder / item_programs.FOLDER, ignore_errors=True)
            return None
        ratios = ", ".join(f"{speed.ratio:.2f} x at {speed.rows} rows" for speed in made.speed)
        self._progress.say(f"item results: {made.bytes_per_item} bytes per item; with them kept {ratios}")
        return made

    def _graphs(self, engines: Sequence[str], names: Collection[str]) -> list[list[_Graph]]:
        """For each engine the graph at the model's own rates, if they are understood, and the flat one."""
        self._progress.step(FLATTEN)
        with _in_one_line("its graph was not made"):
            self._first = first = self._source.graph(self._requests)
        found: list[list[_Graph]] = []
        for engine in engines:
            if RATES not in names:
                found.append([_Graph(FLAT, first)])
                continue
            self._progress.step(f"{FIND_RATES} ({engine})")
            try:
                with _in_one_line("its rates were not found"):
                    graph = self._at_its_rates(engine, first)
            except BundleError as error:
                self._progress.say(f"not understood, so nothing is computed once per user: {error}")
                found.append([_Graph(FLAT, first, not_understood=str(error))])
            else:
                self._progress.say(report.describe(report.predict(graph.steps, self._requests.usual_rows)))
                found.append([graph, *([_Graph(FLAT, first)] if FLAT in names else [])])
        return found

    def _at_its_rates(self, engine: str, first: Exported) -> _Graph:
        """All that is asked of the pass; BundleError where it does not understand the model."""
        requests = self._requests
        found = rewrite(
            first,
            self._source.module,
            example=requests.example(users_once=True),
            alike=requests.alike(users_once=True),
            rates={name: Rate[rate.upper()] for name, rate in requests.rates.items()},
            options=Options(interpreted=engine == TORCHSCRIPT),
        )
        steps = [
            Step(one.node, one.op, int(rate), 0.0 if k else one.plain_flops, float(flops), one.note)
            for one in found.steps
            for k, (rate, flops) in enumerate((one.flops or {Rate.CONST: 0.0}).items())
        ]
        return _Graph(RATES, found.exported, tuple(steps))

    def _made(self, variant: Variant, graph: _Graph, folder: Path) -> Compiled:
        """The record of a variant that answers alike; its files are in `folder`."""
        folder.mkdir()
        self._progress.step(f"{COMPILE}: {variant}")
        with _in_one_line("it was not written"):
            if variant.engine == AOTINDUCTOR:
                write_package(graph.exported, folder / compiled.PACKAGE, packed=variant.packed)
                _runner(folder)
            else:
                write_script(graph.exported, folder / compiled.SCRIPT)
        requests, exported = self._requests, graph.exported
        once = graph.name == RATES or requests.users_once
        made = Compiled(
            folder,
            variant.engine,
            Machine.this(),
            self._sha256,
            exported.inputs,
            exported.tables,
            exported.outputs,
            parity={},
            speed=(),
            faster=False,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            graph=graph.name,
            packed=variant.packed,
            users_once=once,
            users=tuple(name for name in exported.inputs if once and name in requests.users),
            repeats=once and not requests.users_once,
            steps=graph.steps,
            rows=requests.usual_rows,
            sizes=first_sizes.limits(self._source.sizes),
        )
        self._progress.step(f"{COMPARE}: {variant}")
        parity = gate.compare(
            self._source.engine().run_arrays,
            self._opened(made)().run_arrays,
            requests.compared(users_once=once),
            reproducer=self._reproducer,
        )
        if not parity.requests:
            raise BundleError("the model was exported for none of the requests that could be drawn")
        return replace(made, parity=asdict(parity))

    def _opened(self, made: Compiled) -> Callable[[], TensorEngine]:
        """Gives engines for what was made, as it is served: loaded from its file, and that once."""
        if made.engine == AOTINDUCTOR:
            one = AotInductor.open(made, self._bundle, module=self._source.module)
            return lambda: one
        script = load_flat(made, self._source.module)
        return partial(_torchscript, script)

    def _raced(self, made: Sequence[Compiled]) -> list[tuple[Speed, ...]]:
        """Speeds of each, at every size; all of one size take turns."""
        original: Callable[[], TensorEngine] = self._source.engine
        runners = [(original, self._requests.users_once)]
        runners += [(self._opened(one), one.users_once) for one in made]
        found = []
        for asked in self._requests.raced():
            calls: list[Callable[[], object]] = []
            for engine, once in runners:
                # An engine of its own for each size: it prepares for the names of its first inputs.
                given = asked.compiled if once else asked.original
                if isinstance(self._requests, Given):  # recorded ones are tensors of a client
                    calls.append(partial(engine().run_arrays, given))
                else:
                    calls.append(partial(engine().run, gate.laid_out(given), rows=asked.rows))
            found.append(gate.race(asked.rows, calls[0], calls[1:]))
        return list(zip(*found, strict=True))


def _runner(folder: Path) -> None:
    """The runner of a variant: that of another one, or a new one."""
    built = next(folder.parent.glob(f"*/{compiled.RUNNER}"), None)
    if built is None:
        build_runner(folder / compiled.RUNNER)
    else:
        shutil.copyfile(built, folder / compiled.RUNNER)


def _torchscript(script: Any) -> TorchScript:
    return TorchScript(script, device=device_of("cpu"), outputs=(), features=None, limits={})


def _beside(bundle: Bundle, output: Path | None) -> Path:
    """Where a request is saved that was answered differently: beside the bundle, or into `output`."""
    folder = output or bundle.path.parent
    if not os.access(folder, os.W_OK):
        folder = Path(tempfile.gettempdir())
    return folder / f"{bundle.path.name}.differs.npz"


@contextmanager
def _in_one_line(what: str) -> Iterator[None]:
    """A BundleError of any failure: the model of somebody is served as it is, whatever our defect."""
    try:
        yield
    except BundleError:
        raise
    except Exception as e:
        lines = str(e).strip().splitlines() or [""]
        raise BundleError(f"{what} ({type(e).__name__}: {lines[0][:300]}); please report it") from e


@contextmanager
def _replaced(target: Path) -> Iterator[Path]:
    """A new folder that takes the place of `target` if nothing fails, in one step for those who look."""
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        made = work / "new"
        made.mkdir()
        yield made
        if target.exists():
            target.rename(work / "old")
        made.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
        if not any(target.parent.iterdir()):
            target.parent.rmdir()
