"""What compaction found in the arenas of a store, and left.

Texts, lists and maps lie in an arena for each column, which only grows: after many refreshes most of it is
read by nobody. `ItemStore.compact` copies what is still read out of the parts that hold little of it, and
gives those back (`cpp/items/compaction.h` tells how). Readers never wait for it, writers for
about a millisecond at a time.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CompactedColumn:
    """Bytes in the arena of one column."""

    name: str  # "the key": the texts of long keys
    before_bytes: int
    live_bytes: int  # that rows refer to; the others are garbage
    after_bytes: int  # once the requests that run now have ended

    @property
    def garbage_bytes(self) -> int:
        """What nobody reads, and is still there."""
        return max(0, self.after_bytes - self.live_bytes)


@dataclass(frozen=True, slots=True)
class Compaction:
    """Figures of one run."""

    columns: tuple[CompactedColumn, ...]
    rows_moved: int  # rows that were rewritten, once for each column

    @property
    def before_bytes(self) -> int:
        """Of all arenas."""
        return sum(column.before_bytes for column in self.columns)

    @property
    def after_bytes(self) -> int:
        """Of all arenas."""
        return sum(column.after_bytes for column in self.columns)

    @property
    def garbage_bytes(self) -> int:
        """What another run with threshold 0 would give back."""
        return sum(column.garbage_bytes for column in self.columns)
