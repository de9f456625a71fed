"""The contract of a source: a table of rows under a key, over Arrow.

source ──snapshot──▶ record batches ──▶ whoever keeps them (the item store)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    import pyarrow as pa


class Source(Protocol):
    """A table whose rows are told apart by the column `key`."""

    @property
    def key(self) -> str:
        """The key column: texts or integers, never null."""

    def schema(self) -> pa.Schema:
        """Names and types of all columns, the key too. Raises DataError when there is no such table."""

    def rows(self) -> int:
        """How many rows a snapshot will have, for a progress bar; 0 when that is not known beforehand."""

    def snapshot(self, columns: Collection[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Stream all rows: the key and, of `columns` (None: all), those that the table has.

        The order of rows is the table's own: of equal keys the later one counts. Raises DataError for a null
        key.
        """
