"""The gate lets pass what float32 cannot tell apart, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from recserve.compile import gate
from recserve.compile.asked import Asked
from recserve.engines.compiled import Speed
from recserve.engines.engine import tensors
from recserve.errors import BundleError, ModelError, RecserveError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

VALUES = {"x.values": np.array([[0.25], [0.5]], np.float32)}
ASKED = Asked(2, VALUES, VALUES)


def answering(name: str, change: Callable[[NDArray[Any]], Any] = lambda values: values) -> gate.Answers:
    """A model of one output: its input, changed."""

    def answer(given: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        return {name: change(given["x.values"][:, 0])}

    return answer


def failing(given: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    raise ModelError("the model failed: index out of range")


@pytest.mark.parametrize(("shift", "passes"), [(1e-6, True), (4e-6, False)])
def test_probabilities_may_differ_by_two_millionths(shift: float, passes: bool, tmp_path: Path) -> None:
    models = answering("probs_ctr"), answering("probs_ctr", lambda values: values + np.float32(shift))

    if passes:
        parity = gate.compare(*models, [ASKED], reproducer=tmp_path / "r.npz")
        assert parity.probability == pytest.approx(shift, rel=0.1)
    else:
        with pytest.raises(BundleError, match=r"output 'probs_ctr' differs .* up to 3.99e-06 .* of 2 rows"):
            gate.compare(*models, [ASKED], reproducer=tmp_path / "r.npz")


@pytest.mark.parametrize(("factor", "passes"), [(1 + 5e-6, True), (1 + 5e-5, False)])
def test_other_outputs_may_differ_by_their_size(factor: float, passes: bool, tmp_path: Path) -> None:
    large = {"x.values": np.array([[-3000.0], [5.0]], np.float32)}
    models = answering("logits"), answering("logits", lambda values: values * np.float32(factor))
    asked = [Asked(2, large, large)]

    if passes:
        assert 0 < gate.compare(*models, asked, reproducer=tmp_path / "r.npz").relative <= 1e-5
    else:
        with pytest.raises(BundleError, match="output 'logits' differs"):
            gate.compare(*models, asked, reproducer=tmp_path / "r.npz")


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
def test_another_shape_or_type_and_new_nans_never_pass(change: Any, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"differs .* by up to inf"):
        gate.compare(answering("probs"), answering("probs", change), [ASKED], reproducer=tmp_path / "r.npz")


def test_nan_where_the_original_has_it_passes(tmp_path: Path) -> None:
    nan = answering("probs", lambda values: np.where([True, False], np.float32(np.nan), values))

    assert gate.compare(nan, nan, [ASKED], reproducer=tmp_path / "r.npz") == gate.Parity(1, 0.0, 0.0)


def test_what_differs_is_saved_with_both_requests_and_both_answers(tmp_path: Path) -> None:
    path = tmp_path / "r.npz"
    once = {"x.values": VALUES["x.values"] * 2}

    with pytest.raises(BundleError, match=r"is saved in .*r.npz"):
        gate.compare(answering("y"), answering("y"), [Asked(2, VALUES, once)], reproducer=path)

    with np.load(path) as saved:
        assert {name: list(saved[name].ravel()) for name in saved} == {
            "original/x.values": [0.25, 0.5],
            "compiled/x.values": [0.5, 1.0],
            "expected/y": [0.25, 0.5],
            "found/y": [0.5, 1.0],
        }


def test_a_failure_where_the_original_answers_is_one_too(tmp_path: Path) -> None:
    path = tmp_path / "r.npz"

    with pytest.raises(BundleError, match=r"it fails for a request of 2 rows \(the model failed: index"):
        gate.compare(answering("y"), failing, [ASKED], reproducer=path)

    assert path.exists()


def test_what_the_original_refuses_says_nothing_where_it_may(tmp_path: Path) -> None:
    refused = Asked(2, VALUES, VALUES, may_be_refused=True)

    parity = gate.compare(failing, failing, [refused], reproducer=tmp_path / "r.npz")

    assert parity.requests == 0
    with pytest.raises(RecserveError, match=r"the model rejects a request of 2 rows .* --samples"):
        gate.compare(failing, answering("y"), [ASKED], reproducer=tmp_path / "r.npz")


def test_requests_are_the_same_for_both_though_one_writes_to_them(tmp_path: Path) -> None:
    def writing(given: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        given["x.values"][:] += 1
        return {"y": given["x.values"][:, 0].copy()}

    assert gate.compare(writing, writing, [ASKED, ASKED], reproducer=tmp_path / "r.npz").requests == 2
    assert VALUES["x.values"][0, 0] == 0.25


def test_calls_take_turns_and_the_first_is_what_others_are_compared_with() -> None:
    order: list[int] = []

    speeds = gate.race(7, lambda: order.append(0), [lambda: order.append(1), lambda: order.append(2)])

    assert order == [0, 1, 2] * (gate.WARM_UP + gate.ROUNDS)
    assert [speed.rows for speed in speeds] == [7, 7]
    assert speeds[0].original_ms == speeds[1].original_ms > 0


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
