"""The online table of a sequence view, read as the sequences that a model takes of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pyarrow as pa

from recserve.errors import DataError
from recserve.feature_store.sequences import PACKED, Recent, unpacked
from recserve.feature_store.types import TYPES
from recserve.source import point_reads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from recserve.feature_store.records import View
    from recserve.source import Source


class SequenceTable:
    """Sequences by user, as of now; `features` maps what a model calls them to their names in the view."""

    def __init__(
        self,
        source: Source,
        view: View,
        features: Mapping[str, str],
        *,
        join_id: str,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.key = join_id
        self._source = source
        self._view = view
        self._called = {sequence: alias for alias, sequence in features.items()}
        self._now = now
        self._where = f"view '{view.name}': {source.name}"
        self._key_type: pa.DataType | None = None  # of the table
        names = [column for alias, name in features.items() for column in view.outputs(name, alias)]
        self._schema = pa.schema(
            [(join_id, TYPES[view.fields[view.key]]), *((name, pa.string()) for name in names)]
        )

    def close(self) -> None:
        """Close the table."""
        self._source.close()

    def declared_schema(self) -> pa.Schema:
        """The key and the columns of the sequences, all of them texts."""
        return self._schema

    def schema(self) -> pa.Schema:
        """The same; raises DataError when the table is not one of packed behaviours."""
        schema = self._source.schema()
        for name in (self._view.key, PACKED):
            if name not in schema.names:
                raise DataError(
                    f"{self._where} has no column '{name}'; `recserve store apply` makes such a table"
                )
        self._key_type = schema.field(self._view.key).type
        return self._schema

    def get(self, keys: pa.Array) -> pa.RecordBatch:
        """One row per key; all null for a user without a row, empty texts for one without behaviours."""
        reads = point_reads(self._source)
        assert reads is not None  # asked before
        if self._key_type is None:
            self.schema()
        found = reads.get(keys.cast(self._key_type), {self._view.key, PACKED})
        now = int(self._now() * 1_000_000)
        rows = [self._texts(text, now) for text in found.column(PACKED).to_pylist()]
        arrays = [pa.array([row.get(name) for row in rows], pa.string()) for name in self._schema.names[1:]]
        return pa.RecordBatch.from_arrays([keys.cast(self._schema.types[0]), *arrays], schema=self._schema)

    def _texts(self, packed: str | None, now: int) -> dict[str, str]:
        if packed is None:
            return {}
        recent = Recent(self._view)
        for behaviour in unpacked(self._view, packed, self._where):
            recent.add(behaviour)
        return recent.texts(self._called, now)
