"""Does what was compiled answer as the original does, and is it faster? Asked of the files to be served.

Scores that are nearer to one another than twice what is allowed may change places; all others keep theirs.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from recserve.columns import ModelInputs
from recserve.engines.compiled import Speed
from recserve.engines.parity import Difference, difference
from recserve.errors import BundleError, RecserveError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from recserve.compile.asked import Asked

    Tensors = Mapping[str, NDArray[Any]]
    Answers = Callable[[Tensors], Mapping[str, NDArray[Any]]]

ROUNDS, WARM_UP = 21, 5


@dataclass(frozen=True, slots=True)
class Parity:
    """What was compared, and the largest differences."""

    requests: int
    probability: float  # of probabilities
    relative: float  # of all others


def compare(original: Answers, compiled: Answers, requests: Iterable[Asked], *, reproducer: Path) -> Parity:
    """Ask both the same; BundleError at the first answer that differs too much, or is none.

    The tensors of that request are then in `reproducer`, an .npz, both answers with them.
    """
    count, largest = 0, Difference()
    for asked in requests:
        try:
            wanted = _answer(original, asked.original)
        except RecserveError as e:
            if asked.may_be_refused:
                continue
            raise BundleError(
                f"the model rejects a request of {asked.rows} rows that its features could make: {e}; give a "
                "folder of recorded ones with --samples"
            ) from e
        try:
            found = _answer(compiled, asked.compiled)
        except RecserveError as e:
            _save(reproducer, asked, wanted, {})
            raise BundleError(
                f"it fails for a request of {asked.rows} rows ({e}), which is saved in {reproducer}"
            ) from e
        seen = difference(wanted, found)
        if not seen.is_allowed:
            _save(reproducer, asked, wanted, found)
            raise BundleError(f"{_how_far(seen, asked)}, and is saved in {reproducer}")
        largest = largest.or_larger(seen)
        count += 1
    return Parity(count, largest.probability, largest.relative)


def _answer(answers: Answers, tensors: Tensors) -> Mapping[str, NDArray[Any]]:
    # Copies: an engine may write to ids that no table has.
    return answers({name: tensor.copy() for name, tensor in tensors.items()})


def _how_far(seen: Difference, asked: Asked) -> str:
    away = max(seen.probability, seen.relative)
    return (
        f"output '{seen.output}' differs from the original's by up to {away:.3g} for a request of "
        f"{asked.rows} rows, which is more than rounding"
    )


def _save(path: Path, asked: Asked, wanted: Tensors, found: Tensors) -> None:
    parts = {"original": asked.original, "compiled": asked.compiled, "expected": wanted, "found": found}
    named = {f"{part}/{name}": tensor for part, tensors in parts.items() for name, tensor in tensors.items()}
    with path.open("wb") as file:
        np.savez_compressed(file, **named)  # type: ignore[arg-type]  # names of ours are none of its arguments


def race(rows: int, original: Callable[[], object], others: Sequence[Callable[[], object]]) -> list[Speed]:
    """Median times of calls that take turns, in processor time.

    One thread computes a call, so processor time is what it takes, and what else runs here counts little.
    """
    calls = [original, *others]
    times: list[list[float]] = [[] for _ in calls]
    for turn in range(WARM_UP + ROUNDS):
        for taken, call in zip(times, calls, strict=True):
            start = time.thread_time()
            call()
            if turn >= WARM_UP:
                taken.append(time.thread_time() - start)
    first, *rest = (float(np.median(taken)) * 1e3 for taken in times)
    return [Speed(rows, first, other) for other in rest]


def laid_out(tensors: Tensors) -> ModelInputs:
    """Tensors as feature generation hands them over."""
    ints = {name: tensor for name, tensor in tensors.items() if tensor.dtype.kind == "i"}
    floats = {name: tensor for name, tensor in tensors.items() if tensor.dtype.kind == "f"}
    return ModelInputs(list(ints), list(ints.values()), list(floats), list(floats.values()))


def mean_ratio(speeds: Sequence[Speed]) -> float:
    """Compiled to original over all sizes, each of them as important as any other."""
    return float(np.exp(np.mean([np.log(speed.ratio) for speed in speeds])))


def is_faster(speeds: Sequence[Speed]) -> bool:
    """Over all sizes."""
    return mean_ratio(speeds) < 1
