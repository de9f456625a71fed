"""Columns share memory with Arrow and refuse what they cannot hold."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from tests.markdown import ROOT, table_rows

from recserve.columns import Batch, batch_from_arrow, column_from_arrow, storage_type, to_arrow
from recserve.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable

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


PAGE = ROOT / "docs" / "reference" / "arrow.md"
#: The table of the page: Arrow type, what a column stores it as (or refused), what is said.
CASES = [row for row in table_rows(PAGE) if row[0].startswith("`")]


#: How the page writes Arrow types that have parts.
MAKERS: list[tuple[str, Callable[..., pa.DataType]]] = [
    (r"list<(.*)>", lambda value: pa.list_(type_of(value))),
    (r"large_list<(.*)>", lambda value: pa.large_list(type_of(value))),
    (r"list_view<(.*)>", lambda value: pa.list_view(type_of(value))),
    (r"map<(\w+), (.*)>", lambda key, value: pa.map_(type_of(key), type_of(value))),
    (r"dictionary<(.*)>", lambda value: pa.dictionary(pa.int8(), type_of(value))),
    (r"run_end_encoded<(.*)>", lambda value: pa.run_end_encoded(pa.int32(), type_of(value))),
    (r"struct<(.*)>", lambda value: pa.struct([("field", type_of(value))])),
    (r"(.+)\[(\d+)\]", lambda value, size: pa.list_(type_of(value), int(size))),
    (r"fixed_size_binary\((\d+)\)", lambda size: pa.binary(int(size))),
    (r"decimal128\((\d+), (\d+)\)", lambda digits, scale: pa.decimal128(int(digits), int(scale))),
    (r"(string_view|binary_view|large_binary|null)", lambda name: getattr(pa, name)()),
]


def type_of(text: str) -> pa.DataType:
    for pattern, maker in MAKERS:
        if match := re.fullmatch(pattern, text):
            return maker(*match.groups())
    return pa.type_for_alias(text)


def types_in(cell: str) -> list[str]:
    return re.findall("`([^`]+)`", cell)


@pytest.mark.parametrize(("arrow", "stored"), [(t, row[1]) for row in CASES for t in types_in(row[0])])
def test_arrow_types_are_widened_or_refused_as_the_page_says(arrow: str, stored: str) -> None:
    array = pa.nulls(2, type_of(arrow))
    if stored == "refused":
        with pytest.raises(DataError, match=r"^column 'x': Arrow type .* is not taken; "):
            column_from_arrow(array, "x")
        return
    (expected,) = types_in(stored)
    assert storage_type(array.type) == type_of(expected)
    assert to_arrow(column_from_arrow(array)).to_pylist() == [None, None]


def test_the_page_names_every_type_that_arrow_has() -> None:
    known = {
        str(type_of(t)).partition("<")[0].partition("[")[0].partition("(")[0]
        for row in CASES
        for t in types_in(row[0])
    }

    assert known >= {
        "bool",
        "uint8",
        "uint64",
        "halffloat",
        "null",
        "large_string",
        "date32",
        "struct",
        "decimal128",
    }


@pytest.mark.parametrize(
    ("array", "values"),
    [
        (pa.array([1, -2, None], pa.int8()), [1, -2, None]),
        (pa.array([True, False, None]), [1, 0, None]),
        (pa.array([2**32 - 1], pa.uint32()), [2**32 - 1]),
        (pa.array([2**63 - 1], pa.uint64()), [2**63 - 1]),
        (pa.array([1.5], pa.float16()), [1.5]),
        (pa.array(["a", None], pa.large_string()), ["a", None]),
        (pa.array(["a", None], pa.string_view()), ["a", None]),
        (pa.array([b"a", None], pa.large_binary()), ["a", None]),
        (pa.array(["a", "b", "a", None]).dictionary_encode(), ["a", "b", "a", None]),
        (
            pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array(["a", "b"])),
            ["a", "a", "b"],
        ),
        (pa.array([["a"], None], pa.large_list(pa.large_string())), [["a"], None]),
        (pa.array([[True], []], pa.list_(pa.bool_())), [[1], []]),
        (pa.array([[["a"]], None], pa.large_list(pa.large_list(pa.string()))), [[["a"]], None]),
        (pa.array([[[1, 2]], []], pa.list_(pa.list_(pa.int8(), 2))), [[[1, 2]], []]),
        (pa.array([[[1, 2], [3]]], pa.list_(pa.list_(pa.int8()), 2)), [[[1, 2], [3]]]),
        (pa.array([[("a", 1)]], pa.map_(pa.large_string(), pa.uint8())), [[("a", 1)]]),
    ],
    ids=lambda value: str(getattr(value, "type", "")),
)
def test_other_arrow_types_keep_their_values(array: pa.Array, values: list[object]) -> None:
    assert to_arrow(column_from_arrow(array)).to_pylist() == values


def test_an_unsigned_number_that_does_not_fit_is_refused_with_its_value() -> None:
    for array in (pa.array([1, 2**64 - 1], pa.uint64()), pa.array([[2**64 - 1]], pa.list_(pa.uint64()))):
        with pytest.raises(DataError, match=r"column 'id' \(.*\) does not fit .* 18446744073709551615"):
            column_from_arrow(array, "id")


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
