"""The gate lets pass what float32 cannot tell apart, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from recserve.compile import gate
from recserve.engines.column_sum import ColumnSum
from recserve.engines.compiled import Speed
from recserve.engines.engine import tensors
from recserve.errors import BundleError
from recserve.messages import TensorResponse

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recserve.messages import TensorRequest

VALUES = {"x.values": np.array([[0.25], [0.5]], np.float32)}


class Shifted(ColumnSum):
    """Sums, changed by a function."""

    def __init__(self, output: str, change: Any) -> None:
        super().__init__({output: ["x.values"]}, ["x.values"], outputs=(), features=None, limits={})
        self._change = change

    def run_tensors(self, request: TensorRequest) -> TensorResponse:
        answered = super().run_tensors(request).named_outputs
        return TensorResponse([], {name: self._change(output) for name, output in answered.items()})


def same(output: NDArray[Any]) -> NDArray[Any]:
    return output


@pytest.mark.parametrize(
    ("output", "shift", "passes"),
    [
        ("probs_ctr", 1e-6, True),
        ("probs_ctr", 4e-6, False),
        ("y", 1e-6, True),  # between 0 and 1: held to be a probability
        ("y", 4e-6, False),
    ],
)
def test_probabilities_may_differ_by_two_millionths(output: str, shift: float, passes: bool) -> None:
    engines = Shifted(output, same), Shifted(output, lambda values: values + np.float32(shift))

    if passes:
        assert gate.compare(*engines, [VALUES]).probability == pytest.approx(shift, rel=0.1)
    else:
        with pytest.raises(BundleError, match=f"nothing is written: output '{output}' differs by 3.99e-06"):
            gate.compare(*engines, [VALUES])


@pytest.mark.parametrize(("factor", "passes"), [(1 + 5e-6, True), (1 + 5e-5, False)])
def test_other_outputs_may_differ_by_their_size(factor: float, passes: bool) -> None:
    large = {"x.values": np.array([[-3000.0], [5.0]], np.float32)}
    engines = Shifted("logits", same), Shifted("logits", lambda values: values * np.float32(factor))

    if passes:
        assert 0 < gate.compare(*engines, [large]).relative <= gate.RELATIVE
    else:
        with pytest.raises(BundleError, match="output 'logits' differs"):
            gate.compare(*engines, [large])


@pytest.mark.parametrize(
    "change",
    [
        lambda values: values[:1],
        lambda values: values.astype(np.float64),
        lambda values: np.where([True, False], np.float32(np.nan), values),
        lambda values: np.where([True, False], np.float32(np.inf), values),
    ],
    ids=["rows", "type", "nan", "infinity"],
)
def test_another_shape_or_type_and_new_nans_never_pass(change: Any) -> None:
    with pytest.raises(BundleError, match="differs by inf"):
        gate.compare(Shifted("probs", same), Shifted("probs", change), [VALUES])


def test_nan_where_the_original_has_it_passes() -> None:
    def nan(values: NDArray[Any]) -> NDArray[Any]:
        return np.where([True, False], np.float32(np.nan), values)

    assert gate.compare(Shifted("probs", nan), Shifted("probs", nan), [VALUES]) == gate.Parity(1, 0.0, 0.0)


def test_times_are_taken_for_every_request() -> None:
    engine = Shifted("y", same)

    speeds = gate.race(engine, engine, [(2, VALUES), (2, VALUES)])

    assert [speed.rows for speed in speeds] == [2, 2]
    assert all(speed.original_ms > 0 and speed.compiled_ms > 0 for speed in speeds)


@pytest.mark.parametrize(
    ("times", "faster"),
    [([(1, 0.9), (1, 0.8)], True), ([(1, 1.2), (1, 0.5)], True), ([(1, 1.2), (1, 0.9)], False)],
)
def test_faster_is_judged_over_all_sizes(times: list[tuple[float, float]], faster: bool) -> None:
    assert gate.is_faster([Speed(1, *pair) for pair in times]) is faster


def test_tensors_are_laid_out_as_generated_ones() -> None:
    given: dict[str, NDArray[Any]] = {
        "x.values": np.ones((2, 3), np.float32),
        "x.weights": np.ones(2, np.float32),
        "ids.values": np.arange(2),
    }

    result = tensors(gate.laid_out(given))

    assert result.keys() == given.keys()
    for name, value in given.items():
        np.testing.assert_array_equal(result[name], value)
