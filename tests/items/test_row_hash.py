"""The hash of a row tells every difference that a table can hold, and never changes by itself."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from recserve.columns import batch_from_arrow, to_arrow
from recserve.items.store import hash_rows


def hashes(**columns: pa.Array) -> list[int]:
    found: list[int] = to_arrow(hash_rows(batch_from_arrow(columns))).to_pylist()
    return found


@pytest.mark.parametrize(
    "array",
    [
        pa.array([None, 0, 1, -1, 2**31 - 1], pa.int32()),
        pa.array([None, 0, 1, -1, 2**63 - 1, -(2**63)], pa.int64()),
        pa.array([None, 0.0, -0.0, 1.5, math.nan, math.inf], pa.float32()),
        pa.array([None, 0.0, -0.0, 1e300, math.nan], pa.float64()),
        pa.array([None, "", "0", "a", "a\0", "\0a", "ab", "abcdefgh", "abcdefg", "x" * 5000, "中"]),
        pa.array([None, [], [0], [0, 0], [1], [1, 2], [2, 1]], pa.list_(pa.int64())),
        pa.array([None, [], [""], ["", ""], ["ab"], ["a", "b"], ["", "ab"]], pa.list_(pa.string())),
        pa.array([None, [0.0, 1.0], [1.0, 0.0], [0.0, -0.0]], pa.list_(pa.float32(), 2)),
        pa.array(
            [None, [], [("a", 1.0)], [("a", 0.0)], [("b", 1.0)], [("a", 1.0), ("b", 1.0)]],
            pa.map_(pa.string(), pa.float32()),
        ),
        pa.array([None, [], [[]], [[], []], [[1]], [[1], []], [[], [1]], [[1, 2]], [[1], [2]]]),
    ],
    ids=lambda array: str(array.type),
)
def test_cells_that_differ_have_different_hashes(array: pa.Array) -> None:
    found = hashes(cell=array)

    assert len(set(found)) == len(array)


def test_name_type_and_place_count_but_the_order_of_columns_does_not() -> None:
    one, two = pa.array([1, 2]), pa.array([2, 1])

    assert hashes(a=one, b=two) == hashes(b=two, a=one)
    assert hashes(a=one) != hashes(b=one)
    assert hashes(a=one)[0] != hashes(a=one.cast(pa.int32()))[0]
    assert hashes(a=pa.array(["1"])) != hashes(a=pa.array([1]))
    both = hashes(a=one, b=two)
    assert both[0] != both[1]


def test_a_null_cell_adds_nothing() -> None:
    assert hashes(a=pa.array([1]), b=pa.array([None], pa.string())) == hashes(a=pa.array([1]))


@pytest.mark.parametrize("kind", [pa.int64(), pa.string(), pa.list_(pa.string())])
def test_rows_of_a_slice_hash_as_before(kind: pa.DataType) -> None:
    cells: list[Any] = [None, 1, 22, None, 4]
    if kind != pa.int64():
        cells = [None if cell is None else str(cell) for cell in cells]
    if pa.types.is_list(kind):
        cells = [None if cell is None else [cell, cell] for cell in cells]
    array = pa.array(cells, kind)

    assert hashes(a=array.slice(2, 2)) == hashes(a=array)[2:4]


def test_a_million_close_rows_do_not_collide() -> None:
    numbers = np.arange(1_000_000)
    array = np.asarray(
        hash_rows(batch_from_arrow({"a": pa.array(numbers % 1000), "b": pa.array(numbers // 1000)})).numbers()
    )

    assert len(np.unique(array)) == len(numbers)


def test_the_hash_is_the_one_that_files_hold() -> None:
    """Images and stores of other machines and releases hold these numbers: they must not change."""
    found = hashes(
        number=pa.array([1, None]),
        short=pa.array([7, -7], pa.int32()),
        share=pa.array([0.5, None], pa.float32()),
        text=pa.array(["item", "a text of more than eight bytes"]),
        tags=pa.array([["a", "bc"], []], pa.list_(pa.string())),
        vector=pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(pa.float32(), 2)),
        weights=pa.array([[("k", 1.5)], None], pa.map_(pa.string(), pa.float64())),
        nested=pa.array([[[1, 2], []], None], pa.list_(pa.list_(pa.int64()))),
    )

    assert found == [-8143783247825377612, -5670585604174937392]
