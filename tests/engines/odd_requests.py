"""Requests for `models.Rank` whose tensors may not agree, and a referee of which do.

    python -m tests.engines.odd_requests <bundle> <number of requests> [seed]

asks that many in this process and prints how many were answered and refused. It is a program because what
slips through kills it: fbgemm reads where lengths tell it to.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from tests.engines import models

from recserve.bundle import Bundle
from recserve.config import service
from recserve.engines.engine import tensors
from recserve.errors import RequestError
from recserve.messages import TensorRequest, TensorResponse
from recserve.processors.bypass import Bypass
from recserve.processors.load import load

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Tensors = dict[str, NDArray[Any]]

IDS = {"user_id": "user_id", "item_id": "item_id", "tags": "tags", "clicks__item_id": "item_id"}
PER_ITEM = ("item_id", "tags", "price")
NUMBERS = st.sampled_from(
    [-1, 0, 1, 2, 39, 40, 50, -(2**31), 2**31 - 1, 2**31, 2**32 + 1, 2**62, -(2**63), 2**63 - 1]
)
DTYPES = st.sampled_from(
    ["float32", "float64", "float16", "int32", "int16", "int8", "uint8", "bool", "object"]
)


def _element(draw: Callable[..., Any], tensor: NDArray[Any]) -> NDArray[Any]:
    """One element is another number; of two, the sum is what it was, modulo 2 to the 64."""
    if tensor.size == 0 or tensor.dtype.kind != "i":
        return np.full(tensor.shape, np.nan, np.float32)
    changed = tensor.astype(np.int64)
    at = draw(st.integers(0, tensor.size - 1))
    number = draw(NUMBERS)
    if tensor.size > 1 and draw(st.booleans()):
        with np.errstate(over="ignore"):
            changed.flat[at - 1] += changed.flat[at] - np.int64(number)
    changed.flat[at] = number
    return changed


def _size(draw: Callable[..., Any], tensor: NDArray[Any]) -> NDArray[Any]:
    """Some rows or elements more, fewer or none."""
    wanted = draw(st.sampled_from([0, 1, max(0, len(tensor) - 1) if tensor.ndim else 0, 7, 1000]))
    return np.resize(tensor, (wanted, *tensor.shape[1:])) if tensor.size else np.zeros(wanted, tensor.dtype)


def _rank(draw: Callable[..., Any], tensor: NDArray[Any]) -> NDArray[Any]:
    """The same values in another shape, or the first of them alone."""
    shapes: list[tuple[int, ...]] = [(-1,), (1, -1), (-1, 1), (1, 1, -1)]
    if tensor.size == 0 or draw(st.booleans()):
        return tensor.reshape(draw(st.sampled_from(shapes))) if tensor.size else tensor
    return np.array(tensor.reshape(-1)[0])


def _dtype(draw: Callable[..., Any], tensor: NDArray[Any]) -> NDArray[Any]:
    with np.errstate(all="ignore"):
        return tensor.astype(draw(DTYPES))


CHANGES = (_element, _size, _rank, _dtype)


@st.composite
def requests(draw: Callable[..., Any], *, tile: bool) -> Tensors:
    """A good request of some rows, in which up to three tensors are changed, left out or swapped."""
    rows = draw(st.integers(0 if not tile else 1, 6))
    given = dict(tensors(models.rank_inputs(rows, tile=tile, seed=draw(st.integers(0, 40)))))
    names = sorted(given)
    for _ in range(draw(st.integers(0, 3))):
        name, other = draw(st.sampled_from(names)), draw(st.sampled_from(names))
        match draw(st.integers(0, 9)):
            case 0:
                given.pop(name, None)
            case 1 if name in given and other in given:
                given[name], given[other] = given[other], given[name]
            case _ if name in given:
                given[name] = draw(st.sampled_from(CHANGES))(draw, given[name])
    return given


def agrees(given: Tensors, *, tile: bool) -> bool:
    """Whether `Rank` can answer: written for the eye, in whole numbers of any size."""
    names = {f"{feature}.{part}" for feature in IDS for part in ("values", "lengths")} | {"price.values"}
    if set(given) - {"batch_size"} != names or (tile and "batch_size" not in given):
        return False
    price = given["price.values"]
    fits = price.dtype == np.float32 and price.shape[1:] == (2,)
    if not fits or not all(
        _ids_agree(given, feature, models.TABLES[table]) for feature, table in IDS.items()
    ):
        return False
    rows = {"price": len(price)} | {feature: len(given[f"{feature}.lengths"]) for feature in IDS}
    if not tile:
        return len(set(rows.values())) == 1
    size = given["batch_size"]
    if size.dtype not in (np.int64, np.int32) or size.size != 1:
        return False
    batch = int(size.reshape(-1)[0])
    if batch == 1:
        return len(set(rows.values())) == 1
    return batch > 1 and all(rows[name] == (batch if name in PER_ITEM else 1) for name in rows)


def _ids_agree(given: Tensors, feature: str, limit: int) -> bool:
    values, lengths = given[f"{feature}.values"], given[f"{feature}.lengths"]
    if any(array.dtype not in (np.int64, np.int32) or array.ndim != 1 for array in (values, lengths)):
        return False
    counts = [int(count) for count in lengths]
    return (
        min(counts, default=0) >= 0
        and sum(counts) == len(values)
        and all(0 <= int(value) < limit for value in values)
    )


def answered(processor: Bypass, given: Tensors) -> tuple[TensorResponse | None, str]:
    """The answer, or why the request is refused; any other error is nobody's wish."""
    try:
        return processor.predict(TensorRequest([], given)), ""
    except RequestError as error:
        return None, str(error)


def main(bundle: Path, count: int, start: int) -> None:
    opened = Bundle.open(bundle)
    tile = opened.input_tile() > 0
    processor = load(opened, service.load({"name": "rank", "model_config": {"fg_mode": "bypass"}}, {}))
    assert isinstance(processor, Bypass)
    processor.predict(processor.sample(2))
    outcomes: Counter[str] = Counter()

    @seed(start)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(requests(tile=tile))
    def ask(given: Tensors) -> None:
        response, refusal = answered(processor, given)
        outcomes["refused" if response is None else "answered"] += 1
        assert agrees(given, tile=tile) == (response is not None), refusal
        if response is None:
            assert any(feature in refusal for feature in [*IDS, "price", "batch_size"]), refusal
            return
        for output in response.named_outputs.values():
            assert len(output) == len(given["price.values"])
            assert np.isfinite(output).all() == np.isfinite(given["price.values"]).all()

    ask()
    print(dict(outcomes))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0)
