"""Rows from an Arrow table at hand: for tests, notebooks and as the smallest example of a source."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recserve.sources.moment import NoMoment
from recserve.sources.table import check_keys, require_key, wanted_columns

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    import pyarrow as pa

    from recserve.source import Ability, Moment


class MemorySource:
    """The rows of `table`, under the key in column `key`."""

    abilities: frozenset[Ability] = frozenset()
    name = "the table"
    origin = ""

    def __init__(self, table: pa.Table, key: str) -> None:
        require_key(table.schema, key, self.name)
        self.key = key
        self._table = table

    def moment(self) -> NoMoment:
        """The table does not change."""
        return NoMoment(self.origin)

    def close(self) -> None:
        """Nothing is held."""

    def schema(self) -> pa.Schema:
        """Return the table's schema."""
        return self._table.schema

    def rows(self) -> int:
        """Count the table's rows."""
        return int(self._table.num_rows)

    def snapshot(
        self, columns: Collection[str] | None = None, *, at: Moment | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Yield the table's own batches, without a copy."""
        table = self._table.select(wanted_columns(self._table.schema, self.key, columns))
        for batch in table.to_batches():
            check_keys(batch, self.key, "the table")
            yield batch
