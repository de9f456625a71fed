"""What a model makes of an item alone, kept by version of its row, so that it is computed once for each.

    Rows ──find──▶ FoundRows ──with_results──▶ ModelInputs with the results behind, and who has none yet
                       └──────add──────▶ kept

The table is native (`cpp/items/results.h` draws it). A row that is upserted, deleted or finished anew has
another version, and so no result. It belongs to one store: versions of another mean other rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from recserve import _core

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from recserve.columns import ModelInputs
    from recserve.items.rows import FoundRows


@dataclass(frozen=True, slots=True)
class ResultFigures:
    """Plain counts, for metrics."""

    items: int  # that have results
    bytes: int
    hits: int
    misses: int
    evicted: int


class ItemResults:
    """Results by version of a row. Any number of threads read and add.

    `widths`: name of each result → floats of one item. `budget_bytes`: the least recently used are dropped
    beyond that, about; 0: all are kept.
    """

    def __init__(self, widths: Mapping[str, int], *, budget_bytes: int = 0) -> None:
        self.widths = dict(widths)
        self._native = _core.ItemResults(list(widths), list(widths.values()), budget_bytes)

    @property
    def bytes_per_item(self) -> int:
        """Memory of one item's results, and of finding them."""
        return self._native.bytes_per_item

    @property
    def figures(self) -> ResultFigures:
        """What is kept, and how often it was asked for."""
        return ResultFigures(**self._native.figures())

    def with_results(self, inputs: ModelInputs, found: FoundRows) -> tuple[ModelInputs, NDArray[np.int64]]:
        """The inputs and, as dense tensors behind them, (rows, width), what is kept of these rows.

        Also the positions of rows that nothing is kept of: `fill` them in before a model reads them.
        """
        return self._native.with_results(inputs, found)

    def missing(self, found: FoundRows) -> NDArray[np.int64]:
        """Positions of rows that nothing is kept of."""
        return self._native.missing(found)

    def add(self, found: FoundRows, results: Mapping[str, NDArray[Any]]) -> None:
        """Keep results of these rows, (rows, width) each."""
        self._native.add(found, self._arrays(results))

    def fill(
        self, inputs: ModelInputs, missing: NDArray[np.int64], results: Mapping[str, NDArray[Any]]
    ) -> None:
        """Write results, (len(missing), width), where `with_results` had none."""
        self._native.fill(inputs, missing, self._arrays(results))

    def _arrays(self, results: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        return [np.ascontiguousarray(results[name], np.float32) for name in self.widths]
