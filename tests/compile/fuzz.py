"""Do an exported model and what was compiled of it agree on whatever is drawn?

python -m tests.compile.fuzz [--requests 10000] [--family din ...] [--bundle FOLDER ...] [--seed 1]
python -m tests.compile.fuzz --again build/fuzz/compile-din.pkl

Every family of tests/compile/families.py is compiled with and without INPUT_TILE, or the bundles that are
named. A request has any number of rows; each of its features is drawn on its own: no values, many, both ends
of a sequence's length, ids at both ends of their table, beyond it, negative. What the original refuses is
counted and not compared. At the first difference a family ends, its request is kept, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import pickle
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tests.compile.bundles import features_of
from tests.compile.families import FAMILIES, write

from recserve.bundle import Bundle
from recserve.compile.asked import Drawn
from recserve.compile.rates.rewrite import rewrite
from recserve.compile.rates.values import Rate
from recserve.compile.rates.walk import Options
from recserve.compile.requests import KINDS, OUTSIDE, Requests
from recserve.compile.script import write_script
from recserve.compile.sources import open_source
from recserve.engines import compiled
from recserve.engines.compiled import FLAT, RATES, Compiled, Machine
from recserve.engines.engine import BATCH_SIZE
from recserve.engines.flat_script import load_flat
from recserve.engines.parity import Difference, difference
from recserve.engines.users import repeated
from recserve.errors import BundleError, ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.random import Generator as Random
    from numpy.typing import NDArray

    from recserve.compile.export import Exported
    from recserve.features.generator import Generator

    Tensors = Mapping[str, NDArray[Any]]
    Answers = dict[str, NDArray[Any]]
    Model = Callable[[Tensors], Answers]

FOLDER = Path("build/fuzz")
MOST_ROWS, MANY_ROWS = 40, 300  # of most requests, and of one in a hundred


@dataclass(frozen=True, slots=True)
class Found:
    """What became of the requests of one model."""

    compared: int = 0
    refused: int = 0  # by the original
    largest: Difference = field(default_factory=Difference)
    seed: int | None = None  # of the request whose answers differ too much
    tensors: Tensors | None = None  # that request
    error: str = ""  # what the compiled model raised for it


class Compared:
    """An original, and what was compiled of it; requests have users of one row, as `RATES` takes them."""

    def __init__(self, bundle: Bundle, graph: str, folder: Path) -> None:
        """Compile a graph into `folder`; BundleError if that cannot be done."""
        self.features = features_of(bundle)
        self.source = open_source(bundle)
        reads = self.source.inputs
        self._asked = Drawn(self.features, reads, self.source.sizes)
        self.requests = Requests(self.features, reads, users_once=True)
        self._graph = graph
        self._repeats = BATCH_SIZE not in reads
        self.original: Model = self._original
        exported = self._flat() if graph == FLAT else self._at_its_rates()
        write_script(exported, folder / compiled.SCRIPT)
        record = Compiled(
            folder, "torchscript", Machine.this(), "", exported.inputs, exported.tables, exported.outputs,
            parity={}, speed=(), faster=True, created="",
        )  # fmt: skip
        self.compiled = answering(load_flat(record, self.source.module))

    def _flat(self) -> Exported:
        return self.source.graph(self._asked)

    def _at_its_rates(self) -> Exported:
        asked = self._asked
        return rewrite(
            self._flat(),
            self.source.module,
            example=asked.example(users_once=True),
            alike=asked.alike(users_once=True),
            rates={name: Rate[rate.upper()] for name, rate in asked.rates.items()},
            options=Options(interpreted=True),
        ).exported

    def _original(self, tensors: Tensors) -> Answers:
        """Arrays are copied: models may write to ids."""
        return self.source.engine().run_arrays({name: tensor.copy() for name, tensor in tensors.items()})

    def drawn(self, seed: int) -> Tensors:
        """A request in which every feature, or group of a sequence, is drawn on its own."""
        return mixed(self.requests, self.features, np.random.default_rng(seed))

    def ask(self, tensors: Tensors) -> Difference | None:
        """How far the answers are from one another; None where the original refuses."""
        rows = int(tensors[BATCH_SIZE][0])
        given = repeated(tensors, self._asked.users, rows) if self._repeats else tensors
        if self._repeats:
            given = {name: tensor for name, tensor in given.items() if name != BATCH_SIZE}
        try:
            wanted = self.original(given)
        except (RuntimeError, ModelError):
            return None
        return difference(wanted, self.compiled(tensors if self._graph == RATES else given))


def answering(script: Any) -> Model:
    """A TorchScript model from arrays to arrays. Arrays are copied: models may write to ids."""
    arguments = [torch.device("cpu")] if len(script.forward.schema.arguments) > 2 else []

    def answer(tensors: Tensors) -> Answers:
        data = {name: torch.from_numpy(tensor.copy()) for name, tensor in tensors.items()}
        with torch.inference_mode():
            return {name: found.numpy() for name, found in script(data, *arguments).items()}

    return answer


def mixed(requests: Requests, features: Generator, random: Random) -> Tensors:
    """Draw requests of all kinds with as many rows, and take each feature from one of them."""
    rows = int(random.integers(1, (MANY_ROWS if random.random() < 0.01 else MOST_ROWS) + 1))
    outside = random.random() < 0.25
    kinds = [*KINDS, "drawn", *([OUTSIDE] if outside else [])]
    drawn = {kind: requests._draw(kind, rows, random) for kind in dict.fromkeys(kinds)}
    groups = {feature.name: feature.feature.group for feature in features.plan.features}
    chosen: dict[str, str] = {}
    tensors = {}
    for name in drawn["drawn"]:
        feature = name.rpartition(".")[0]
        group = groups.get(feature)
        # Members of a group have as many steps as one another.
        unit = group.name if group else feature
        kind = chosen.setdefault(unit, kinds[random.integers(len(kinds))])
        tensors[name] = drawn[kind][name]
    return tensors


def fuzz(
    model: Compared, count: int, *, seed: int = 1, progress: Callable[[int], object] = lambda done: None
) -> Found:
    """Compare `count` requests, of the seeds from `seed` on, or fewer where one differs."""
    compared = refused = 0
    largest = Difference()
    while compared < count and refused <= count:
        number = seed + compared + refused
        tensors = model.drawn(number)
        try:
            apart = model.ask(tensors)
        except RuntimeError as error:
            return Found(compared, refused, largest, number, tensors, str(error).strip().splitlines()[-1])
        if apart is None:
            refused += 1
            continue
        compared += 1
        largest = largest.or_larger(apart)
        if not apart.is_allowed:
            return Found(compared, refused, largest, number, tensors)
        progress(compared)
    return Found(compared, refused, largest)


def main() -> int:
    """Fuzz families or bundles, with a bar for each; returns how many differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=10_000, help="to each graph of each model")
    parser.add_argument("--family", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--bundle", type=Path, nargs="+", default=[])
    parser.add_argument("--graph", nargs="+", choices=(FLAT, RATES), default=[FLAT, RATES])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--again", type=Path, help="ask what was kept once more")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.again:
        return again(arguments.again)
    cases = [(path.name, "", False, path) for path in arguments.bundle] or [
        (f"{family}{'-tile' if tile else ''}", family, tile, None)
        for family in arguments.family
        for tile in (False, True)
    ]
    wrong = 0
    for name, family, tile, path in cases:
        for graph in arguments.graph:
            with tempfile.TemporaryDirectory() as folder:
                made, target = Path(folder) / "bundle", Path(folder) / "compiled"
                target.mkdir()
                bundle = Bundle.open(path) if path else write(made, family, tile=tile)
                wrong += not _is_alike(f"{name}-{graph}", bundle, graph, target, arguments)
    print(f"{wrong} of {len(cases) * len(arguments.graph)} differ")
    return int(wrong > 0)


def _is_alike(name: str, bundle: Bundle, graph: str, folder: Path, arguments: argparse.Namespace) -> bool:
    from rich.console import Console
    from rich.progress import Progress

    try:
        model = Compared(bundle, graph, folder)
    except BundleError as error:
        print(f"{name}: not compiled: {error}")
        return True  # the original stays
    with Progress(console=Console(stderr=True)) as bars:
        bar = bars.add_task(name, total=arguments.requests)
        found = fuzz(
            model,
            arguments.requests,
            seed=arguments.seed,
            progress=lambda done: bars.update(bar, completed=done),
        )
    last = arguments.seed + found.compared + found.refused
    print(
        f"{name}: seeds {arguments.seed} to {last - 1}: {found.compared} requests compared, {found.refused} "
        f"refused by the original; probabilities differ by at most {found.largest.probability:.2g}, other "
        f"outputs by {found.largest.relative:.2g}"
    )
    if found.seed is None:
        return True
    keep(name, bundle, graph, found)
    return False


def keep(name: str, bundle: Bundle, graph: str, found: Found) -> None:
    """Save the model and the request that differ, and say how to ask them again."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"compile-{name}.pkl"
    tile = bundle.input_tile()
    files = {
        bundle.model_path.name: bundle.model_path.read_bytes(),
        "fg.json": bundle.require_fg().read_bytes(),
    }
    path.write_bytes(pickle.dumps({"graph": graph, "tile": tile, "files": files, "found": found}))
    what = found.error or f"output '{found.largest.output}' differs"
    print(f"{name}: seed {found.seed}: {what}; again: python -m tests.compile.fuzz --again {path}")


def again(path: Path) -> int:
    """Ask a request that was kept once more; 1 if it differs still."""
    kept = pickle.loads(path.read_bytes())
    with tempfile.TemporaryDirectory() as folder:
        for name, content in kept["files"].items():
            (Path(folder) / name).write_bytes(content)
        acc = f'{{"INPUT_TILE": "{kept["tile"]}"}}' if kept["tile"] else "{}"
        (Path(folder) / "model_acc.json").write_text(acc)
        model = Compared(Bundle.open(Path(folder)), kept["graph"], Path(folder))
        apart = model.ask(kept["found"].tensors)
    print(apart)
    return int(apart is not None and not apart.is_allowed)


if __name__ == "__main__":
    sys.exit(main())
