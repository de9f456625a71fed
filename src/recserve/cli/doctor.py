"""`recserve doctor`: what this machine and environment can run of a bundle, and what would mend the rest."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recserve.allocator import PACKAGES, first_installed
from recserve.cli import machine
from recserve.cli.check import check_model, check_tables, check_torch_pair, open_bundle, read_service_file
from recserve.cli.findings import FailedError, Report
from recserve.config.rpc import Rpc
from recserve.cores import usable
from recserve.engines import WITH_TORCH
from recserve.errors import RecserveError

if TYPE_CHECKING:
    from recserve.bundle import Bundle
    from recserve.config.service import ServiceSpec
    from recserve.features.generator import Generator

_GB = 1 << 30
#: A model takes about as much memory as its file, and once more while it is loaded.
_TIMES_ITS_FILE = 2


def doctor(
    bundle: Annotated[
        Path | None,
        typer.Argument(
            help="The exported model directory; without it the machine alone.", show_default=False
        ),
    ] = None,
    *,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="The service file to serve it with.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Look at everything that serving a bundle needs, line by line; exit code 1 if something is in the way.

    Unlike `check` it goes on after a failure, and each says which command mends it.
    """
    report = Report(as_json=as_json)
    for name, look in machine.CHECKS.items():
        with suppress(FailedError):
            report.attempt(name, look)
    spec = None
    with suppress(FailedError):
        spec = read_service_file(report, config)
    _look_at_processors(report, spec)
    _look_at_allocator(report, spec)
    if bundle is None:
        _look_at_memory(report, None)
    elif spec is not None:
        with suppress(FailedError):
            _look_at_bundle(report, report.attempt("bundle", lambda: open_bundle(bundle)), spec)
    if spec is not None:
        with suppress(FailedError):
            check_tables(report, spec)
    report.end()


def _look_at_processors(report: Report, spec: "ServiceSpec | None") -> None:
    available = usable()
    cores = available.count
    threads = spec.rpc.worker_threads if spec is not None else 0
    detail = f"{cores} usable ({available.reason})"
    if threads:
        detail += f", {threads} requests in work at a time (worker_threads)"
    report.note("processors", None if 0 < threads < cores else True, detail + _idle(threads, cores))


def _idle(threads: int, cores: int) -> str:
    return f': {cores - threads} stay idle; write "worker_threads": {cores}' if 0 < threads < cores else ""


def _look_at_allocator(report: Report, spec: "ServiceSpec | None") -> None:
    best, *_ = names = (spec.rpc if spec is not None else Rpc()).allocators
    taken = first_installed(names)
    mended = f"; {best} measures better: apt-get install {PACKAGES[best]}" if taken != best else ""
    report.note("allocator", None if mended else True, taken + mended)


def _look_at_memory(report: Report, bundle: "Bundle | None") -> None:
    free = machine.available_bytes()
    if not free:
        report.note("memory", None, "the system does not say how much is free")
        return
    detail = f"{free / _GB:.1f} GiB free"
    if bundle is None:
        report.note("memory", True, detail)
        return
    size = sum(file.stat().st_size for file in bundle.path.rglob("*") if file.is_file())
    wanted = size * _TIMES_ITS_FILE
    enough = wanted <= free
    detail += f", the bundle has {size / _GB:.2f} GiB and takes about {wanted / _GB:.2f} to load"
    report.note("memory", enough, detail + ("" if enough else "; mend it: take a machine with more memory"))


def _look_at_bundle(report: Report, bundle: "Bundle", spec: "ServiceSpec") -> None:
    _look_at_memory(report, bundle)
    runs = bundle.engine not in WITH_TORCH
    with suppress(FailedError):
        if not runs:
            report.attempt("torch and fbgemm", check_torch_pair)
            report.attempt("device", lambda: _device(spec.model.device))
            runs = True
    features: Generator | None = None
    if spec.model.generates_features(bundle.fg_path is not None):
        features = _look_at_features(report, bundle, spec)
        if features is None:
            return
    if runs:
        with suppress(FailedError):
            report.attempt("model", lambda: check_model(bundle, spec))


def _look_at_features(report: Report, bundle: "Bundle", spec: "ServiceSpec") -> "Generator | None":
    """Every feature that this environment cannot compute is a line of its own."""
    from recserve.features.checks.check import check as check_features
    from recserve.processors.load import load_features

    def note(check: str, ok: bool | None, detail: str) -> None:
        if ok is False:
            report.note("features", ok, detail)

    failed = report.failed
    try:
        check_features(bundle.require_fg(), note, farm_hash=spec.environment.farm_hash)
        if report.failed and not failed:
            report.note("features", None, f"for more: recserve features check {bundle.fg_path}")
            return None
        generator = load_features(bundle, spec)
    except RecserveError as error:
        report.note("features", False, str(error))
        return None
    types = sorted({feature.type.removeprefix("sequence_") for feature in generator.plan.features})
    report.note("features", True, f"{len(generator.plan.features)} of {len(types)} types: {', '.join(types)}")
    report.note("assets", True, ", ".join(sorted(_assets(bundle.fg()))) or "none")
    return generator


def _assets(value: object, key: str = "") -> set[str]:
    """The files that an fg.json names; that they are there has been looked at."""
    if isinstance(value, dict):
        return {name for inner, entry in value.items() for name in _assets(entry, inner)}
    if isinstance(value, list):
        return {name for entry in value for name in _assets(entry, key)}
    return (
        {value} if isinstance(value, str) and key.endswith("_file") and key != "operator_lib_file" else set()
    )


def _device(name: str) -> tuple[None, str]:
    from recserve.engines.torch_arrays import check_device

    return None, check_device(name)
