"""The raw columns of one request as numpy views of their Arrow buffers: what the peers read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Texts:
    """Token i is text[ends[i] : ends[i + 1]]."""

    text: NDArray[np.uint8]
    ends: NDArray[np.int32]

    @classmethod
    def of(cls, array: pa.Array) -> Texts:
        """View a string array that begins where its buffers do."""
        _, offsets, data = array.buffers()
        ends = np.frombuffer(offsets, np.int32, len(array) + 1)
        text = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
        return cls(text[: ends[-1]], ends)


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns by name."""

    texts: dict[str, Texts] = field(default_factory=dict)  # of a list its entries, of a map its keys
    row_ends: dict[str, NDArray[np.int32]] = field(default_factory=dict)  # of lists: (rows + 1,) into texts
    integers: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    floats: dict[str, NDArray[np.float32]] = field(default_factory=dict)  # of a map its values

    @classmethod
    def of(cls, arrays: Mapping[str, pa.Array]) -> Columns:
        """View columns of the types that the workloads have."""
        columns = cls()
        for name, array in arrays.items():
            if pa.types.is_map(array.type):
                columns.texts[name] = Texts.of(array.keys)
                columns.floats[name] = array.items.to_numpy()
            elif pa.types.is_list(array.type):
                columns.texts[name] = Texts.of(array.values)
                columns.row_ends[name] = array.offsets.to_numpy()
            elif pa.types.is_string(array.type):
                columns.texts[name] = Texts.of(array)
            elif pa.types.is_integer(array.type):
                columns.integers[name] = array.to_numpy()
            else:
                columns.floats[name] = array.to_numpy()
        return columns
