"""A start from the image of an earlier run: mapped, caught up, ready in seconds.

    image ──fits──▶ restore ──▶ store ──changes since its cursors──▶ ready
        ├──other features──▶ its raw columns are finished anew
        └──anything else──▶ one warning, and the tables are loaded as if it were not there

An image says where following was when it was written: never further than what its rows hold.
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from recserve.columns import arrow_type
from recserve.errors import DataError, RecserveError
from recserve.items.full_refresh import copy_part
from recserve.items.gate import Counts
from recserve.items.image import Image
from recserve.items.tables import Part

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from recserve.items.store import ItemStore
    from recserve.items.tables import KeptTable
    from recserve.items.upkeep import Progress, RestoreStore, Upkeep
    from recserve.source import Cursor

logger = logging.getLogger("recserve.items")

_META = "recserve"
_VERSION = 1


@dataclass(frozen=True, slots=True)
class SavedTable:
    """One table, as an image remembers it."""

    identity: str  # equal when the same rows would be read
    types: Mapping[str, str]
    cursor: Cursor | None = None
    watermark: float | None = None
    refreshed_at: float = 0.0  # seconds since 1970
    snapshot_rows: int = 0
    snapshot_nulls: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Saved:
    """What an image says of the store, beside its rows."""

    key: str
    features: str  # the fingerprint of what finishes rows
    null_overwrites: bool
    tables: tuple[SavedTable, ...]

    def to_meta(self) -> dict[str, str]:
        """As the image keeps it."""
        return {_META: json.dumps({"version": _VERSION, **asdict(self)})}

    @classmethod
    def from_meta(cls, meta: Mapping[str, str]) -> Saved:
        """Raises DataError when another program, or another version, wrote it."""
        try:
            values = json.loads(meta[_META])
            if values.pop("version") != _VERSION:
                raise ValueError("another version")
            values["tables"] = tuple(SavedTable(**table) for table in values["tables"])
            return cls(**values)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"it was written by another version: {error}") from error


def saved_of(upkeep: Upkeep, features: str) -> Saved:
    """Say where following is now; what is in the store from now on holds at least that."""
    tables = []
    for part, table, tracker in zip(upkeep.layout.parts, upkeep.tables, upkeep.trackers, strict=True):
        snapshot = upkeep.snapshots.get(part.number, Counts(0, {}))
        tables.append(
            SavedTable(
                identity_of(table),
                dict(part.types),
                tracker.cursor,
                tracker.watermark,
                tracker.refreshed_at,
                snapshot.rows,
                dict(snapshot.nulls),
            )
        )
    layout = upkeep.layout
    return Saved(layout.key, features, layout.null_overwrites, tuple(tables))


def identity_of(table: KeptTable) -> str:
    """Equal for tables of which the same rows would be read; tells nobody what a condition says."""
    source = table.source
    said = [source.name, source.origin, source.key, table.condition, table.order, table.static]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]


class Resumption:
    """An image that is there, and what can be made of it."""

    def __init__(self, path: Path, tables: Sequence[KeptTable]) -> None:
        """Raises DataError or SourceError when the file is no image of these tables."""
        self.image = Image(path)
        self.saved = Saved.from_meta(self.image.meta)
        if [table.identity for table in self.saved.tables] != [identity_of(table) for table in tables]:
            raise DataError("it holds other tables, or other rows of them")

    def schemas(self, tables: Sequence[KeptTable]) -> list[pa.Schema]:
        """What the tables were, for when they cannot be asked."""
        return [
            pa.schema(
                {
                    table.source.key: pa.int64() if self.saved.key == "int64" else pa.string(),
                    **{column: arrow_type(kind) for column, kind in saved.types.items()},
                }
            )
            for table, saved in zip(tables, self.saved.tables, strict=True)
        ]

    def restore_trackers(self, upkeep: Upkeep) -> None:
        """Go on where following, and full refreshes, were."""
        for number, (tracker, saved) in enumerate(zip(upkeep.trackers, self.saved.tables, strict=True)):
            tracker.cursor = saved.cursor if tracker.followed else None
            tracker.watermark = saved.watermark
            tracker.refreshed_at = saved.refreshed_at
            tracker.state = "loaded"
            upkeep.snapshots[number] = Counts(saved.snapshot_rows, saved.snapshot_nulls)

    def store(
        self, upkeep: Upkeep, features: str, restore: RestoreStore | None, progress: Progress
    ) -> ItemStore | None:
        """The store of the image, where everything is as it was; None: its rows have to be copied."""
        layout, saved = upkeep.layout, self.saved
        as_it_was = (
            restore is not None
            and saved.features == features
            and saved.key == layout.key
            and saved.null_overwrites == layout.null_overwrites
            and [dict(part.types) for part in layout.parts] == [dict(types) for types in self._types]
        )
        if not as_it_was or restore is None:
            return None
        progress("mapping the items", 0, self.image.rows)
        store = restore(self.image, layout.key, layout.raw)
        progress("mapping the items", self.image.rows, self.image.rows)
        return store

    def copy(self, upkeep: Upkeep, progress: Progress) -> None:
        """Finish the rows of the image in the store of `upkeep`. Raises DataError when it lacks columns."""
        layout = upkeep.layout
        if self.saved.key != layout.key:
            raise DataError(f"its keys are {self.saved.key}, now they are {layout.key}")
        kept = {column.name: column.type for column in self.image.layout if column.raw}
        for part, types in zip(layout.parts, self._types, strict=True):
            stored = self._stored(part)
            for column, name in stored.items():
                if kept.get(name) != part.types[column]:
                    raise DataError(f"it has no column '{column}' of type {part.types[column]}")
            own = Part(part.number, part.name, part.key, part.types, stored)
            copy_part(
                own,
                lambda own=own: self.image.scan([own.hash_column, *own.stored.values()]),  # type: ignore[misc]
                upkeep.live,
                rehash=dict(types) != dict(part.types),
                progress=progress,
                total=self.image.rows,
            )

    @property
    def _types(self) -> list[Mapping[str, str]]:
        return [table.types for table in self.saved.tables]

    def _stored(self, part: Part) -> dict[str, str]:
        """Where the image has the columns of a part: other tables may have shared them then."""
        owners = {column: sum(column in types for types in self._types) for column in part.types}
        return {column: f"{column}#{part.number}" if owners[column] > 1 else column for column in part.types}


def warn(path: Path, error: RecserveError) -> None:
    """Say, once, that an image is of no use."""
    logger.warning(
        "the item image '%s' is not used, items are loaded from their tables: %s",
        path,
        error,
        extra={"path": str(path)},
    )
