"""The vocabulary that every part speaks: a Column is ragged rows of values, a Batch is columns by name.

Both live in the native core and share their memory with Arrow and numpy. A column has a shape (scalar, list,
map, nested) and a type (int32, int64, float32, float64, string); `cpp/columns/column.h` draws the layout.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recserve._core import Batch, Column, ModelInputs, RowFinisher, TensorNames
from recserve.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "Batch",
    "Column",
    "ModelInputs",
    "RowFinisher",
    "TensorNames",
    "arrow_type",
    "batch_from_arrow",
    "column_from_arrow",
    "to_arrow",
]


def column_from_arrow(array: pa.Array | pa.ChunkedArray, name: str = "") -> Column:
    """Share an Arrow array as a Column; types that a Column lacks are widened (`storage_type`)."""
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    wanted = storage_type(array.type, name)
    if wanted != array.type:
        array = _widened(array, wanted, name)
    if pa.types.is_nested(wanted):
        array = _without_null_entries(array, name)
    return Column.from_arrow(array, name)


def _widened(array: pa.Array, wanted: pa.DataType, name: str) -> pa.Array:
    if pa.types.is_run_end_encoded(array.type):
        array = pc.run_end_decode(array)
    try:
        return array.cast(wanted)
    except pa.ArrowInvalid as e:  # an unsigned number over 2^63-1, or more text than a column holds
        raise DataError(f"column '{name}' ({array.type}) does not fit {wanted}: {e}") from e


def _without_null_entries(array: pa.Array, name: str) -> pa.Array:
    """The same cells with no null inside a list or map: a column knows missing rows, not missing entries.

    | entries          | a null becomes                                             |
    |------------------|------------------------------------------------------------|
    | texts            | the empty text                                             |
    | numbers          | the empty list, in a list of lists: [1, null] -> [[1], []] |
    | lists of numbers | nothing: [[1, null]] -> [[1]]                              |

    which feature generation drops from a plain cell and takes as a missing element of a sequence. Maps with
    null values are refused.
    """
    is_map = pa.types.is_map(array.type)
    entries = array.items if is_map else _entries(array)
    if entries.null_count == 0:
        return array
    if is_map:
        raise DataError(f"column '{name}' ({array.type}) has null values inside its maps; drop those keys")
    if pa.types.is_fixed_size_list(array.type):
        array = array.cast(pa.list_(array.type.value_type))
    values = array.values
    if pa.types.is_string(entries.type):
        return _relisted(array, _texts(values))
    if pa.types.is_nested(values.type):
        return _relisted(array, _present(values))
    ends = np.concatenate([[0], np.cumsum(values.is_valid().to_numpy(zero_copy_only=False))])
    singles = pa.ListArray.from_arrays(pa.array(ends, pa.int32()), values.drop_null())
    return _relisted(array, singles)


def _entries(array: pa.Array) -> pa.Array:
    """The innermost entries of the rows that are present."""
    while pa.types.is_nested(array.type):
        array = array.flatten()
    return array


def _texts(array: pa.Array) -> pa.Array:
    """Texts, or lists of them, with empty ones for null."""
    return _relisted(array, _texts(array.values)) if pa.types.is_nested(array.type) else array.fill_null("")


def _present(array: pa.Array) -> pa.Array:
    """Lists of numbers without their null entries."""
    ends = np.concatenate([[0], np.cumsum(array.values.is_valid().to_numpy(zero_copy_only=False))])
    offsets = pa.array(ends[array.offsets.to_numpy()], pa.int32())
    return pa.ListArray.from_arrays(offsets, array.values.drop_null())


def _relisted(array: pa.Array, values: pa.Array) -> pa.Array:
    """The lists of `array` over other values."""
    missing = array.is_null() if array.null_count else None
    offsets = pa.array(array.offsets.to_numpy())  # Arrow takes no mask beside the offsets of a slice
    return pa.ListArray.from_arrays(offsets, values, mask=missing)


_AS_THEY_ARE = frozenset((pa.string(), pa.int32(), pa.int64(), pa.float32(), pa.float64()))


def storage_type(arrow: pa.DataType, name: str = "") -> pa.DataType:
    """The Arrow type that a Column stores `arrow` as: itself, or the next wider one that a Column has.

    docs/reference/arrow.md has the table. A DataError, naming column `name`, for what has no clear meaning
    as raw data: it says what to cast it to.
    """
    if arrow in _AS_THEY_ARE:  # what most columns are, without a dozen questions for every batch
        return arrow
    types = pa.types
    if types.is_dictionary(arrow) or types.is_run_end_encoded(arrow):
        return storage_type(arrow.value_type, name)
    if types.is_map(arrow):
        return pa.map_(_map_key(arrow, name), _flat(arrow.item_type, arrow, name))
    if types.is_list(arrow) or types.is_large_list(arrow) or types.is_fixed_size_list(arrow):
        inner = arrow.value_type
        if types.is_list(inner) or types.is_large_list(inner) or types.is_fixed_size_list(inner):
            return pa.list_(pa.list_(_flat(inner.value_type, arrow, name)))
        size = arrow.list_size if types.is_fixed_size_list(arrow) else -1
        return pa.list_(_flat(inner, arrow, name), size)
    return _flat(arrow, arrow, name)


def _map_key(arrow: pa.DataType, name: str) -> pa.DataType:
    stored = _flat(arrow.key_type, arrow, name)
    if pa.types.is_floating(stored):
        raise _refused(arrow, name, "cast its keys to string or to an integer")
    return stored


def _flat(value: pa.DataType, arrow: pa.DataType, name: str) -> pa.DataType:
    """What values, or the entries of lists and maps, are stored as."""
    if pa.types.is_dictionary(value):
        value = value.value_type
    for matches, stored in _STORED_AS:
        if any(match(value) for match in matches):
            return stored
    for matches, way_out in _REFUSED:
        if any(match(value) for match in matches):
            raise _refused(arrow, name, way_out)
    raise _refused(arrow, name, "cast it to text, numbers, or lists or maps of them")


def _refused(arrow: pa.DataType, name: str, way_out: str) -> DataError:
    return DataError(f"column '{name}': Arrow type {arrow} is not taken; {way_out}")


_STORED_AS: list[tuple[tuple[Any, ...], pa.DataType]] = [
    ((pa.types.is_int64, pa.types.is_uint32, pa.types.is_uint64), pa.int64()),
    ((pa.types.is_integer, pa.types.is_boolean), pa.int32()),
    ((pa.types.is_float16, pa.types.is_float32), pa.float32()),
    ((pa.types.is_float64,), pa.float64()),
    (
        (
            pa.types.is_binary,
            pa.types.is_large_binary,
            pa.types.is_binary_view,
            pa.types.is_fixed_size_binary,
        ),
        pa.binary(),
    ),
    (
        (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_null),
        pa.string(),
    ),
]

#: Types that could be read in more than one way, and what to do about it.
_REFUSED: list[tuple[tuple[Any, ...], str]] = [
    ((pa.types.is_decimal,), "cast it to double, or to string to keep all its digits"),
    (
        (pa.types.is_temporal,),
        "a moment has no number without its unit: cast it to the integer, or write the text, that is meant",
    ),
    ((pa.types.is_struct,), "take its fields as columns of their own"),
    ((pa.types.is_list_view, pa.types.is_large_list_view), "cast it to list"),
    ((pa.types.is_nested,), "lists go two deep, and maps hold texts and numbers"),
]


def batch_from_arrow(
    table: pa.Table | pa.RecordBatch | Mapping[str, pa.Array], columns: Iterable[str] = ()
) -> Batch:
    """Share a table's columns (all, or the named ones that it has) as a Batch."""
    if isinstance(table, (pa.Table, pa.RecordBatch)):
        by_name = {name: table.column(name) for name in table.schema.names}
        rows = table.num_rows
    else:
        by_name = dict(table)
        rows = max((len(array) for array in by_name.values()), default=0)
    wanted = set(columns) or by_name.keys()
    batch = Batch(rows)
    for name, array in by_name.items():
        if name in wanted:
            batch.add(name, column_from_arrow(array, name))
    return batch


def to_arrow(column: Column) -> pa.Array:
    """Share a Column as an Arrow array."""
    return pa.array(column)


_SCALARS = {
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "string": pa.string(),
}


def arrow_type(name: str) -> pa.DataType:
    """The Arrow type behind the name of a column's type: as InputSchema writes them, and "float32[16]"."""
    if found := re.fullmatch(r"map<(\w+),(\w+)>", name):
        return pa.map_(_SCALARS[found[1]], _SCALARS[found[2]])
    if found := re.fullmatch(r"list<(.+)>", name):
        return pa.list_(arrow_type(found[1]))
    if found := re.fullmatch(r"(\w+)\[(\d+)\]", name):
        return pa.list_(_SCALARS[found[1]], int(found[2]))
    return _SCALARS[name]
