"""Values as callers have them ──▶ columns as the protocol sends them.

| value                                  | sent as                              |
|----------------------------------------|--------------------------------------|
| str, int, float, numpy scalar          | string, int64, double, its own type  |
| list, tuple, one-dimensional array     | list of the same                     |
| list of lists, two-dimensional array   | list of lists                        |
| dict                                   | map                                  |
| None, "", [], {}                       | missing                              |

A whole column is taken at once where its type allows that: numpy and Arrow arrays, anything that offers
itself as Arrow (pandas, polars), lists of texts or numbers, lists of lists of them. Only what is left is
looked at cell by cell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa

from recserve.columns import Column, column_from_arrow
from recserve.errors import DataError, RequestError

if TYPE_CHECKING:
    from numpy.typing import NDArray


#: One value per item, or one for all: a list, a numpy array, an Arrow array, a column of pandas or polars.
Cells: TypeAlias = "Sequence[Any] | NDArray[Any] | pa.Array | pa.ChunkedArray"

#: Arrow reads a list of these, mixed with None, without help.
_PLAIN = frozenset((str, int, float, bool, type(None), *np.sctypeDict.values())) - {np.object_, np.void}
_LISTS = frozenset((list, type(None)))
#: numpy's kinds of numbers and texts: bool, int, unsigned, float, unicode.
_NUMPY_KINDS = "biufU"
#: What may go wrong when values are put into one column.
_UNFIT = (pa.ArrowException, TypeError, OverflowError, UnicodeError, DataError)


def whole_column(side: str, name: str, values: Cells) -> Column:
    """A column of one value per item. Raises RequestError naming side and feature."""
    try:
        return column_from_arrow(_arrow(values), name)
    except _UNFIT as error:
        raise _unfit(side, name, error) from error


def single_cells(side: str, values: Mapping[str, Any]) -> dict[str, Column]:
    """A column of one row for each value, in their order; texts and numbers share an array by type."""
    columns: dict[str, Column | None] = dict.fromkeys(values)
    alike: dict[type, list[str]] = {}
    for name, value in values.items():
        if type(value) in _PLAIN and value is not None and value != "":
            alike.setdefault(type(value), []).append(name)
        else:
            columns[name] = whole_column(side, name, [value])
    for names in alike.values():
        try:
            array = pa.array([values[name] for name in names])
            columns |= {name: column_from_arrow(array[row : row + 1]) for row, name in enumerate(names)}
        except _UNFIT:  # one of them; which?
            columns |= {name: whole_column(side, name, [values[name]]) for name in names}
    return {name: column for name, column in columns.items() if column is not None}


def id_column(item_ids: Cells) -> Column:
    """Item ids as texts; numbers are written as such."""
    if isinstance(item_ids, (pa.Array, pa.ChunkedArray)):
        try:
            return column_from_arrow(item_ids.cast(pa.string()), "item_ids")
        except _UNFIT as error:
            raise _unfit("", "item_ids", error) from error
    texts = item_ids if set(map(type, item_ids)) == {str} else [str(item) for item in item_ids]
    return column_from_arrow(pa.array(texts, pa.string()), "item_ids")


def is_column(values: object) -> bool:
    """Whether values are a column rather than one value."""
    if isinstance(values, (str, bytes, Mapping)):
        return False
    offered = ("__arrow_c_stream__", "__arrow_c_array__", "__array__")
    return isinstance(values, Sequence) or (
        hasattr(values, "__len__") and any(hasattr(values, name) for name in offered)
    )


def _unfit(side: str, name: str, error: Exception) -> RequestError:
    where = f"{side} '{name}'" if side else f"'{name}'"
    return RequestError(f"{where}: {error}; the values of one column need one type")


def _arrow(values: Cells) -> pa.Array | pa.ChunkedArray:
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        return values
    if hasattr(values, "__arrow_c_array__"):
        return pa.array(values)
    if hasattr(values, "__arrow_c_stream__"):
        return pa.chunked_array(values)
    if not isinstance(values, (Sequence, np.ndarray)):
        values = np.asarray(values)
    if isinstance(values, np.ndarray) and values.dtype.kind in _NUMPY_KINDS and values.size:
        return _rows(values)
    return _cells(values)


def _rows(values: NDArray[Any]) -> pa.Array:
    """An array of numbers or texts: a value per row, or a list of equal length."""
    if values.ndim == 1:
        return pa.array(values)
    if values.ndim > 2:
        return _cells(list(values))
    rows, width = values.shape
    ends = np.arange(0, rows * width + 1, width, dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(ends), pa.array(values.ravel()))


def _cells(values: Sequence[Any] | NDArray[Any]) -> pa.Array:
    """Objects of Python: at once if they are alike, else cell by cell."""
    kinds = set(map(type, values))
    if kinds <= _PLAIN:
        has_empty = str in kinds and "" in values
        return pa.array([None if value == "" else value for value in values] if has_empty else values)
    whole = _lists(values) if kinds <= _LISTS else None
    return _cell_by_cell([_cell(value) for value in values]) if whole is None else whole


def _lists(values: Sequence[Any] | NDArray[Any]) -> pa.ListArray | None:
    """Lists of texts or numbers at once; None where a cell is empty, or has to be looked into."""
    array = pa.array(values)
    if not pa.types.is_list(array.type) or pa.types.is_nested(array.type.value_type):
        return None
    without_entries = np.count_nonzero(np.diff(array.offsets) == 0)
    return array if without_entries == array.null_count and array.values.null_count == 0 else None


def _cell(value: Any) -> Any:
    """One row's value; empty ones are missing, as clients of the protocol send them."""
    plain = _listed(value)
    return None if isinstance(plain, (list, str, bytes, Mapping)) and not plain else plain


def _listed(value: Any) -> Any:
    """Lists in place of arrays and tuples, whose types Arrow can tell; elements must not be None."""
    if isinstance(value, np.ndarray):
        value = list(value) if value.ndim else value[()]
    if isinstance(value, (list, tuple)):
        if any(part is None for part in value):
            raise TypeError("None inside a list")
        return [_listed(part) for part in value]
    return value


def _cell_by_cell(cells: list[Any]) -> pa.Array:
    if not any(isinstance(cell, Mapping) for cell in cells):
        return pa.array(cells)
    pairs = [None if cell is None else list(cell.items()) for cell in cells]
    flat = [pair for row in pairs if row for pair in row]
    keys = pa.array([key for key, _ in flat]).type
    return pa.array(pairs, pa.map_(keys, pa.array([value for _, value in flat]).type))
