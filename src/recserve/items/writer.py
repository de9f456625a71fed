"""Writes what tables say into one store: merges their parts, skips what is equal, lets the fresher win.

    snapshot ──────▶ refresh ──┐
    changes ───────▶ apply ────┼──▶ read the present rows (of several tables) ──▶ merge ──▶ publish
    POST /items ───▶ admin ────┘

Reading, merging and publishing is one step under the writers' lock; readers of the store never take it. A
single table has nothing to read, so a refresh of one is a pipeline without the lock: the store itself drops
what something fresher has overtaken.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recserve.columns import column_from_arrow, to_arrow
from recserve.items.part_rows import PartRows, to_batch
from recserve.items.tables import present_in

if TYPE_CHECKING:
    import threading
    from collections.abc import Collection, Iterable, Mapping
    from concurrent.futures import Future, ThreadPoolExecutor

    from numpy.typing import NDArray

    from recserve._core import PreparedRows
    from recserve.columns import Batch, Column
    from recserve.items.refresh import Refresh
    from recserve.items.store import ItemStore
    from recserve.items.tables import Cells, Layout, Part

#: Rows that are merged and finished while other writers wait.
ROWS_AT_ONCE = 1 << 15
_SMALLEST_SLICE = 1 << 11


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of changes."""

    written: int = 0
    unchanged: int = 0
    deleted: int = 0

    def __add__(self, other: Applied) -> Applied:
        return Applied(
            self.written + other.written, self.unchanged + other.unchanged, self.deleted + other.deleted
        )


