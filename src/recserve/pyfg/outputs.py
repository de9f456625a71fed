"""What a feature comes out as: numpy arrays, under the names that pyfg gives them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from recserve.columns import ModelInputs
    from recserve.features.plan import PlannedFeature


@dataclass(frozen=True, slots=True)
class FeatureOutput:
    """The rows of one feature; an array that its kind does not have is None.

    | feature           | dense_values  | np_values  | np_key_lengths      | np_lengths         |
    |-------------------|---------------|------------|---------------------|--------------------|
    | dense             | (rows, width) |            |                     |                    |
    | sparse            |               | (ids,)     |                     | (rows,) ids        |
    | sequence, dense   | (steps, width)|            |                     | (rows,) steps      |
    | sequence, sparse  |               | (ids,)     | (steps,) ids        | (rows,) steps      |

    `np_weights` stand beside the ids of a weighted feature. A feature without bucketizer has its texts as
    `np_values`.
    """

    np_values: NDArray[np.int64] | NDArray[np.object_] | None = None
    np_lengths: NDArray[np.int32] | None = None
    np_key_lengths: NDArray[np.int32] | None = None
    np_weights: NDArray[np.float32] | None = None
    dense_values: NDArray[np.float32] | None = None

    @classmethod
    def joined(cls, parts: Sequence[FeatureOutput]) -> FeatureOutput:
        """The rows of all parts, in their order."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            **{field.name: _joined([getattr(part, field.name) for part in parts]) for field in fields(cls)}
        )

    def first(self, rows: int) -> FeatureOutput:
        """The first rows alone."""
        if self.np_lengths is None:
            assert self.dense_values is not None  # or what has lengths
            return FeatureOutput(dense_values=self.dense_values[:rows])
        steps = int(self.np_lengths[:rows].sum())
        ids = steps if self.np_key_lengths is None else int(self.np_key_lengths[:steps].sum())
        return FeatureOutput(
            np_values=None if self.np_values is None else self.np_values[:ids],
            np_lengths=self.np_lengths[:rows],
            np_key_lengths=None if self.np_key_lengths is None else self.np_key_lengths[:steps],
            np_weights=None if self.np_weights is None else self.np_weights[:ids],
            dense_values=None if self.dense_values is None else self.dense_values[:steps],
        )

    def rows(self) -> list[NDArray[Any]]:
        """The values of each row, flat."""
        values = self.np_values if self.dense_values is None else self.dense_values
        assert values is not None  # every kind has one of them
        if self.np_lengths is None:
            return list(values)
        ends = np.cumsum(self.np_lengths)
        if self.np_key_lengths is not None:
            ends = np.concatenate([[0], np.cumsum(self.np_key_lengths)])[ends]
        return [row.ravel() for row in np.split(values, ends)[:-1]]


def _joined(arrays: list[Any]) -> Any:
    return None if arrays[0] is None else np.concatenate(arrays)


def outputs_of(inputs: ModelInputs, features: Sequence[PlannedFeature]) -> dict[str, FeatureOutput]:
    """Lay tensors out by feature; values share the memory of `inputs`, lengths become int32."""
    tensors = _split(inputs.int_names, inputs.int_sizes, inputs.ints)
    tensors |= _split(inputs.float_names, inputs.float_sizes, inputs.floats)
    return {feature.name: _output_of(feature, tensors) for feature in features}


def _split(names: Sequence[str], sizes: Sequence[int], buffer: NDArray[Any]) -> dict[str, NDArray[Any]]:
    ends = itertools.accumulate(sizes)
    return {name: buffer[end - size : end] for name, size, end in zip(names, sizes, ends, strict=True)}


def _output_of(feature: PlannedFeature, tensors: dict[str, NDArray[Any]]) -> FeatureOutput:
    name, record = feature.name, feature.feature.type
    values, lengths = tensors[f"{name}.values"], _lengths(tensors.get(f"{name}.lengths"))
    if not record.sparse:
        return FeatureOutput(dense_values=values.reshape(-1, record.width), np_lengths=lengths)
    key_lengths = _lengths(tensors.get(f"{name}.key_lengths"))
    if key_lengths is None and feature.feature.is_sequence:
        key_lengths = np.ones(len(values), np.int32)
    return FeatureOutput(
        np_values=values,
        np_lengths=lengths,
        np_key_lengths=key_lengths,
        np_weights=tensors.get(f"{name}.weights"),
    )


def _lengths(tensor: NDArray[np.int64] | None) -> NDArray[np.int32] | None:
    return None if tensor is None else tensor.astype(np.int32)


def texts_of(column: pa.Array, rows: int) -> FeatureOutput:
    """Lay out a result without bucketizer: lists of texts, maps of texts to weights, or lists of lists.

    A column of one row stands for all `rows`.
    """
    if len(column) != rows:
        column = column.take(pa.array(np.zeros(rows, np.int32)))
    lengths = _lengths_of(column)
    if pa.types.is_map(column.type):
        weights = column.items.to_numpy(zero_copy_only=False)
        return FeatureOutput(np_values=_objects(column.keys), np_lengths=lengths, np_weights=weights)
    steps = column.flatten()
    if not pa.types.is_list(steps.type):
        return FeatureOutput(np_values=_objects(steps), np_lengths=lengths)
    return FeatureOutput(
        np_values=_objects(steps.flatten()), np_lengths=lengths, np_key_lengths=_lengths_of(steps)
    )


def _lengths_of(lists: pa.Array) -> NDArray[np.int32]:
    lengths: NDArray[np.int32] = np.diff(lists.offsets.to_numpy()).astype(np.int32, copy=False)
    return lengths


def _objects(texts: pa.Array) -> NDArray[np.object_]:
    objects = np.empty(len(texts), dtype=object)
    objects[:] = texts.to_pylist()
    return objects
