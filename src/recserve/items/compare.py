"""Compares a store with its sources, row by row: is everything that they have here, and nothing else?

    snapshot ──hashes──▶ equal: the key is seen
                     └─▶ else: candidates ──cells──▶ missing, differs      keys never seen ──▶ extra

Rows that are written meanwhile are left out: they are newer than the snapshot that is compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from recserve.columns import column_from_arrow, to_arrow
from recserve.items.part_rows import part_rows
from recserve.items.read_ahead import ReadAhead

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from recserve.items.part_rows import PartRows
    from recserve.items.refresh import Refresh
    from recserve.items.tables import Part
    from recserve.items.upkeep import Upkeep
    from recserve.items.writer import StoreWriter

_UNSEEN_ROWS = 1 << 12

Key = str | int


@dataclass(frozen=True, slots=True)
class Difference:
    """A row in which the store is not as a table says."""

    table: str
    key: Key
    kind: Literal["missing", "extra", "differs"]  # missing: only the table has it; extra: only the store
    columns: Mapping[str, tuple[Any, Any]]  # of rows that differ: column → (in the store, in the table)


def differences(upkeep: Upkeep, limit: int | None = None) -> Iterator[Difference]:
    """Read every table and tell where the store differs, at most `limit` rows.

    Raises SourceError or DataError when a table cannot be read. Where raw cells are not kept, all that a row
    says is that it differs.
    """
    found = (found for part in upkeep.layout.parts for found in _of_table(upkeep, part, limit))
    return islice(found, limit)


def _of_table(upkeep: Upkeep, part: Part, limit: int | None) -> Iterator[Difference]:
    source, writer = upkeep.source(part), upkeep.live
    refresh = writer.begin(part)  # before the moment, so that what is followed from now on is left out
    try:
        with (
            source.moment() as moment,
            ReadAhead(lambda: source.snapshot(part.columns, at=moment), upkeep.bell) as batches,
        ):
            candidates = _Candidates(writer, part)
            for batch in batches:
                candidates.compare(part_rows(batch, part), refresh)
                if limit is not None and len(candidates) >= limit:
                    yield from candidates.settled()
                    return
        yield from candidates.settled()
        for keys in refresh.unseen(_UNSEEN_ROWS):
            for key in to_arrow(keys).to_pylist():
                if key not in candidates:
                    yield Difference(part.name, key, "extra", {})
    finally:
        writer.end(part, refresh)


@dataclass(frozen=True, slots=True)
class _Candidate:
    stored: int | None  # the hash of the row here
    order: int | None
    difference: Difference


class _Candidates:
    """Rows that differ, unless a later row of their key is equal, or they are written meanwhile."""

    def __init__(self, writer: StoreWriter, part: Part) -> None:
        self._writer = writer
        self._part = part
        self._by_key: dict[Key, _Candidate] = {}
        raw = writer.store.raw_columns
        self._kept = {column: stored for column, stored in part.stored.items() if stored in raw}

    def __len__(self) -> int:
        return len(self._by_key)

    def __contains__(self, key: Key) -> bool:
        return key in self._by_key

    def compare(self, rows: PartRows, refresh: Refresh) -> None:
        order = None if rows.order is None else column_from_arrow(rows.order)
        differs = refresh.changed(rows.key_column, column_from_arrow(rows.hashes), order)
        if self._by_key and not differs.all():
            self._settle_equal(rows.filter(~differs))
        if differs.any():
            self._add(rows.filter(differs))

    def settled(self) -> Iterator[Difference]:
        """Those whose row is still the one that was compared."""
        keys = list(self._by_key)
        arrays = pa.array(keys, pa.int64() if keys and isinstance(keys[0], int) else pa.string())
        for key, stored in zip(keys, self._hashes(arrays), strict=True):
            if stored == self._by_key[key].stored:
                yield self._by_key[key].difference

    def _settle_equal(self, rows: PartRows) -> None:
        keys = rows.keys.to_pylist()
        here, there = self._hashes(rows.keys), rows.hashes.to_pylist()
        orders = [None] * len(keys) if rows.order is None else rows.order.to_pylist()
        for key, stored, hashed, order in zip(keys, here, there, orders, strict=True):
            known = self._by_key.get(key)
            if known is not None and stored == hashed and not _less(order, known.order):
                del self._by_key[key]

    def _add(self, rows: PartRows) -> None:
        stored = self._hashes(rows.keys)
        cells, _ = self._writer.present(rows.key_column, list(self._kept.values()))
        here = {column: cells[name].to_pylist() for column, name in self._kept.items()}
        there = {column: array.to_pylist() for column, array in rows.cells.items()}
        orders = [None] * len(rows) if rows.order is None else rows.order.to_pylist()
        for row, key in enumerate(rows.keys.to_pylist()):
            columns = {
                column: (here[column][row], there[column][row])
                for column in here
                if stored[row] is not None and not _same(here[column][row], there[column][row])
            }
            kind: Literal["missing", "differs"] = "missing" if stored[row] is None else "differs"
            difference = Difference(self._part.name, key, kind, columns)
            self._by_key[key] = _Candidate(stored[row], orders[row], difference)

    def _hashes(self, keys: pa.Array) -> list[int | None]:
        cells, _ = self._writer.present(column_from_arrow(keys, "keys"), [self._part.hash_column])
        hashes: list[int | None] = cells[self._part.hash_column].to_pylist()
        return hashes


def _less(one: int | None, other: int | None) -> bool:
    return other is not None and (one is None or one < other)


def _same(one: Any, other: Any) -> bool:
    """Equal as the hash has it: a NaN is itself, and -0.0 is not 0.0."""
    return repr(one) == repr(other)
