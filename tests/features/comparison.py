"""Where the native core and the referee differ on a case, and the smallest case that shows it."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from tests.features.referee.cells import UnspecifiedError
from tests.features.referee.config import read
from tests.features.referee.online import Request, evaluate_online
from tests.features.referee.random_cases import case as draw
from tests.features.staged import Stages, generator_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from numpy.typing import NDArray
    from tests.features.referee.evaluate import Evaluation, Tensors
    from tests.features.referee.random_cases import Case

# One generator serves many threads: each way of generating a case has one of its own.
THREADS = ThreadPoolExecutor(max_workers=5)


def differences(case: Case) -> str:
    """The first tensor that differs; empty when all agree or the specification leaves the case open."""
    try:
        evaluation = evaluation_of(case)
        expected = evaluation.tensors()
    except UnspecifiedError:
        return ""
    stages = Stages(case, generator_of(case))
    ways = {
        "joined": stages.joined,
        "repeated": stages.repeated,
        "joined in batches": stages.joined_batches,
        "staged": stages.staged,
        "staged in batches": stages.staged_batches,
    }
    found = _differing(ways, expected, case.at_once)
    if found or not case.request.item_ids or not evaluation.config.can_tile():
        return found
    tiled = Stages(case, generator_of(case, tile=True))
    # A joined batch is tiled nowhere: all rows, and batch_size 1.
    whole = expected | {"batch_size": np.array([1], np.int64)}
    found = tensor_differences("tiled", tiled.staged(), evaluation.tensors(tile=True))
    return found or tensor_differences("joined for tile", tiled.joined(), whole)


def _differing(ways: Mapping[str, Callable[[], Tensors]], expected: Tensors, at_once: bool) -> str:
    """Generate every way, if asked `at_once` from one thread each, and compare."""
    if at_once:
        running = {stage: THREADS.submit(way) for stage, way in ways.items()}
        wait(running.values())
        ways = {stage: way.result for stage, way in running.items()}
    found = (tensor_differences(stage, way(), expected) for stage, way in ways.items())
    return next(filter(None, found), "")


def evaluation_of(case: Case) -> Evaluation:
    """What the referee says."""
    return evaluate_online(case.fg, case.request, case.table, farm_hash=case.farm_hash, files=case.files)


def tensor_differences(stage: str, result: Tensors, expected: Tensors) -> str:
    """Names, dtypes, shapes and bytes; any NaN equals any other."""
    if result.keys() != expected.keys():
        return f"{stage}: tensors {sorted(result.keys() ^ expected.keys())} are on one side only"
    for name, wanted in expected.items():
        got = result[name]
        if got.dtype != wanted.dtype or got.shape != wanted.shape or bits(got) != bits(wanted):
            return f"{stage}: {name} {show(got, wanted)}"
    return ""


def show(got: NDArray[Any], wanted: NDArray[Any]) -> str:
    """Both tensors when they are short, else their shapes and the first value that differs."""
    if max(got.size, wanted.size) <= 20:
        return f"is {got.dtype} {got.tolist()}, expected {wanted.dtype} {wanted.tolist()}"
    pairs = enumerate(zip(got.ravel().tolist(), wanted.ravel().tolist(), strict=False))
    first = next((f"at {at} {pair[0]}, expected {pair[1]}" for at, pair in pairs if pair[0] != pair[1]), "")
    return f"is {got.dtype} {got.shape}, expected {wanted.dtype} {wanted.shape} {first}"


def bits(tensor: NDArray[Any]) -> bytes:
    """The bytes of a tensor with one NaN for all."""
    if tensor.dtype.kind == "f":
        tensor = np.where(np.isnan(tensor), np.array(np.nan, tensor.dtype), tensor)
    return tensor.tobytes()


def failures(seeds: Iterable[int]) -> dict[int, str]:
    """The seeds whose cases fail, each with the smallest case that shows it."""
    return {seed: f"seed {seed}: {smallest(draw(seed))}" for seed in seeds if failure(draw(seed))}


def smallest(case: Case) -> str:
    """Drop features, keys and rows while the case still differs."""
    stage = failure(case).partition(":")[0]
    shrinking = bool(stage)
    while shrinking:
        smaller = next((other for other in simpler(case) if failure(other).startswith(stage)), None)
        shrinking = smaller is not None
        case = smaller or case
    return f"{failure(case)}\n{describe(case)}"


def failure(case: Case) -> str:
    """What differs, or the error that the native side raises."""
    try:
        evaluation_of(case).tensors()
    except (UnspecifiedError, KeyError):  # a case made smaller may lack what it reads
        return ""
    try:
        return differences(case)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def simpler(case: Case) -> Iterator[Case]:
    """Cases that are one thing smaller."""
    features = case.fg["features"]
    for at, entry in enumerate(features):
        if len(features) > 1:
            yield replace(case, fg={"features": features[:at] + features[at + 1 :]})
        for member in range(len(entry.get("features", ()))):
            if len(entry["features"]) > 1:
                fg = copy.deepcopy(case.fg)
                del fg["features"][at]["features"][member]
                yield replace(case, fg=fg)
    for row in range(len(case.request.item_ids)):
        if len(case.request.item_ids) > 1:
            yield replace(case, request=without_row(case.request, row))
    for name in case.request.item_features:
        left = {key: cells for key, cells in case.request.item_features.items() if key != name}
        yield replace(case, request=replace(case.request, item_features=left))
    yield from without_keys(case)


def without_keys(case: Case) -> Iterator[Case]:
    """Cases with one key of one feature less."""
    for at, entry in enumerate(case.fg["features"]):
        members = entry.get("features", [entry])
        for member, spec in enumerate(members):
            for key in spec.keys() - {
                "feature_name",
                "feature_type",
                "expression",
                "variables",
                "map",
                "key",
            }:
                fg = copy.deepcopy(case.fg)
                target = fg["features"][at]
                del (target["features"][member] if "features" in entry else target)[key]
                yield replace(case, fg=fg)


def without_row(request: Request, row: int) -> Request:
    def cut(cells: Any) -> Any:
        return cells if len(cells) == 1 else [*cells[:row], *cells[row + 1 :]]

    return replace(
        request,
        item_ids=cut(request.item_ids),
        context={name: cut(cells) for name, cells in request.context.items()},
        item_features={name: cut(cells) for name, cells in request.item_features.items()},
    )


def describe(case: Case) -> str:
    """The config and the columns that it reads."""
    used = {source.name for feature in read(case.fg).features for source in feature.inputs}
    used |= {name.rsplit("__", 1)[-1] for name in used} | {group.pk for group in read(case.fg).groups}
    request, table = case.request, case.table
    lines = [f"fg     {case.fg}"]
    lines += [
        f"user   {name} {request.types[name]} {cell!r}" for name, cell in request.user.items() if name in used
    ]
    for side, columns in (
        ("context", request.context),
        ("sent", request.item_features),
        ("items", table.columns),
    ):
        lines += [
            f"{side:<6} {name} {request.types[name]} {cells!r}"
            for name, cells in columns.items()
            if name in used
        ]
    lines += [
        f"ids    {request.item_ids} of {table.keys}",
        *(f"file   {n} {t!r}" for n, t in case.files.items()),
    ]
    return "\n".join(lines)
