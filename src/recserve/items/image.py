"""The image of an item store: its rows in a file, for a start in seconds.

    store ──save──▶ file ──open──▶ Image ──restore──▶ store      mapped: columns and types are the same
                                     └────scan──────▶ batches    they are not: rows are written anew

`cpp/items/image.h` draws the file. It is one machine's own, to be thrown away at will: a file that was cut
off, changed, or written by another version is refused by name, and items are loaded from their tables then.
Ours: what the system refuses is a SourceError, what a file says wrongly a DataError. Replace an image by
renaming another over it, as `save` does; a file that is cut while it is mapped takes the process down.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from recserve import _core
from recserve.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from recserve.columns import Batch, Column


@dataclass(frozen=True, slots=True)
class ImageColumn:
    """A column that an image keeps."""

    name: str
    type: str  # as `ItemStore` takes it: "int64", "list<string>", "float32[16]"
    raw: bool  # else finished
    limit: int  # integers are below it; 0: any


class Image:
    """An image that is open. It stays what it is when a newer one takes its place in the folder.

    Raises SourceError when the file cannot be read, DataError when it is no image of this format, or was cut
    off. Only `check`, `scan` and `ItemStore.restore` read all of it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._native = _core.ItemImage(os.fspath(path))
        self.meta: Mapping[str, str] = self._read_meta()

    def __repr__(self) -> str:
        return f"Image({str(self.path)!r}, rows={self.rows}, created={self.created.isoformat()})"

    @property
    def key(self) -> Literal["string", "int64"]:
        """What the keys are."""
        return "string" if self._native.text_keys else "int64"

    @property
    def rows(self) -> int:
        """Items."""
        return self._native.rows

    @property
    def bytes(self) -> int:
        """Of the file."""
        return self._native.bytes

    @property
    def created(self) -> datetime:
        """When the store was saved, by this machine's clock."""
        return datetime.fromtimestamp(self._native.created_ms / 1000, UTC)

    @property
    def layout(self) -> tuple[ImageColumn, ...]:
        """What `ItemStore.restore` wants to be equal, raw columns first."""
        return tuple(ImageColumn(*column) for column in self._native.columns)

    @property
    def columns(self) -> dict[str, str]:
        """Types of all columns, raw ones first."""
        return {column.name: column.type for column in self.layout}

    def check(self) -> None:
        """Read every byte, once; raises DataError when one of them changed since it was written."""
        self._native.check()

    def scan(
        self, columns: Iterable[str] | None = None, *, batch_rows: int = 1 << 16
    ) -> Iterator[tuple[Column, Batch]]:
        """Give keys and raw columns (None: all) of every item, for a store of other columns or features.

        Raises DataError for a column that the image does not keep raw.
        """
        kept = {column.name for column in self.layout if column.raw}
        wanted = kept if columns is None else set(columns)
        if lacking := sorted(wanted - kept):
            raise DataError(
                f"item image '{self.path}' keeps no raw column '{lacking[0]}'; "
                f"it keeps {', '.join(sorted(kept)) or 'none'}"
            )
        self.check()
        return self._batches(wanted, batch_rows)

    def _batches(self, wanted: set[str], batch_rows: int) -> Iterator[tuple[Column, Batch]]:
        for start in range(0, self.rows, batch_rows):
            yield self._native.read(start, start + batch_rows, wanted)

    def _read_meta(self) -> dict[str, str]:
        try:
            return {str(name): str(value) for name, value in json.loads(self._native.meta).items()}
        except (ValueError, AttributeError) as error:
            raise DataError(
                f"item image '{self.path}' was written by another program; delete it: "
                "items are loaded from their tables then"
            ) from error
