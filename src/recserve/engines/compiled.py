"""compiled.json: what `recserve compile` made of a model, and where it fits.

    <bundle>/compiled/<machine key>/
      compiled.json      this record: which of the two runs, and what was measured
      model.pt           engine torchscript: the rewritten model, without its embedding tables
      package/           engine aotinductor: the same as machine code, an unpacked .pt2
      torch_runner.so    what runs that; built with it, so that servers need no compiler

Machine code knows the processor that it was made on, and the torch that it calls. So it is used only where
both, and the model itself, are the same. Speed was measured there too, so that a model.pt is treated alike.
"""

from __future__ import annotations

import hashlib
import json
import platform
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recserve.bundle import read_json_object
from recserve.engines.engine import TensorSpec
from recserve.engines.first_sizes import FirstSizes
from recserve.engines.sizes import Size, exactly
from recserve.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from recserve.bundle import Bundle

FOLDER, MANIFEST = "compiled", "compiled.json"
SCRIPT, PACKAGE, RUNNER = "model.pt", "package", "torch_runner.so"

#: Graphs that are made: the model's own without its containers, and that at its own rates.
FLAT, RATES = "flat", "rates"

_VERSIONS = ("torch", "fbgemm-gpu-cpu", "fbgemm-gpu")


@dataclass(frozen=True, slots=True)
class Machine:
    """What machine code depends on, beside the model."""

    processor: str  # architecture, widest vector instructions and a hash over all of them
    versions: Mapping[str, str]  # torch and fbgemm, as they are installed

    @classmethod
    def this(cls) -> Machine:
        """The machine that runs this process."""
        return cls(_processor(), {name: found for name in _VERSIONS if (found := _version(name))})

    @property
    def key(self) -> str:
        """A folder's name."""
        return f"{self.processor}-torch{self.versions.get('torch', '')}"


@dataclass(frozen=True, slots=True)
class Speed:
    """Medians of calls that took turns on one thread, milliseconds of processor time."""

    rows: int
    original_ms: float
    compiled_ms: float

    @property
    def ratio(self) -> float:
        """Compiled to original: below 1 is faster."""
        return self.compiled_ms / self.original_ms


@dataclass(frozen=True, slots=True)
class Step:
    """What one operator of the original multiplies, at one of the rates that its work was split among.

    Before is told by one of its steps, and is 0 in the others.
    """

    node: str
    op: str
    rate: int  # 0 const, 1 user, 2 item, 3 pair
    plain_flops: float  # before
    flops: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class Variant:
    """One graph in one engine, as it was tried."""

    graph: str  # FLAT or RATES
    engine: str  # torchscript or aotinductor
    speed: tuple[Speed, ...] = ()
    why_not: str = ""  # what stood in its way, where it was not made
    packed: bool = False  # machine code whose weights are laid out ahead for oneDNN

    def __str__(self) -> str:
        return f"{self.graph}, {self.engine}{', packed weights' if self.packed else ''}"


