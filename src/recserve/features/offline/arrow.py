"""Generated features as Arrow columns for training: the same types whatever a batch happens to hold.

| feature             | column                                                          |
|---------------------|-----------------------------------------------------------------|
| dense               | number, or fixed_size_list<number>[D]                           |
| sparse              | list<int64>; weighted: also F.weights, list<float>              |
| sequence, dense     | list<number>, or list<fixed_size_list<number>[D]>               |
| sequence, sparse    | list<int64> (value_dim 1), else list<list<int64>>               |

A number is a float, or what value_type says: double, int64. Without its bucketizer a sparse feature has texts
or numbers instead of ids; with weights, one column of map<string, float>.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from recserve.columns import Batch, Column, to_arrow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recserve.features.plan import PlannedFeature


def columns_of(features: Sequence[PlannedFeature], results: Batch) -> dict[str, pa.Array]:
    """Name → column, of results that `Generator.generate_columns` gave for these features."""
    columns: dict[str, pa.Array] = {}
    for feature in features:
        array = _every_row(results[feature.name], results.rows)
        columns |= (
            _weighted(feature, array) if _splits(feature) else {feature.column: _column(feature, array)}
        )
    return columns


def column_names(features: Sequence[PlannedFeature]) -> list[str]:
    """The names of `columns_of`."""
    return [
        name
        for feature in features
        for name in ((feature.column, f"{feature.column}.weights") if _splits(feature) else (feature.column,))
    ]


def _splits(feature: PlannedFeature) -> bool:
    """Ids and weights, each a column of its own, as the model's tensors are."""
    record = feature.feature.type
    return record.is_weighted and record.bucketized and feature.feature.bucketize


def _every_row(column: Column, rows: int) -> pa.Array:
    """One row may stand for all."""
    array = to_arrow(column)
    return array if len(array) == rows else array.take(pa.array(np.zeros(rows, np.int64)))


def _weighted(feature: PlannedFeature, array: pa.MapArray) -> dict[str, pa.Array]:
    return {
        feature.column: pa.ListArray.from_arrays(array.offsets, array.keys),
        f"{feature.column}.weights": pa.ListArray.from_arrays(array.offsets, array.items),
    }


def _column(feature: PlannedFeature, array: pa.Array) -> pa.Array:
    record, nested = (
        feature.feature.type,
        pa.types.is_list(array.type) and pa.types.is_list(array.type.value_type),
    )
    if not record.sparse:
        return (
            _over(array, pa.FixedSizeListArray.from_arrays(array.values.flatten(), record.width))
            if nested
            else array
        )
    if feature.feature.is_sequence:
        # Texts come as one list per element.
        return _over(array, array.values.flatten()) if nested and record.value_dim == 1 else array
    return array if pa.types.is_nested(array.type) else _lists(array)


def _over(array: pa.ListArray, values: pa.Array) -> pa.ListArray:
    """The lists of `array`, with one of `values` for each of theirs."""
    return pa.ListArray.from_arrays(array.offsets, values)


def _lists(array: pa.Array) -> pa.ListArray:
    """At most one value in a row, as lists."""
    if array.null_count == 0:
        return pa.ListArray.from_arrays(pa.array(np.arange(len(array) + 1, dtype=np.int32)), array)
    ends = np.cumsum(array.is_valid().to_numpy(zero_copy_only=False), dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(np.concatenate([[0], ends]), pa.int32()), array.drop_null())
