"""The row store: what is known about every item, read by many requests while one writer changes it.

    source ──load──▶ ItemStore ──pin──▶ Rows ──gather──▶ ItemRows (raw and finished columns, one row per id)
       └─refresh.py──▶   │
                         └──scan──▶ keys and raw columns of all rows

The rows live in the native core (`cpp/items/store.h` draws them). Each keeps the raw columns that the feature
plan reads and, beside them, what the plan makes of them: those *finished* columns are computed when a row is
written, so a request gathers them and computes nothing.
"""

from __future__ import annotations

import json
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from recserve import _core, allocator
from recserve.columns import Batch, Column, batch_from_arrow, column_from_arrow, storage_type
from recserve.cores import cores
from recserve.errors import DataError, RecserveError
from recserve.items.compaction import CompactedColumn, Compaction
from recserve.items.image import Image
from recserve.items.refresh import Refresh
from recserve.items.rows import Rows, Sequence

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from concurrent.futures import Future

    from recserve.columns import RowFinisher
    from recserve.items.rows import Selection, SequenceKey

KeyType = Literal["string", "int64"]
PreparedRows = _core.PreparedRows  # rows that are written but not yet visible

_REMEMBERED_SELECTIONS = 256


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What a load read."""

    rows: int
    items: int  # different keys among the rows
    repeated: int  # rows that a later row of the same key replaced


@dataclass(frozen=True, slots=True)
class StoreFigures:
    """Plain counts, for metrics."""

    rows: int  # items
    slots: int  # rows of memory, free ones included
    free_slots: int
    slot_bytes: int  # of one slot
    rows_bytes: int
    arena_bytes: int  # texts and lists that hardly repeat
    dictionary_bytes: int  # texts and lists that do, kept once each
    index_bytes: int  # keys included
    garbage_bytes: int  # of the arenas: what the last `compact` found and left
    lookups: int  # ids asked for
    misses: int  # of them not in the store

    @property
    def bytes(self) -> int:
        """All of them together."""
        return self.rows_bytes + self.arena_bytes + self.dictionary_bytes + self.index_bytes


@dataclass(frozen=True, slots=True)
class ColumnBytes:
    """Memory of one column."""

    name: str
    type: str
    kind: Literal["raw", "finished", "hidden"]  # hidden: kept for refreshes alone, "#0" or "price#0"
    slot_bytes: int  # of its cells in all slots, free ones included
    heap_bytes: int  # its texts, lists and maps, and the table that shares equal ones


class ItemStore:
    """Items by key. Any number of threads read; writers wait for one another, never for readers.

    `key` says what ids are: with "string" the raw bytes ("007" is not "7"); with "int64" a request's "007" is
    7 and a text that is no integer is an id that nothing has. `raw` maps the raw columns to their types as in
    `InputSchema`, and also "float32[16]" for vectors of one length. `finisher` makes the finished columns;
    what it makes of an empty row tells their types, and that row is what unknown ids get. `hides` says which
    raw columns each finished column reads: a request that sends one of them hides it. `always_raw` columns
    come raw with every gather.

    Finished (and raw) integer columns named in `limits` hold 0 <= value < limit and take the fewest
    bytes for it.

    `dropped` are raw columns that the finisher reads and that are not kept (`keep_raw_items: false`): a
    request that sends one of them is refused, and nobody can read them back.
    """

    def __init__(
        self,
        key: KeyType,
        raw: Mapping[str, str],
        *,
        finisher: RowFinisher | None = None,
        hides: Mapping[str, frozenset[str]] | None = None,
        always_raw: frozenset[str] = frozenset(),
        limits: Mapping[str, int] | None = None,
        dropped: Mapping[str, str] | None = None,
    ) -> None:
        self.key = key
        self.raw_columns = frozenset(raw)  # those that are kept
        self.dropped = frozenset(dropped or ())
        self._raw = self.raw_columns | self.dropped
        self._native = _core.ItemStore(
            text_keys=key == "string",
            raw=list(raw.items()),
            dropped=list((dropped or {}).items()),
            finisher=finisher,
            reads={name: set(columns) for name, columns in (hides or {}).items()},
            always_raw=set(always_raw),
            limits=dict(limits or {}),
        )
        self._selections: dict[tuple[str, ...], _core.Selection] = {}
        self._sequences: dict[int, tuple[Mapping[str, SequenceKey], list[Sequence]]] = {}

    @staticmethod
    def open_image(path: str | os.PathLike[str]) -> Image:
        """Open what `save` wrote."""
        return Image(path)

    @classmethod
    def restore(
        cls,
        image: Image,
        key: KeyType,
        raw: Mapping[str, str],
        *,
        finisher: RowFinisher | None = None,
        hides: Mapping[str, frozenset[str]] | None = None,
        always_raw: frozenset[str] = frozenset(),
        limits: Mapping[str, int] | None = None,
        dropped: Mapping[str, str] | None = None,
    ) -> ItemStore:
        """Make the store that was saved, with the same arguments: its file is mapped, nothing is computed.

        Raises DataError, saying what differs, when these arguments keep other columns than the image: write
        the rows of `image.scan` then. Whether `finisher` still computes what the image keeps is for the
        caller to know, by what it wrote into `meta`.
        """
        store = cls(
            key,
            raw,
            finisher=finisher,
            hides=hides,
            always_raw=always_raw,
            limits=limits,
            dropped=dropped,
        )
        store._native.restore(image._native)
        return store

    def save(self, path: str | os.PathLike[str], meta: Mapping[str, str]) -> int:
        """Write all rows as they are now, and `meta`, to a file that replaces `path`; returns its bytes.

        Readers and writers never wait for it. Raises SourceError when the system refuses, a full disk for
        one; the file that was there is as it was then.
        """
        return self._native.save(os.fspath(path), json.dumps(dict(meta)))

    def compact(self, threshold: float = 0.3) -> Compaction:
        """Give back memory of texts and lists that no row refers to any more; the rows stay as they are.

        Only columns of which more than `threshold` is garbage are compacted; 1 only counts it. Takes a
        thread for itself: readers never wait for it, writers for about a millisecond at a time. It waits for
        batches that are being written and for pinned readers, half a minute at most: then a column stays.
        """
        columns, rows_moved = self._native.compact(threshold)
        return Compaction(tuple(CompactedColumn(*column) for column in columns), rows_moved)

    def __len__(self) -> int:
        return self.figures().rows

    @property
    def columns(self) -> dict[str, str]:
        """Types of all columns, raw ones first."""
        return dict(self._native.columns)

    def figures(self) -> StoreFigures:
        """Count rows, bytes and look-ups."""
        return StoreFigures(**self._native.figures())

    @property
    def epoch(self) -> int:
        """Grows with every change."""
        return int(self._native.epoch)

    def column_bytes(self) -> list[ColumnBytes]:
        """Tell what each column takes; keys, the index and free space within slots belong to none."""
        columns = []
        for name, kind, finished, slot_bytes, heap_bytes in self._native.column_bytes():
            what: Literal["raw", "finished", "hidden"] = "finished" if finished else "raw"
            if not finished and self._hidden(name):
                what = "hidden"
            columns.append(ColumnBytes(name, kind, what, slot_bytes, heap_bytes))
        return columns

    def _hidden(self, name: str) -> bool:
        """Of a store that keeps the hash "#0" of a table, "#0" itself and every "price#0"."""
        _, mark, table = name.rpartition("#")
        return bool(mark) and f"#{table}" in self._raw

    def select(self, raw: Collection[str], finished: Collection[str]) -> Selection:
        """Choose columns for `Rows.gather_found`; names that the store does not have are left out."""
        return self._native.select(set(raw), set(finished))

    def pin(self) -> Rows:
        """Hold the items as they are now, for one request: `with store.pin() as rows`."""
        return Rows(self)

    def scan(
        self, columns: Collection[str] | None = None, *, batch_rows: int = 1 << 16
    ) -> Iterator[tuple[Column, Batch]]:
        """Read keys (texts or int64) and raw `columns` (None: all) of all items as they are now.

        No lock, in no order. What is replaced meanwhile is kept until the iterator ends or is closed.
        """
        scan = _core.Scan(self._native, None if columns is None else set(columns))
        return _scanned(scan, batch_rows)

    def upsert(self, batch: Batch, keys: Column) -> None:
        """Write complete rows, new or replacing; pinned readers see all of them or none.

        A raw column that `batch` lacks is missing in every row. Of equal keys the last wins.
        """
        self.publish(self.prepare(batch, keys))

    def prepare(self, batch: Batch, keys: Column) -> PreparedRows:
        """Finish and write rows as `upsert` does, but let nobody see them before `publish`.

        Any number of threads may prepare. What is never published leaves nothing behind.
        """
        return self._native.prepare(batch, keys)

    def publish(self, prepared: PreparedRows, refresh: Refresh | None = None) -> int:
        """Make prepared rows visible, all at once; returns how many.

        Rows that were prepared for a refresh count as seen by it. Those that something fresher has overtaken
        meanwhile (`Refresh.changed`, `Refresh.protect`) are left out.
        """
        native = None if refresh is None else refresh.native
        inserted, replaced, _ = self._native.publish(prepared, self._native.epoch, native)
        return inserted + replaced

    def delete(self, keys: Column) -> int:
        """Forget items; returns how many of the keys were there. Pinned readers go on seeing them."""
        return self._native.remove(keys)

    def refresh(self, hash_column: str) -> Refresh:
        """Start a refresh of the table whose row hashes are in `hash_column`; several may be open."""
        return Refresh(self._native, hash_column)

    def load(
        self,
        batches: Iterable[pa.RecordBatch],
        *,
        key: str,
        threads: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> LoadReport:
        """Write every row of `batches` under the key in column `key`; the last of equal keys wins.

        Rows are finished on `threads` threads (default: the cores, at most 8) and become visible batch by
        batch, in order. `progress` is told the rows of each batch that has become visible.
        """
        report = self._load(batches, key, threads or min(cores(), 8), progress)
        give_back_memory()
        return report

    def _load(
        self,
        batches: Iterable[pa.RecordBatch],
        key: str,
        threads: int,
        progress: Callable[[int], None] | None,
    ) -> LoadReport:
        since = self._native.epoch
        rows = repeated = 0
        waiting: deque[Future[tuple[_core.PreparedRows, int]]] = deque()

        def publish() -> None:
            nonlocal rows, repeated
            prepared, size = waiting.popleft().result()
            _, _, again = self._native.publish(prepared, since)
            rows, repeated = rows + size, repeated + again
            if progress is not None:
                progress(size)

        with ThreadPoolExecutor(threads, thread_name_prefix="load-items") as pool:
            for batch in batches:
                waiting.append(pool.submit(self._prepare, batch, key))
                if len(waiting) > threads:
                    publish()
            while waiting:
                publish()
        return LoadReport(rows=rows, items=rows - repeated, repeated=repeated)

    def _prepare(self, batch: pa.RecordBatch, key: str) -> tuple[_core.PreparedRows, int]:
        if key not in batch.schema.names:
            raise DataError(f"items have no key column '{key}'; columns: {', '.join(batch.schema.names)}")
        keys = column_from_arrow(batch.column(key), key)
        try:
            return self._native.prepare(
                batch_from_arrow(batch.select(self._present(batch))), keys
            ), batch.num_rows
        except RecserveError as error:
            raise DataError(f"items with key column '{key}': {error}") from error

    def _present(self, batch: pa.RecordBatch) -> list[str]:
        return [name for name in batch.schema.names if name in self._raw]

    def _selection(self, overrides: Batch) -> _core.Selection:
        """What to gather depends on the names that a request sends, and few combinations of them occur."""
        names = tuple(overrides.names)
        selection = self._selections.get(names)
        if selection is None:
            if len(self._selections) >= _REMEMBERED_SELECTIONS:
                self._selections.clear()
            selection = self._selections[names] = self._native.select_sent(list(names))
        return selection

    def _sequence_plan(self, keys: Mapping[str, SequenceKey]) -> list[Sequence]:
        """The plan of a mapping is made once; the mapping is kept, so its id stays its own."""
        planned = self._sequences.get(id(keys))
        if planned is None:
            plan = [
                Sequence(
                    group, k.column, k.delimiter, k.length, self._native.select(set(k.raw), set(k.finished))
                )
                for group, k in keys.items()
            ]
            planned = self._sequences[id(keys)] = (keys, plan)
        return planned[1]


def _scanned(scan: _core.Scan, batch_rows: int) -> Iterator[tuple[Column, Batch]]:
    while (rows := scan.next(batch_rows)) is not None:
        yield rows


def hash_rows(batch: Batch) -> Column:
    """Hash the content of each row: int64, (rows,).

    All columns count, with their names and types, in any order. Null, empty and zero differ; floats count by
    their bits. A null cell adds nothing, so an absent column is as one that is null in every row. The hash is
    the same on every machine. Two rows that differ have equal hashes once in 2**64 pairs: we accept that such
    a change goes unnoticed.
    """
    return _core.hash_rows(batch)


def key_type(arrow: pa.DataType, name: str) -> KeyType:
    """Tell which keys a table's key column gives; raises DataError for what cannot be a key."""
    stored = storage_type(arrow, name)
    if pa.types.is_integer(stored):
        return "int64"
    if pa.types.is_string(stored) or pa.types.is_binary(stored):
        return "string"
    raise DataError(f"key column '{name}' is {arrow}; keys are texts or integers")


def column_types(schema: pa.Schema, names: Iterable[str]) -> dict[str, str]:
    """Types of a table's columns as `ItemStore` takes them; names that the table lacks are left out."""
    return {
        name: _type_name(storage_type(schema.field(name).type, name))
        for name in names
        if name in schema.names
    }


def _type_name(arrow: pa.DataType) -> str:
    types = pa.types
    if types.is_map(arrow):
        return f"map<{_type_name(arrow.key_type)},{_type_name(arrow.item_type)}>"
    if types.is_fixed_size_list(arrow):
        return f"{_type_name(arrow.value_type)}[{arrow.list_size}]"
    if types.is_list(arrow):
        return f"list<{_type_name(arrow.value_type)}>"
    return _SCALAR_NAMES[arrow]


_SCALAR_NAMES: dict[Any, str] = {
    pa.int32(): "int32",
    pa.int64(): "int64",
    pa.float32(): "float32",
    pa.float64(): "float64",
    pa.string(): "string",
    pa.binary(): "string",
}


def give_back_memory() -> None:
    """Let go of what loading used: both allocators keep it, and nothing will need as much again."""
    pa.default_memory_pool().release_unused()
    allocator.give_back_memory()
