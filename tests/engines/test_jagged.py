"""Tensors of a caller that do not agree are refused by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from recserve.engines import jagged
from recserve.errors import RequestError

if TYPE_CHECKING:
    from numpy.typing import NDArray

TAGS = {"tags.values": np.array([7, 8, 9]), "tags.lengths": np.array([2, 0, 1])}
STEPS = {
    "clicks.values": np.array([1, 2, 3, 4]),
    "clicks.key_lengths": np.array([1, 2, 1]),
    "clicks.lengths": np.array([2, 1, 0]),
}
PRICE = {"price.values": np.ones((3, 2), np.float32)}
WEIGHTS = {"tags.weights": np.ones(3, np.float32)}
USER = {"user.values": np.array([5]), "user.lengths": np.array([1])}
# Members of a sequence that share the lengths of one of them.
SEEN = {
    "seen__id.values": np.array([1, 2, 3]),
    "seen__id.lengths": np.array([2, 0, 1]),
    "seen__cate.values": np.array([4, 5, 6]),
    "seen__price.values": np.ones((3, 1), np.float32),
    "seen__tags.values": np.array([7, 8, 9, 9]),
    "seen__tags.key_lengths": np.array([1, 2, 1]),
}
GOOD: dict[str, NDArray[Any]] = {**TAGS, **STEPS, **PRICE, **WEIGHTS, **SEEN}


@pytest.mark.parametrize(
    "tensors",
    [
        GOOD,
        {name: array.astype(np.int32) if array.dtype == np.int64 else array for name, array in GOOD.items()},
        {"clicks.values": np.ones((3, 4), np.float32), "clicks.lengths": np.array([1, 2])},
        {"anything": np.array("text"), "odd.thing": np.zeros((2, 2, 2))},
        {"tags.values": np.array([], np.int64), "tags.lengths": np.array([0, 0])},
        {},
    ],
    ids=["int64", "int32", "dense sequence", "names of the model's own", "all empty", "nothing"],
)
def test_tensors_that_agree_pass(tensors: dict[str, NDArray[Any]]) -> None:
    jagged.check(tensors, tile=False, limits={"tags": 10})


@pytest.mark.parametrize("size", [np.array(3), np.array([3]), np.array([3], np.int32)], ids=str)
def test_one_row_stands_for_all_under_input_tile(size: NDArray[Any]) -> None:
    jagged.check({**GOOD, **USER, "batch_size": size}, tile=True, limits={})


def test_repeated_rows_with_batch_size_one_are_the_offline_form() -> None:
    jagged.check({**GOOD, "batch_size": np.array([1])}, tile=True, limits={})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"tags.lengths": np.array([2, 0, 2])}, "'tags.lengths' sums to 4, but 'tags.values' has 3 entries"),
        ({"tags.lengths": np.array([4, -1, 0])}, "'tags.lengths' is -1 at position 1; lengths are 0 or more"),
        (
            {"tags.lengths": np.array([1 << 62, 1 << 62, 3])},
            "'tags.lengths' is 4611686018427387904 at position 0",
        ),
        ({"tags.lengths": np.array([[2, 0, 1]])}, r"'tags.lengths' is int64 of shape \(1, 3\)"),
        ({"tags.lengths": np.array([2.0, 0.0, 1.0])}, "'tags.lengths' is float64"),
        ({"tags.values": np.ones(3, np.float32)}, r"'tags.values' is float32 of shape \(3,\)"),
        ({"tags.values": np.ones((3, 1), np.int64)}, r"'tags.values' is int64 of shape \(3, 1\)"),
        (
            {"tags.weights": np.ones(2, np.float32)},
            r"'tags.weights' is float32 of shape \(2,\); .* the 3 values",
        ),
        ({"tags.weights": np.ones(3)}, "'tags.weights' is float64"),
        (
            {"clicks.lengths": np.array([2, 1, 1])},
            "'clicks.lengths' sums to 4, but 'clicks.key_lengths' has 3",
        ),
        (
            {"clicks.key_lengths": np.array([1, 1, 1])},
            "'clicks.key_lengths' sums to 3, but 'clicks.values' has 4",
        ),
        ({"clicks.key_lengths": np.array([5, -2, 1])}, "'clicks.key_lengths' is -2 at position 1"),
        ({"price.values": np.ones((3, 2))}, r"'price.values' is float64 of shape \(3, 2\)"),
        ({"price.values": np.ones(3, np.float32)}, r"'price.values' is float32 of shape \(3,\)"),
        ({"price.values": np.ones((2, 2), np.float32)}, "'price' has 2 rows, but 'tags' has 3"),
        (USER, "'user' has 1 rows, but 'tags' has 3"),
        ({"lost.lengths": np.array([1, 1, 1])}, "'lost.lengths' comes without 'lost.values'"),
        (
            {"seen__cate.values": np.array([1, 2])},
            "'seen__cate.values' has 2 entries, but 'seen__id.lengths' sums to 3",
        ),
        (
            {"seen__price.values": np.ones((4, 1), np.float32)},
            "'seen__price.values' has 4 entries, but 'seen__id.lengths' sums to 3",
        ),
        (
            {"seen__tags.values": np.array([1, 2, 3]), "seen__tags.key_lengths": np.array([1, 2])},
            "'seen__tags.key_lengths' has 2 entries, but 'seen__id.lengths' sums to 3",
        ),
        (
            {"seen__tags.values": np.array([1, 2, 3]), "seen__tags.key_lengths": np.array([1, 2, 1])},
            "'seen__tags.key_lengths' sums to 4, but 'seen__tags.values' has 3 entries",
        ),
        (
            {"lost.values": np.array([1]), "lost.weights": np.ones(1, np.float32)},
            "'lost.weights' comes without 'lost.lengths'",
        ),
        ({"tags.values": np.array([7, 10, 9])}, "'tags.values' is 10 at position 1; .* less than 10"),
        ({"tags.values": np.array([7, 8, -1])}, "'tags.values' is -1 at position 2; .* 0 or more"),
    ],
)
def test_a_tensor_that_does_not_agree_is_named(wrong: dict[str, NDArray[Any]], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        jagged.check({**GOOD, **wrong}, tile=False, limits={"tags": 10})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"batch_size": np.array([4])}, "'tags' has 3 rows, but batch_size is 4"),
        ({"batch_size": np.array([3, 3])}, "'batch_size' is int64 of shape"),
        ({"batch_size": np.array([0])}, "'batch_size' is int64 of shape"),
        ({"batch_size": np.array([3.0])}, "'batch_size' is float64"),
        (
            {"user.values": np.array([5, 6]), "user.lengths": np.array([1, 1])},
            "'user' has 2 rows, but 'tags' has 3",
        ),
    ],
)
def test_rows_and_batch_size_have_to_agree(wrong: dict[str, NDArray[Any]], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        jagged.check({**TAGS, **USER, "batch_size": np.array([3]), **wrong}, tile=True, limits={})