@dataclass(frozen=True, slots=True)
class Compiled:
    """The record of what runs; `folder` is where it lies.

    `users_once`: requests bring user features in one row, `batch_size` beside them, as under INPUT_TILE; so
    do all at the model's own rates. `repeats` says that the original then wants them repeated, row by row:
    `recserve.engines.users.repeated`. `sizes` has the inputs of which not every number of entries is one that
    the export was made for.
    """

    folder: Path
    engine: str  # torchscript or aotinductor
    machine: Machine
    model_sha256: str
    inputs: Mapping[str, TensorSpec]  # what requests bring, in the order of the call
    tables: tuple[str, ...]  # tensors of the original model that are handed over with each call, before those
    outputs: tuple[str, ...]
    parity: Mapping[str, float]  # requests, and the largest differences seen
    speed: tuple[Speed, ...]
    faster: bool
    created: str
    graph: str = FLAT  # or RATES
    packed: bool = False  # as its Variant has it
    users_once: bool = False
    users: tuple[str, ...] = ()  # inputs of user features, where users come once
    repeats: bool = False
    variants: tuple[Variant, ...] = ()  # all that were tried, this one included
    steps: tuple[Step, ...] = ()  # of the graph at its own rates
    rows: int = 0  # candidates of the request whose work `steps` tell
    sizes: Mapping[str, Size] = field(default_factory=dict)  # first sizes of the export's own inputs
    not_understood: str = ""  # what of the model there are no rates for; the graph is then FLAT

    @property
    def first_sizes(self) -> FirstSizes:
        """What requests have to fit, as they are laid out."""
        first = {name: spec.shape[0] for name, spec in self.inputs.items() if spec.shape}
        return FirstSizes(self.sizes, self.users if self.repeats else (), first)

    @property
    def variant(self) -> Variant:
        """Which one this is."""
        return Variant(self.graph, self.engine, self.speed, packed=self.packed)

    @property
    def flop_ratio(self) -> float:
        """Multiplications left of the original's, as predicted; 1 where nothing is known."""
        plain = sum(step.plain_flops for step in self.steps)
        return sum(step.flops for step in self.steps) / plain if plain else 1.0

    @classmethod
    def read(cls, folder: Path) -> Compiled:
        """Read a folder's compiled.json; BundleError if it is not one of ours."""
        path = folder / MANIFEST
        found = read_json_object(path)
        try:
            return cls(
                folder,
                str(found["engine"]),
                Machine(str(found["machine"]["processor"]), dict(found["machine"]["versions"])),
                str(found["model_sha256"]),
                {entry["name"]: _spec(entry) for entry in found["inputs"]},
                tuple(found["tables"]),
                tuple(found["outputs"]),
                found["parity"],
                _speeds(found["speed"]),
                bool(found["faster"]),
                str(found["created"]),
                graph=str(found["graph"]),
                packed=bool(found.get("packed", False)),
                users_once=bool(found["users_once"]),
                users=tuple(found["users"]),
                repeats=bool(found["repeats"]),
                variants=tuple(
                    Variant(
                        str(v["graph"]),
                        str(v["engine"]),
                        _speeds(v["speed"]),
                        str(v["why_not"]),
                        bool(v.get("packed", False)),
                    )
                    for v in found["variants"]
                ),
                steps=tuple(Step(**step) for step in found["steps"]),
                rows=int(found["rows"]),
                sizes={str(name): Size("", *limits) for name, limits in found.get("sizes", {}).items()},
                not_understood=str(found["not_understood"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as e:
            raise BundleError(f"{path} is not what `recserve compile` writes ({e!r}); run it again") from e

    def write(self) -> None:
        """Write compiled.json into the folder."""
        content: dict[str, Any] = {
            "engine": self.engine,
            "graph": self.graph,
            "packed": self.packed,
            "users_once": self.users_once,
            "users": list(self.users),
            "repeats": self.repeats,
            "machine": asdict(self.machine),
            "model_sha256": self.model_sha256,
            "inputs": [_entry(name, spec) for name, spec in self.inputs.items()],
            "tables": list(self.tables),
            "outputs": list(self.outputs),
            "parity": dict(self.parity),
            "speed": _speed_entries(self.speed),
            "faster": self.faster,
            "variants": [asdict(v) | {"speed": _speed_entries(v.speed)} for v in self.variants],
            "not_understood": self.not_understood,
            "rows": self.rows,
            "sizes": {name: [size.least, size.most] for name, size in self.sizes.items()},
            "steps": [asdict(step) for step in self.steps],
            "created": self.created,
        }
        (self.folder / MANIFEST).write_text(json.dumps(content, indent=1) + "\n")

    def why_not(self, bundle: Bundle) -> str:
        """Why this cannot run the bundle's model on this machine; "" if it can."""
        machine = Machine.this()
        if self.machine.processor != machine.processor:
            return f"it was compiled on {self.machine.processor}, and this is {machine.processor}"
        if self.machine.versions != machine.versions:
            return f"it was compiled with {_named(self.machine.versions)}, not {_named(machine.versions)}"
        if self.model_sha256 != sha256_of(bundle.model_path):
            return f"{bundle.model_path.name} has changed since"
        return ""


def folder_of(bundle: Bundle) -> Path:
    """Where what is compiled for this machine lies, or would lie."""
    return bundle.path / FOLDER / Machine.this().key


def others(bundle: Bundle) -> list[str]:
    """Machine keys that the bundle was compiled for."""
    return sorted(path.parent.name for path in (bundle.path / FOLDER).glob(f"*/{MANIFEST}"))


def sha256_of(path: Path) -> str:
    """Of a file's content; some half a second per GB."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _speeds(entries: Iterable[Mapping[str, Any]]) -> tuple[Speed, ...]:
    return tuple(Speed(int(s["rows"]), float(s["original_ms"]), float(s["compiled_ms"])) for s in entries)


def _speed_entries(speeds: Iterable[Speed]) -> list[dict[str, Any]]:
    return [asdict(speed) | {"ratio": round(speed.ratio, 4)} for speed in speeds]


def _entry(name: str, spec: TensorSpec) -> dict[str, Any]:
    shape = [size.fixed if size.fixed is not None else size.name or None for size in spec.shape]
    return {"name": name, "dtype": spec.dtype, "shape": shape}


def _spec(entry: Mapping[str, Any]) -> TensorSpec:
    shape = tuple(exactly(size) if isinstance(size, int) else Size(size or "") for size in entry["shape"])
    return TensorSpec(str(entry["dtype"]), len(shape), shape)


def _processor() -> str:
    """For example x86_64-avx512-1f0c4a9e, whose last part stands for every instruction that code may use."""
    flags = _flags()
    widest = next((name for name in ("avx512f", "avx2", "sve", "asimd") if name in flags), "plain")
    digest = hashlib.sha256(" ".join(sorted(flags)).encode()).hexdigest()[:8]
    return f"{platform.machine()}-{widest.removesuffix('f')}-{digest}"


def _flags() -> set[str]:
    """What the processor says it can; only its name where there is no /proc."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return {platform.processor()}
    lines = (line.partition(":") for line in cpuinfo.read_text().splitlines())
    return set(
        next((value for name, _, value in lines if name.strip().lower() in ("flags", "features")), "").split()
    )


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def _named(versions: Mapping[str, str]) -> str:
    return " and ".join(f"{name} {version}" for name, version in versions.items())
