"""Columns share memory with Arrow and refuse what they cannot hold."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from recserve.columns import Batch, batch_from_arrow, column_from_arrow, to_arrow
from recserve.errors import DataError

ARRAYS = [
    pa.array([1, None, 3], pa.int64()),
    pa.array([1, 2, 3], pa.int32()),
    pa.array([1.5, None], pa.float32()),
    pa.array([1.5, 2.5], pa.float64()),
    pa.array(["a", "", None, "中文"]),
    pa.array([["a", "b"], [], None, ["c"]], pa.list_(pa.string())),
    pa.array([[1, 2], [3]], pa.list_(pa.int64())),
    pa.array([[("x", 1.5)], [], None], pa.map_(pa.string(), pa.float32())),
    pa.array([[[1, 2], []], None, [[3]]], pa.list_(pa.list_(pa.int64()))),
    pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(pa.float32(), 2)),
    pa.array([], pa.string()),
    pa.array([], pa.list_(pa.int32())),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda a: str(a.type))
def test_an_arrow_array_survives_the_round_trip(array: pa.Array) -> None:
    result = to_arrow(column_from_arrow(array))

    result.validate(full=True)
    assert result.to_pylist() == array.to_pylist()


@pytest.mark.parametrize("array", [a for a in ARRAYS if len(a) > 2], ids=lambda a: str(a.type))
def test_a_slice_of_an_arrow_array_keeps_its_rows(array: pa.Array) -> None:
    assert to_arrow(column_from_arrow(array.slice(1, 2))).to_pylist() == array.slice(1, 2).to_pylist()


@pytest.mark.parametrize(
    ("array", "stored"),
    [
        (pa.array([1, 2], pa.int8()), pa.int32()),
        (pa.array([True, False]), pa.int32()),
        (pa.array([1, 2], pa.uint32()), pa.int64()),
        (pa.array([1.5], pa.float16()), pa.float32()),
        (pa.array(["a"], pa.large_string()), pa.string()),
        (pa.array(["a", "b", "a"]).dictionary_encode(), pa.string()),
        (pa.array([["a"]], pa.large_list(pa.large_string())), pa.list_(pa.string())),
        (pa.array([None, None]), pa.string()),
    ],
    ids=str,
)
def test_other_arrow_types_are_widened(array: pa.Array, stored: pa.DataType) -> None:
    assert to_arrow(column_from_arrow(array)).type == stored


def test_an_unsupported_type_names_the_column() -> None:
    with pytest.raises(DataError, match=r"column 'when': Arrow type duration\[s\]"):
        column_from_arrow(pa.array([1], pa.duration("s")), "when")


def test_missing_is_null_or_empty_of_any_kind() -> None:
    texts = column_from_arrow(pa.array(["a", "", None]))
    lists = column_from_arrow(pa.array([["a"], [], None], pa.list_(pa.string())))
    numbers = column_from_arrow(pa.array([0, None]))

    assert [texts.missing(i) for i in range(3)] == [False, True, True]
    assert [lists.missing(i) for i in range(3)] == [False, True, True]
    assert [numbers.missing(i) for i in range(2)] == [False, True]


def test_numbers_share_the_memory_of_the_column() -> None:
    array = pa.array([1.0, 2.0], pa.float32())
    column = column_from_arrow(array)

    assert column.numbers().ctypes.data == np.asarray(array).ctypes.data


def test_a_batch_takes_one_row_for_all_and_refuses_other_lengths() -> None:
    batch = Batch(3)
    batch.add("user", column_from_arrow(pa.array([1])))
    with pytest.raises(DataError, match="column 'item' has 2 rows, its batch has 3"):
        batch.add("item", column_from_arrow(pa.array([1, 2])))
    with pytest.raises(DataError, match="'user' is in the batch already"):
        batch.add("user", column_from_arrow(pa.array([1])))
    assert batch.names == ["user"]


def test_a_batch_takes_the_named_columns_of_a_table() -> None:
    batch = batch_from_arrow(pa.table({"a": [1, 2], "b": ["x", "y"]}), columns=["b", "absent"])

    assert batch.names == ["b"]
    assert batch.rows == 2


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array([[1, None], [3]], pa.list_(pa.int64())), [[[1], []], [[3]]]),
        (pa.array([[1.5, None], None], pa.list_(pa.float32())), [[[1.5], []], None]),
        (pa.array([["a", None], None], pa.list_(pa.string())), [["a", ""], None]),
        (pa.array([[["a", None]], []], pa.list_(pa.list_(pa.string()))), [[["a", ""]], []]),
        (pa.array([[[1, None]], [[], [2]]], pa.list_(pa.list_(pa.int32()))), [[[1]], [[], [2]]]),
        (pa.array([[[1]], [[None, 2]]], pa.list_(pa.list_(pa.int32()))).slice(1), [[[2]]]),
        (pa.array([[0, 0], [1, None], [3, 4]], pa.list_(pa.int64(), 2)).slice(1), [[[1], []], [[3], [4]]]),
        (pa.array([None, [1, None]], pa.list_(pa.int64(), 2)), [None, [[1], []]]),
        (pa.array([["b"], ["a", None], None], pa.list_(pa.string())).slice(1), [["a", ""], None]),
    ],
    ids=str,
)
def test_a_null_entry_of_a_list_is_an_empty_one(array: pa.Array, expected: list[object]) -> None:
    assert to_arrow(column_from_arrow(array)).to_pylist() == expected


def test_null_values_of_a_map_are_refused() -> None:
    array = pa.array([[("a", None)]], pa.map_(pa.string(), pa.int64()))
    with pytest.raises(DataError, match=r"column 'x' .* has null values inside its maps; drop those keys"):
        column_from_arrow(array, "x")
