"""A function of whole Arrow columns ──kernel──▶ a feature type: for what a well-kept library does in Python.

The function is called for values that were not seen before, many at once; its results are kept natively, so
that known values cost no Python. It has to be pure: row i of its result depends on row i of its columns only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from recserve._core import Kernel, PythonStep, Unit
from recserve.columns import column_from_arrow, to_arrow
from recserve.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable

    from recserve.columns import Column

__all__ = ["Unit", "kernel", "texts_of"]


def kernel(
    run: Callable[..., pa.Array | pa.ChunkedArray],
    unit: Unit,
    *,
    separator: str = "\x1d",
    stand_in: str = "",
) -> Kernel:
    """Build the kernel that applies `run` to tokens, texts or rows of cells.

    `run` gets Arrow arrays, as many as the unit has columns, and gives one of the same length: a value or a
    list of values per row, texts or numbers, null for none. A ValueError that it raises says that the values
    are to blame (400), any other exception that the function is (500).

    `stand_in` is a text whose result is taken where a row has none.
    """

    def run_columns(*columns: Column) -> Column:
        result = run(*map(to_arrow, columns))
        if not isinstance(result, (pa.Array, pa.ChunkedArray)):
            raise DataError(f"has a Python step that gave {type(result).__name__}; an Arrow array is wanted")
        return column_from_arrow(result, "result of the Python step")

    return PythonStep(run_columns, unit, separator=separator, stand_in=stand_in)


def texts_of(array: pa.Array) -> list[str]:
    """The texts of a column; bytes that are no UTF-8 become U+FFFD rather than an error."""
    return [text.decode("utf-8", "replace") for text in array.cast(pa.binary()).to_pylist()]
