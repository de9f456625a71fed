"""A second store that takes the place of the first: `refresh_mode: swap`, and finishing all rows again.

    live  ──serves──────────────────────────────┐
      └─ copy ─▶ building ◀─ snapshots           ├─ swap one pointer ─▶ building serves
                    └──── every change, as live ─┘

Twice the memory for that time, and nothing to reason about: what serves afterwards was written from nothing.
So it is the referee of the streamed diff, too.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from recserve.errors import DataError
from recserve.items.full_refresh import FullRefresh, Result, copy_part
from recserve.items.upkeep import silent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from recserve.items.tables import Part
    from recserve.items.upkeep import MakeStore, Progress, Upkeep
    from recserve.items.writer import StoreWriter


def refresh_by_swap(upkeep: Upkeep, parts: Sequence[Part], progress: Progress = silent) -> list[Result]:
    """Read these tables into a new store, take the others from the one that serves, and swap.

    A table that is refused or cannot be read is taken from there, too; when all are, nothing is swapped.
    """
    with _building(upkeep, upkeep.make_store) as building:
        results = FullRefresh(upkeep, building, progress=progress).run(parts)
        fresh = {result.part.number for result in results if result.error is None}
        if fresh:
            _copy(upkeep, building, [part for part in upkeep.layout.parts if part.number not in fresh])
            upkeep.swap()
    return results


def refinish(upkeep: Upkeep, make_store: MakeStore, progress: Progress = silent) -> None:
    """Finish all rows anew, from the raw columns that are kept, and swap. Nothing is read from a source."""
    lacking = upkeep.layout.raw.keys() - upkeep.live.store.raw_columns
    if lacking:
        raise DataError(
            f"items cannot be finished anew: raw columns are not kept: {', '.join(sorted(lacking))}; "
            "keep_raw_items is false, so start again with the new features"
        )
    with _building(upkeep, make_store) as building:
        _copy(upkeep, building, upkeep.layout.parts, progress)
        upkeep.make_store = make_store
        upkeep.swap()


def _copy(upkeep: Upkeep, building: StoreWriter, parts: Sequence[Part], progress: Progress = silent) -> None:
    for part in parts:
        scan = partial(upkeep.live.store.scan, [part.hash_column, *part.stored.values()])
        copy_part(part, scan, building, progress=progress, total=upkeep.live.rows(part))


@contextmanager
def _building(upkeep: Upkeep, make_store: MakeStore) -> Iterator[StoreWriter]:
    """A new store that gets every change from now on; given up unless it is swapped in."""
    building = upkeep.writer_of(make_store(upkeep.layout.key, upkeep.layout.raw))
    with upkeep.lock:
        upkeep.building = building
    try:
        yield building
    finally:
        with upkeep.lock:
            if upkeep.building is building:
                upkeep.building = None
