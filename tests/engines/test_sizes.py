"""Sizes that a model declares: what fits, and what a request that does not fit is told."""

from __future__ import annotations

import numpy as np
import pytest

from recserve.engines import sizes
from recserve.engines.engine import TensorSpec
from recserve.engines.sizes import Size, exactly
from recserve.errors import RequestError

ROWS = Size("rows", 2, 64)
SPECS = {
    "x": TensorSpec("float32", 2, (ROWS, exactly(3))),
    "steps": TensorSpec("int64", 1, (Size("steps", 1),)),
    "bias": TensorSpec("float32", 1, (ROWS,)),
    "scale": TensorSpec("float32", 0),
}


def tensors(rows: int) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]]:
    return {
        "x": np.ones((rows, 3), np.float32),
        "steps": np.ones(1, np.int64),
        "bias": np.ones(rows, np.float32),
        "scale": np.array(1, np.float32),
    }


@pytest.mark.parametrize("rows", [2, 64])
def test_tensors_of_declared_sizes_pass(rows: int) -> None:
    sizes.check(tensors(rows), SPECS)


@pytest.mark.parametrize("rows", [1, 65])
def test_a_size_beyond_its_limits_is_told_with_them(rows: int) -> None:
    with pytest.raises(RequestError, match=r"input 'x' is .*; the model reads .* \(rows \(2 to 64\), 3\)"):
        sizes.check(tensors(rows), SPECS)


def test_a_size_of_one_name_is_the_same_everywhere() -> None:
    with pytest.raises(RequestError, match=r"input 'bias' is .* \(3,\); .*, and rows is 2 in 'x'"):
        sizes.check(tensors(2) | {"bias": np.ones(3, np.float32)}, SPECS)


def test_examples_fit() -> None:
    for rows in (1, 7, 1000):
        shapes = sizes.example(SPECS, rows)
        made = {name: np.zeros(shape, SPECS[name].dtype) for name, shape in shapes.items()}

        sizes.check(made, SPECS)

        assert shapes["x"] == (min(max(rows, 2), 64), 3)
        assert shapes["steps"] == (1,)


def test_examples_of_nameless_sizes_have_their_rows_first() -> None:
    assert sizes.example({"x": TensorSpec("float32", 2, (Size(), Size()))}, 5) == {"x": (5, 1)}


def test_no_rows_are_seen_where_requests_choose_them() -> None:
    assert sizes.has_no_rows({**tensors(0), "steps": np.ones(0, np.int64)}, SPECS)
    assert not sizes.has_no_rows(tensors(2), SPECS)
    assert not sizes.has_no_rows({"scale": np.array(1, np.float32)}, {"scale": SPECS["scale"]})
