"""Does what was compiled answer as the original does, and is it faster? Asked of the files to be served."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from recserve.columns import ModelInputs
from recserve.engines.compiled import Speed
from recserve.errors import BundleError
from recserve.messages import TensorRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from recserve.engines.engine import Engine

    Tensors = Mapping[str, NDArray[Any]]

#: How far a probability may be from the original's. The original itself moves by some 1e-7 when the same rows
#: come in another batch: sums of float32 in another order.
PROBABILITY = 2e-6
#: How far any other output may be, relative to its size beyond 1 (logits, regressions).
RELATIVE = 1e-5

ROUNDS, WARM_UP = 21, 5


@dataclass(frozen=True, slots=True)
class Parity:
    """What was compared, and the largest differences."""

    requests: int
    probability: float  # of outputs between 0 and 1
    relative: float  # of all others


def compare(original: Engine, compiled: Engine, requests: Iterable[Tensors]) -> Parity:
    """Ask both the same; BundleError at the first answer that differs too much."""
    count, probability, relative = 0, 0.0, 0.0
    for tensors in requests:
        wanted, found = (_answer(engine, tensors) for engine in (original, compiled))
        for name, expected in wanted.items():
            difference, allowed = _difference(name, expected, found[name])
            if difference > allowed:
                raise BundleError(
                    f"nothing is written: output '{name}' differs by {difference:.3g} from the original's "
                    f"for a request of {len(expected)} rows, and {allowed:g} is allowed"
                )
            if allowed == PROBABILITY:
                probability = max(probability, difference)
            else:
                relative = max(relative, difference)
        count += 1
    return Parity(count, probability, relative)


def _answer(engine: Engine, tensors: Tensors) -> Mapping[str, NDArray[Any]]:
    # Copies: an engine may write to ids that no table has.
    return engine.run_tensors(
        TensorRequest([], {name: tensor.copy() for name, tensor in tensors.items()})
    ).named_outputs


def _difference(name: str, expected: NDArray[Any], found: NDArray[Any]) -> tuple[float, float]:
    """The largest difference and what is allowed; NaN and infinity have to be where the original has them."""
    if expected.shape != found.shape or expected.dtype != found.dtype:
        return np.inf, 0.0
    finite = np.isfinite(expected)
    same = np.array_equal(expected[~finite], found[~finite], equal_nan=True)
    if not same or not np.isfinite(found[finite]).all():
        return np.inf, 0.0
    wanted = expected[finite].astype(np.float64)
    away = np.abs(wanted - found[finite])
    if name.startswith("probs") or (wanted.size and ((wanted >= 0) & (wanted <= 1)).all()):
        return float(away.max(initial=0.0)), PROBABILITY
    return float((away / np.maximum(1.0, np.abs(wanted))).max(initial=0.0)), RELATIVE


def race(original: Engine, compiled: Engine, requests: Iterable[tuple[int, Tensors]]) -> tuple[Speed, ...]:
    """Median times of calls that take turns, for each request, in processor time.

    One thread computes a call, so processor time is what it takes, and what else runs here counts little.
    """
    return tuple(_race([original, compiled], rows, laid_out(tensors)) for rows, tensors in requests)


def _race(engines: Sequence[Engine], rows: int, inputs: ModelInputs) -> Speed:
    times: list[list[float]] = [[] for _ in engines]
    for turn in range(WARM_UP + ROUNDS):
        for taken, engine in zip(times, engines, strict=True):
            start = time.thread_time()
            engine.run(inputs, rows=rows)
            if turn >= WARM_UP:
                taken.append(time.thread_time() - start)
    first, second = (float(np.median(taken)) * 1e3 for taken in times)
    return Speed(rows, first, second)


def laid_out(tensors: Tensors) -> ModelInputs:
    """Tensors as feature generation hands them over."""
    ints = {name: tensor for name, tensor in tensors.items() if tensor.dtype.kind == "i"}
    floats = {name: tensor for name, tensor in tensors.items() if tensor.dtype.kind == "f"}
    return ModelInputs(list(ints), list(ints.values()), list(floats), list(floats.values()))


def is_faster(speeds: Sequence[Speed]) -> bool:
    """Over all sizes, each of them as important as any other."""
    return float(np.mean([np.log(speed.ratio) for speed in speeds])) < 0
