"""Whole columns are taken at once, and are what cell by cell would have given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from recserve.client.cells import id_column, single_cells, whole_column
from recserve.columns import to_arrow
from recserve.errors import RequestError

THREE_BY_TWO = np.arange(6, dtype=np.float32).reshape(3, 2)


class Offered:
    """A column of a data frame: it offers itself as Arrow, or as an array."""

    def __init__(self, way: str, values: list[Any]) -> None:
        array = pa.array(values)
        self._values = values
        if way == "__array__":
            self.__array__ = lambda *_, **__: np.array(values)
        else:
            setattr(self, way, getattr(pa.chunked_array([array]) if "stream" in way else array, way))

    def __len__(self) -> int:
        return len(self._values)


def column(values: Any) -> pa.Array:
    return to_arrow(whole_column("context", "c", values))


@pytest.mark.parametrize(
    ("values", "type_", "cells"),
    [
        (np.array([1, 2, 3], np.int8), "int32", [1, 2, 3]),
        (np.array([True, False]), "int32", [1, 0]),
        (np.array([1, 2], np.uint32), "int64", [1, 2]),
        (np.array([0.5, 1], np.float16), "float", [0.5, 1.0]),
        (np.arange(6)[::2], "int64", [0, 2, 4]),
        (np.array(["a", "bc"]), "string", ["a", "bc"]),
        (np.array(["a", None], object), "string", ["a", None]),
        (np.array([{"a": 1}, {}], object), "map<string, int64>", [[("a", 1)], None]),
        (THREE_BY_TWO, "list<item: float>", [[0, 1], [2, 3], [4, 5]]),
        (THREE_BY_TWO.T, "list<item: float>", [[0, 2, 4], [1, 3, 5]]),
        (np.zeros((2, 0)), "string", [None, None]),
        (np.ones((1, 2, 1)), "list<item: list<item: double>>", [[[1.0], [1.0]]]),
        (pa.array([1, None]), "int64", [1, None]),
        (pa.chunked_array([["a"], ["b"]]), "string", ["a", "b"]),
        (pa.array(["a", "b"]).dictionary_encode(), "string", ["a", "b"]),
        (pa.array([[1], []]), "list<item: int64>", [[1], []]),
        (["a", "", None], "string", ["a", None, None]),
        ([1, 2.5], "double", [1.0, 2.5]),
        ([np.float32(1), None], "float", [1.0, None]),
        ([["a"], None], "list<item: string>", [["a"], None]),
        ([["a"], []], "list<item: string>", [["a"], None]),
        ([[1, 2.5], [1]], "list<item: double>", [[1.0, 2.5], [1.0]]),
        ([(1,), [2]], "list<item: int64>", [[1], [2]]),
        ([[[1]], [[2], []]], "list<item: list<item: int64>>", [[[1]], [[2], []]]),
        ((1, 2), "int64", [1, 2]),
        (range(3), "int64", [0, 1, 2]),
        ([None, None], "string", [None, None]),
    ],
    ids=str,
)
def test_a_column_is_taken_as_it_is(values: Any, type_: str, cells: list[Any]) -> None:
    assert str(column(values).type) == type_
    assert column(values).to_pylist() == cells


@pytest.mark.parametrize("way", ["__arrow_c_array__", "__arrow_c_stream__", "__array__"])
def test_columns_of_data_frames_are_taken_by_what_they_offer(way: str) -> None:
    assert column(Offered(way, [1.5, 2.5])).to_pylist() == [1.5, 2.5]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1, "a"], "context 'c': .*; the values of one column need one type"),
        ([[1], ["a"]], "context 'c': .*; the values of one column need one type"),
        ([["a", None]], "context 'c': None inside a list"),
        (np.array(["2020-01-01"], "datetime64[D]"), "context 'c': column 'c': .*a moment has no number"),
        (np.array([1], ">i4"), "context 'c': Byte-swapped arrays not supported"),
        (np.array([1 + 2j]), "context 'c': "),
        (np.array([2**64 - 1], np.uint64), "context 'c': column 'c' .uint64. does not fit int64"),
        (pa.array([{"a": 1}]), "context 'c': column 'c': .*take its fields as columns of their own"),
        (["\ud800"], "context 'c': "),
    ],
    ids=str,
)
def test_what_is_no_column_is_refused_by_name(values: Any, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        whole_column("context", "c", values)


def test_single_values_share_arrays_and_keep_their_types_and_order() -> None:
    values = {"a": "x", "b": 1, "c": True, "d": "", "e": 2.5, "f": np.float32(0.5), "g": [1], "h": "y"}

    cells = single_cells("user", values)

    assert list(cells) == list(values)
    assert [to_arrow(cell).to_pylist() for cell in cells.values()] == [
        ["x"], [1], [1], [None], [2.5], [0.5], [[1]], ["y"],
    ]  # fmt: skip
    assert [str(to_arrow(cell).type) for cell in cells.values()] == [
        "string", "int64", "int32", "string", "double", "float", "list<item: int64>", "string",
    ]  # fmt: skip


def test_a_single_value_that_does_not_fit_is_named() -> None:
    with pytest.raises(RequestError, match="user 'wide': "):
        single_cells("user", {"a": 1, "wide": 2**70, "b": 2})


@pytest.mark.parametrize(
    "ids", [["7", 8], [7, 8], np.array([7, 8]), np.array(["7", "8"]), pa.array([7, 8]), ("7", "8")]
)
def test_ids_are_texts(ids: Any) -> None:
    assert to_arrow(id_column(ids)).to_pylist() == ["7", "8"]
