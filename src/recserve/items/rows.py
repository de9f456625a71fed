"""What a request reads of the item store: the items as they were at one moment.

ids ──gather──▶ ItemRows          clicks of the user ──gather_lists──▶ (raw, finished) by sequence
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

from recserve import _core
from recserve.columns import Batch, Column, column_from_arrow

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from types import TracebackType

    import numpy as np
    from numpy.typing import NDArray

    from recserve.items.store import ItemStore

#: Which versions of which rows ids stand for; used as long as they are pinned.
FoundRows = _core.FoundRows
Selection = _core.Selection

_NO_BATCH = Batch(0)
_NO_IDS = column_from_arrow(pa.array([], pa.string()))


class SequenceKey(Protocol):
    """Where the item ids of a sequence are, and what to gather for each of them."""

    @property
    def column(self) -> str:
        """The user column that holds the ids."""

    @property
    def delimiter(self) -> str:
        """What separates ids when the column is a text."""

    @property
    def length(self) -> int:
        """How many ids count, from the first on; 0 = all."""

    @property
    def raw(self) -> frozenset[str]:
        """Raw item columns to gather."""

    @property
    def finished(self) -> frozenset[str]:
        """Finished item columns to gather."""


@dataclass(frozen=True, slots=True)
class ItemRows:
    """One row per id that was asked for, in that order."""

    raw: Batch
    finished: Batch
    known: NDArray[np.bool_]  # (rows,) in the store, or the request brings a value of its own for the row


@dataclass(frozen=True, slots=True)
class Sequence:
    """A sequence whose fields are known."""

    group: str
    column: str
    delimiter: str
    length: int
    selection: Selection


class Rows:
    """The items as they were at one moment; candidates and sequences of one request see the same."""

    __slots__ = ("_native", "_pin", "_store")

    def __init__(self, store: ItemStore) -> None:
        self._store = store
        self._native = store._native
        self._pin = self._native.pin()

    def __enter__(self) -> Rows:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pin.release()

    @property
    def dropped(self) -> frozenset[str]:
        """Raw columns that features read and the store does not keep (`keep_raw_items: false`)."""
        return self._store.dropped

    def gather(self, item_ids: Column, *, rows: int, overrides: Batch = _NO_BATCH) -> ItemRows:
        """Gather one row per id; `overrides`, columns that the request sends, win even where they are empty.

        An id that is unknown, null or empty gathers the *empty row*: every raw column missing, finished once
        when the store was made. Without ids (`item_ids` has no rows) all `rows` rows are the empty row.

        `raw` holds the `always_raw` columns and, for every finished column that reads an override, all the
        raw columns it reads; such a finished column is left out, all others are in `finished`.
        """
        selection = self._store._selection(overrides)
        return ItemRows(*self._native.gather(self._pin, item_ids, rows, selection, overrides))

    @property
    def store(self) -> ItemStore:
        """Whose rows these are."""
        return self._store

    def find(self, item_ids: Column, selection: Selection) -> FoundRows:
        """`gather` in two steps; `selection` (of `ItemStore.select`) is what will be read first."""
        return self._native.find(self._pin, item_ids, selection)

    def gather_found(self, found: FoundRows, selection: Selection) -> ItemRows:
        """Gather the columns of a selection, one row per id that was looked for; see `gather`."""
        return ItemRows(*self._native.gather_found(found, selection))

    def look_up(self, keys: Column, columns: Collection[str]) -> ItemRows:
        """Read these raw columns of the items, one row per key; an unknown key is a row of nulls."""
        selection = self._native.select(set(columns), set())
        return ItemRows(*self._native.gather(self._pin, keys, len(keys), selection, _NO_BATCH))

    def gather_lists(self, user: Batch, keys: Mapping[str, SequenceKey]) -> dict[str, tuple[Batch, Batch]]:
        """Gather (raw, finished) for the items in each of the user's sequences, one row per element.

        The id column is a text cut at the delimiter (an empty piece is an unknown id), a list, or one
        integer; a missing or absent one has no elements. Unknown ids gather the empty row.
        """
        gathered = {}
        sent = set(user.names)
        for s in self._store._sequence_plan(keys):
            gathered[s.group] = self._native.gather_sequence(
                self._pin,
                user[s.column] if s.column in sent else _NO_IDS,
                s.delimiter,
                s.length,
                s.selection,
                s.group,
                s.column,
            )
        return gathered
