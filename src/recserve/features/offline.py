"""Training features from a table of raw columns: the same native plan that serves, on every row.

raw table ──run──▶ table of generated features ──▶ training
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from recserve.columns import batch_from_arrow

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from recserve.columns import ModelInputs
    from recserve.features.generator import Generator
    from recserve.features.plan import PlannedFeature


def run(generator: Generator, table: pa.Table, *, strict: bool = True, batch_rows: int = 8192) -> pa.Table:
    """Generate the features of all rows of `table`; columns as `stream` describes them."""
    batches = stream(generator, table.to_batches(max_chunksize=batch_rows), strict=strict)
    generated = list(batches)
    if not generated:
        generated = list(
            stream(generator, [pa.RecordBatch.from_pylist([], schema=table.schema)], strict=strict)
        )
    return pa.Table.from_batches(generated)


def stream(
    generator: Generator, batches: Iterable[pa.RecordBatch], *, strict: bool = True
) -> Iterator[pa.RecordBatch]:
    """Generate batch by batch. `strict`: text that should be a number is a DataError, not missing.

    One column per output feature, named like it:

    | feature             | column                                                   |
    |---------------------|----------------------------------------------------------|
    | dense               | float, or fixed_size_list<float>[D]                      |
    | sparse              | list<int64>; weighted: also F.weights, list<float>       |
    | sequence, dense     | list<float>, or list<fixed_size_list<float>[D]>          |
    | sequence, sparse    | list<int64> (value_dim 1), else list<list<int64>>        |
    """
    columns = generator.plan.user_inputs | generator.plan.item_inputs | generator.plan.context_inputs
    outputs = [feature for feature in generator.plan.features if feature.is_output]
    for batch in batches:
        inputs = generator.generate_joined(batch_from_arrow(batch, columns or {""}), strict=strict)
        tensors = _tensors(inputs)
        arrays: dict[str, pa.Array] = {}
        for feature in outputs:
            arrays |= _columns_of(feature, tensors)
        yield pa.RecordBatch.from_pydict(arrays)


def _tensors(inputs: ModelInputs) -> dict[str, NDArray[np.int64] | NDArray[np.float32]]:
    """Name → values, dense ones flat."""
    tensors: dict[str, NDArray[np.int64] | NDArray[np.float32]] = {}
    ends = np.cumsum([0, *inputs.int_sizes])
    for name, start, end in zip(inputs.int_names, ends[:-1], ends[1:], strict=True):
        tensors[name] = inputs.ints[start:end]
    ends = np.cumsum([0, *inputs.float_sizes])
    for name, start, end in zip(inputs.float_names, ends[:-1], ends[1:], strict=True):
        tensors[name] = inputs.floats[start:end]
    return tensors


def _columns_of(
    feature: PlannedFeature, tensors: dict[str, NDArray[np.int64] | NDArray[np.float32]]
) -> dict[str, pa.Array]:
    name, record = feature.name, feature.feature.type
    values = pa.array(tensors[f"{name}.values"])
    if not record.sparse and record.width > 1:
        values = pa.FixedSizeListArray.from_arrays(values, record.width)
    if f"{name}.key_lengths" in tensors:
        values = _grouped(tensors[f"{name}.key_lengths"], values)
    if f"{name}.lengths" not in tensors:
        return {name: values}
    lengths = tensors[f"{name}.lengths"]
    columns = {name: _grouped(lengths, values)}
    if f"{name}.weights" in tensors:
        columns[f"{name}.weights"] = _grouped(lengths, pa.array(tensors[f"{name}.weights"]))
    return columns


def _grouped(lengths: NDArray[np.int64] | NDArray[np.float32], values: pa.Array) -> pa.Array:
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), values)