class StoreWriter:
    """All writing to one store. `lock` is shared by the writers of a keeper's stores."""

    def __init__(
        self, store: ItemStore, layout: Layout, lock: threading.RLock, pool: ThreadPoolExecutor, threads: int
    ) -> None:
        self.store = store
        self.layout = layout
        self._lock = lock
        self._pool = pool
        self._threads = threads
        self._counted = [0] * len(layout.parts)
        self._open: dict[int, list[Refresh]] = {part.number: [] for part in layout.parts}

    def rows(self, part: Part) -> int:
        """How many rows the table has in the store."""
        return len(self.store) if self.layout.single else self._counted[part.number]

    def recount(self) -> None:
        """Count the rows of each table, where the store came with rows in it."""
        if self.layout.single:
            return
        counted = [0] * len(self.layout.parts)
        hashes = [part.hash_column for part in self.layout.parts]
        for _, batch in self.store.scan(hashes):
            for number, name in enumerate(hashes):
                array = to_arrow(batch[name])
                counted[number] += len(array) - array.null_count
        self._counted = counted

    # --- a full refresh -----------------------------------------------------------------------------------

    def begin(self, part: Part) -> Refresh:
        """Open a refresh: from now on what `apply` and `delete` write is fresher than it."""
        with self._lock:
            refresh = self.store.refresh(part.hash_column)
            self._open[part.number].append(refresh)
            return refresh

    def end(self, part: Part, refresh: Refresh) -> None:
        """The refresh is over, or given up."""
        with self._lock:
            self._open[part.number].remove(refresh)

    def refresh(self, part: Part, batches: Iterable[PartRows], refresh: Refresh) -> None:
        """Write the rows that are not equal to what is stored, in order."""
        if self.layout.single:
            self._pipeline(batches, refresh)
            return
        for rows in batches:
            for start in range(0, len(rows), ROWS_AT_ONCE):
                with self._lock:
                    self._refresh_some(part, rows.slice(start, ROWS_AT_ONCE), refresh)

    def fill(self, part: Part, batches: Iterable[PartRows]) -> None:
        """Write all rows into a store that is empty and that nobody else writes; of equal keys the last wins.

        Less than half the work of `refresh`: nothing is compared.
        """
        try:
            self._pipeline(batches, None)
        finally:
            self._counted[part.number] = len(self.store)

    def sweep(self, part: Part, refresh: Refresh) -> int:
        """Take away the rows that the refresh did not see; returns how many."""
        swept = 0
        unseen = refresh.unseen(ROWS_AT_ONCE)
        while True:
            with self._lock:  # between being listed and being deleted nobody may write the row again
                keys = next(unseen, None)
                if keys is None:
                    return swept
                swept += self._delete(part, keys)

    def _pipeline(self, batches: Iterable[PartRows], refresh: Refresh | None) -> None:
        """Finish rows on all threads, publish them in order."""
        waiting: deque[Future[PreparedRows]] = deque()
        try:
            for rows in batches:
                new = rows if refresh is None else rows.filter(self._changed(rows, refresh))
                if len(new):
                    waiting.append(self._pool.submit(self._prepare_only, new))
                if len(waiting) > self._threads:
                    self.store.publish(waiting.popleft().result(), refresh)
            while waiting:
                self.store.publish(waiting.popleft().result(), refresh)
        finally:
            for future in waiting:
                future.cancel()

    def _refresh_some(self, part: Part, rows: PartRows, refresh: Refresh) -> None:
        mask = self._changed(rows, refresh)
        if not mask.any():
            return
        rows = rows.filter(mask)
        new = ~self._has(part, rows.key_column)
        self._counted[part.number] += pc.count_distinct(rows.keys.filter(pa.array(new))).as_py()
        share = max(_SMALLEST_SLICE, -(-len(rows) // self._threads))
        slices = [rows.slice(start, share) for start in range(0, len(rows), share)]
        for prepared in self._pool.map(self._prepare, slices):
            self.store.publish(prepared, refresh)

    def _changed(self, rows: PartRows, refresh: Refresh) -> NDArray[np.bool_]:
        order = None if rows.order is None else column_from_arrow(rows.order)
        return refresh.changed(rows.key_column, column_from_arrow(rows.hashes), order)

    def _prepare_only(self, rows: PartRows) -> PreparedRows:
        """Rows that no other table has."""
        cells = to_batch(self.layout.row_of(rows), len(rows))
        return self.store.prepare(cells, rows.key_column)

    def _prepare(self, rows: PartRows) -> PreparedRows:
        return self._prepare_parts(rows.keys, {rows.part.number: rows})

    # --- changes ------------------------------------------------------------------------------------------

    def apply(self, changes: Mapping[int, PartRows]) -> Applied:
        """Write parts, by the numbers of their tables, of the same different keys: fresher than any refresh.

        Rows of which every part is equal to what is stored are left alone.
        """
        first = next(iter(changes.values()))
        applied = Applied()
        for start in range(0, len(first), ROWS_AT_ONCE):
            with self._lock:
                some = {number: rows.slice(start, ROWS_AT_ONCE) for number, rows in changes.items()}
                applied += self._apply_some(some)
        return applied

    def delete(self, keys: pa.Array, parts: Collection[Part] | None = None) -> int:
        """Forget what tables (None: all) say of these keys; fresher than any refresh. Returns how many rows
        lost something.
        """
        keys = pc.unique(keys)
        deleted = 0
        for start in range(0, len(keys), ROWS_AT_ONCE):
            some = column_from_arrow(keys.slice(start, ROWS_AT_ONCE), "keys")
            with self._lock:
                for part in self.layout.parts if parts is None else parts:
                    self._protect(part.number, some)
                if self.layout.single or parts is None:
                    deleted += self._delete_whole(some)
                else:
                    deleted += max((self._delete(part, some) for part in parts), default=0)
        return deleted

    def present(self, keys: Column, columns: Collection[str]) -> tuple[Cells, NDArray[np.bool_]]:
        """Raw columns of these keys as they are now, and which keys there are."""
        with self.store.pin() as rows:
            found = rows.look_up(keys, columns)
        return {name: to_arrow(found.raw[name]) for name in found.raw.names}, found.known

    def _apply_some(self, changes: Mapping[int, PartRows]) -> Applied:
        first = next(iter(changes.values()))
        keys = first.key_column
        for number in changes:  # first, so that nothing older lands between here and the write
            self._protect(number, keys)
        parts = self.layout.parts
        stored, _ = self.present(keys, [parts[number].hash_column for number in changes])
        differs = np.zeros(len(first), np.bool_)
        for number, rows in changes.items():
            old = stored[parts[number].hash_column]
            equal = pc.equal(rows.hashes, old).fill_null(False).to_numpy(zero_copy_only=False)
            differs |= ~equal
            self._counted[number] += old.null_count
        if differs.any():
            fresh = {number: rows.filter(differs) for number, rows in changes.items()}
            kept = next(iter(fresh.values())).keys
            self.store.publish(self._prepare_parts(kept, fresh))
        written = int(np.count_nonzero(differs))
        return Applied(written, len(first) - written)

    def _protect(self, number: int, keys: Column) -> None:
        for refresh in self._open[number]:
            refresh.protect(keys)

    def _has(self, part: Part, keys: Column) -> NDArray[np.bool_]:
        return present_in(self.present(keys, [part.hash_column])[0][part.hash_column])

    def _prepare_parts(self, keys: pa.Array, changes: Mapping[int, PartRows]) -> PreparedRows:
        column = column_from_arrow(keys, "keys")
        if self.layout.single:
            cells = self.layout.row_of(next(iter(changes.values())))
        else:
            present, _ = self.present(column, self.layout.raw)
            cells = self.layout.merge(present, changes, len(keys))
        return self.store.prepare(to_batch(cells, len(keys)), column)

    def _delete(self, part: Part, keys: Column) -> int:
        """Take one table's part away; a row that no table has any more goes."""
        if self.layout.single:
            return self.store.delete(keys)
        present, _ = self.present(keys, self.layout.raw)
        has = present_in(present[part.hash_column])
        mask = pa.array(has)
        texts = to_arrow(keys).filter(mask)
        rows = len(texts)
        self._counted[part.number] -= rows
        cells = self.layout.merge(
            {name: array.filter(mask) for name, array in present.items()}, {part.number: None}, rows
        )
        left = np.zeros(rows, np.bool_)
        for other in self.layout.parts:
            left |= present_in(cells[other.hash_column])
        self._write_and_delete(texts, cells, left)
        return rows

    def _write_and_delete(self, keys: pa.Array, cells: Cells, left: NDArray[np.bool_]) -> None:
        if left.any():
            mask = pa.array(left)
            rest = {name: array.filter(mask) for name, array in cells.items()}
            batch: Batch = to_batch(rest, int(np.count_nonzero(left)))
            self.store.upsert(batch, column_from_arrow(keys.filter(mask), "keys"))
        if not left.all():
            self.store.delete(column_from_arrow(keys.filter(pa.array(~left)), "keys"))

    def _delete_whole(self, keys: Column) -> int:
        if not self.layout.single:
            stored, _ = self.present(keys, [part.hash_column for part in self.layout.parts])
            for part in self.layout.parts:
                self._counted[part.number] -= int(np.count_nonzero(present_in(stored[part.hash_column])))
        return self.store.delete(keys)
