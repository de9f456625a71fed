"""The items as operators see and change them: what the admin port and `recserve items` do, as plain values.

who asks ──▶ KeptItems ──▶ Keeper (items/keeper.py)
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from recserve.columns import column_from_arrow, to_arrow
from recserve.errors import DataError, SourceError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from recserve.items.keeper import Keeper


@dataclass(frozen=True, slots=True)
class KeptItems:
    """A keeper, asked by people. Every method may be called on any thread, and raises DataError for rows that
    do not fit and SourceError where a table cannot be reached.
    """

    keeper: Keeper

    @property
    def key_column(self) -> str:
        """The column in which posted rows have their id: that of the first table."""
        return self.keeper.layout.parts[0].key

    @property
    def key_type(self) -> str:
        """string or int64."""
        return self.keeper.layout.key

    @property
    def types(self) -> Mapping[str, str]:
        """The raw columns that features read, and their types."""
        return self.keeper.layout.columns

    def some_keys(self, count: int) -> list[str]:
        """Ids of so many items, any, or of as many as there are."""
        keys, _ = next(self.keeper.store.scan((), batch_rows=count), (None, None))
        return [str(key) for key in to_arrow(keys).to_pylist()] if keys is not None else []

    def watermark(self) -> str:
        """When the newest change of the oldest table was made, in UTC; empty if nobody knows."""
        seconds = self.keeper.status().watermark
        if seconds is None:
            return ""
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def status(self) -> dict[str, Any]:
        """How the store and each table are; memory by column too."""
        columns = [asdict(column) for column in self.keeper.store.column_bytes()]
        return {**asdict(self.keeper.status()), "columns": columns}

    def change(self, upserts: Sequence[pa.Table], deleted: pa.Array | None) -> dict[str, Any]:
        """Write rows, whose other columns stay as they are, and forget items; visible when it returns."""
        for rows in upserts:
            self.keeper.upsert(rows)
        gone = self.keeper.delete(deleted) if deleted is not None else 0
        return {"upserted": sum(rows.num_rows for rows in upserts), "deleted": gone, "epoch": self._epoch}

    def get(self, keys: pa.Array) -> list[dict[str, Any] | None]:
        """Raw and finished columns of each item; None for one that is not there."""
        raw = self.keeper.get(keys)
        with self.keeper.pin() as rows:
            found = rows.gather(column_from_arrow(_as_request(keys)), rows=len(keys)).finished
        finished = {name: to_arrow(found[name]).to_pylist() for name in sorted(found.names)}
        return [
            None
            if cells is None
            else {"raw": cells, "finished": {name: values[row] for name, values in finished.items()}}
            for row, cells in enumerate(raw)
        ]

    def refresh(self) -> dict[str, Any]:
        """Read all tables again, but static ones, and tell what became of each."""
        report = self.keeper.refresh_now()
        return {"complete": report.complete, **asdict(report), "epoch": self._epoch}

    def save(self) -> dict[str, Any]:
        """Write the snapshot file now."""
        image = self.keeper.status().image
        if image is None:
            raise DataError(
                'there is no snapshot file; write "item_snapshot": "items.snapshot" into model_config'
            )
        written = self.keeper.save_image()
        if not written:  # that is an alarm, too: the file that was there stays
            why = [alarm.message for alarm in self.keeper.status().alarms if alarm.kind == "image"]
            raise SourceError(why[0] if why else f"{image.path} could not be written")
        return {"path": image.path, "bytes": written}

    def diff(self, limit: int) -> dict[str, Any]:
        """Compare the items with their tables; at most `limit` differences are told."""
        found = [asdict(difference) for difference in self.keeper.diff(limit)]
        return {"equal": not found, "differences": found, "limit": limit}

    @property
    def _epoch(self) -> int:
        return self.keeper.store.epoch


def _as_request(keys: pa.Array) -> pa.Array:
    """Ids as requests send them: texts."""
    return keys.cast(pa.string())
