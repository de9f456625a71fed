"""`recserve compile`, step by step: a bundle becomes faster, or stays as it is.

Whatever fails leaves the bundle untouched: the steps work in a folder beside their aim, which takes its place
at the end.
"""

from __future__ import annotations

import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recserve.compile import gate
from recserve.compile.export import export
from recserve.compile.package import build_runner, find_compiler, write_package
from recserve.compile.requests import Requests
from recserve.engines import compiled
from recserve.engines.aotinductor import AotInductor
from recserve.engines.compiled import Compiled, Machine, sha256_of
from recserve.engines.engine import check_features
from recserve.engines.torchscript import TorchScript, load_script
from recserve.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from recserve.bundle import Bundle
    from recserve.features.generator import Generator

STEPS = (
    "reading the model",
    "flattening its graph",
    "compiling",
    "building the runner",
    "comparing answers",
    "comparing times",
)

#: Rows of the requests that answers are compared for: one, two, an odd number, what is usual, and many.
ROWS = (1, 2, 7, 200, 1000)
RACE_ROWS = (1, 20, 200, 1000)
#: Rows of the request that the compiler tunes for; any other number works as well.
_USUAL_ROWS = 200
_DRAWN = 3


def compile_bundle(
    bundle: Bundle,
    features: Generator | None,
    *,
    samples: Sequence[Mapping[str, NDArray[Any]]] = (),
    output: Path | None = None,
    progress: Callable[[str], None] = lambda step: None,
) -> Compiled:
    """Compile a bundle's TorchScript model for this machine, into `output` or the bundle itself.

    Without features the compared requests are `samples`: the tensors of at least one request. Raises
    BundleError if that cannot be done or answers differ, and then nothing is written.
    """
    if bundle.engine != "torchscript":
        raise BundleError(
            f"{bundle.model_path} is no TorchScript model; `recserve compile` takes nothing else"
        )
    find_compiler()
    if features is None and not samples:
        raise BundleError(
            "the bundle has no fg.json to draw requests from; give a folder of recorded ones with --samples"
        )
    progress(STEPS[0])
    original = TorchScript.load(bundle)
    if features is not None:
        check_features(features.tensors, original.inputs)
    requests = _Given(samples) if features is None else _Drawn(features, original.inputs)
    sha256 = sha256_of(bundle.model_path)
    progress(STEPS[1])
    exported = export(load_script(bundle.model_path), requests.example(), alike=requests.alike())
    target = (output or bundle.path) / compiled.FOLDER / Machine.this().key
    with _replaced(target) as folder:
        progress(STEPS[2])
        write_package(exported, folder / compiled.PACKAGE)
        progress(STEPS[3])
        build_runner(folder / compiled.RUNNER)
        made = Compiled(
            folder,
            "aotinductor",
            Machine.this(),
            sha256,
            exported.inputs,
            exported.tables,
            exported.outputs,
            parity={},
            speed=(),
            faster=False,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        made = _judged(made, original, AotInductor.open(made, bundle), requests, progress)
        made.write()
    return replace(made, folder=target)


def add_runner(bundle: Bundle, *, output: Path | None = None) -> Path:
    """Build what runs an export that is compiled already (ENABLE_AOT); returns its folder."""
    target = (output or bundle.path) / compiled.FOLDER / Machine.this().key
    with _replaced(target) as folder:
        build_runner(folder / compiled.RUNNER)
    return target


def _judged(
    made: Compiled,
    original: TorchScript,
    found: AotInductor,
    requests: _Drawn | _Given,
    progress: Callable[[str], None],
) -> Compiled:
    """The record with what the gate found."""
    progress(STEPS[4])
    parity = gate.compare(original, found, (tensors for _, tensors in requests.compared()))
    progress(STEPS[5])
    raced = list(requests.raced())
    with ThreadPoolExecutor(1) as worker:  # where servers call models; memory of the main thread is slower
        speed = worker.submit(gate.race, original, found, raced).result()
    return replace(made, parity=asdict(parity), speed=speed, faster=gate.is_faster(speed))


class _Drawn:
    """Requests that features draw."""

    def __init__(self, features: Generator, reads: Collection[str]) -> None:
        self._requests = Requests(features, reads)

    def example(self) -> Mapping[str, NDArray[Any]]:
        return self._requests.example(_USUAL_ROWS)

    def alike(self) -> list[list[str]]:
        return self._requests.alike()

    def compared(self) -> Iterator[tuple[int, Mapping[str, NDArray[Any]]]]:
        return self._requests.all(ROWS, _DRAWN)

    def raced(self) -> Iterator[tuple[int, Mapping[str, NDArray[Any]]]]:
        return ((rows, self._requests.example(rows, seed=2)) for rows in RACE_ROWS)


class _Given:
    """Requests that were recorded."""

    def __init__(self, samples: Sequence[Mapping[str, NDArray[Any]]]) -> None:
        self._samples = sorted(samples, key=_rows)

    def example(self) -> Mapping[str, NDArray[Any]]:
        return self._samples[-1]

    def alike(self) -> list[list[str]]:
        return []  # what is equal in some requests may differ in others

    def compared(self) -> Iterator[tuple[int, Mapping[str, NDArray[Any]]]]:
        return ((_rows(tensors), tensors) for tensors in self._samples)

    def raced(self) -> Iterator[tuple[int, Mapping[str, NDArray[Any]]]]:
        return ((_rows(tensors), tensors) for tensors in (self._samples[0], self._samples[-1]))


def _rows(tensors: Mapping[str, NDArray[Any]]) -> int:
    return max((len(tensor) for name, tensor in tensors.items() if name.endswith(".lengths")), default=1)


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
