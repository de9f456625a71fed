"""A full refresh of one table as a streamed diff, while requests and other writers go on.

    batch ──hash_rows──▶ changed ──▶ store.prepare ──▶ store.publish ──▶ … ──▶ unseen ──▶ store.delete

Most rows of a table are what they were. A row is written only when the hash of its content is not the one
that is stored beside it, so a refresh takes hardly more memory than what it changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recserve import _core

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from recserve.columns import Column


@dataclass(frozen=True, slots=True)
class RefreshFigures:
    """What a refresh has found so far, in rows."""

    seen: int  # the table has them, and the store too
    unchanged: int  # of these: equal to what was stored
    written: int
    repeated: int  # another row of the same key won
    protected: int  # something fresher won


class Refresh:
    """One refresh of one table (`ItemStore.refresh`). Any thread may call any method.

    The rows of a table whose `hash_column` is present are those that the store has of it. Of equal keys the
    row with the greatest `order` wins, of these the one that was asked for last. This holds within a batch,
    against what was written and against what is being prepared: a row that has lost by the time of its
    publication is dropped then.

    Ours: a refresh in which a changed row is never published must be given up, for later rows of that key
    would be compared with it.
    """

    def __init__(self, store: _core.ItemStore, hash_column: str) -> None:
        self.native = _core.Refresh(store, hash_column)

    def changed(self, keys: Column, hashes: Column, order: Column | None = None) -> NDArray[np.bool_]:
        """Tell which rows must be written: (rows,).

        Prepare the rows that are True, and no others, with `hashes` in the hash column, and publish them for
        this refresh. False: equal to what is stored (seen from now on), protected, or another row of the key
        wins. `order` holds integers; null is the least. Raises DataError for a key or a hash that is null.
        """
        return self.native.changed(keys, hashes, order)

    def protect(self, keys: Column) -> None:
        """Leave these keys alone from now on: somebody who knows better has written or deleted them.

        Call it before the fresher rows are published. The keys are kept until the refresh ends.
        """
        self.native.protect(keys)

    def unseen(self, batch_rows: int = 1 << 16) -> Iterator[Column]:
        """Find the keys of rows that the store has of this table and the table no longer has.

        Each comes once, and may be deleted or rewritten while this goes on. One iteration at a time.
        """
        walk = _core.Unseen(self.native)
        while (keys := walk.next(batch_rows)) is not None:
            yield keys

    def figures(self) -> RefreshFigures:
        """Count rows."""
        return RefreshFigures(**self.native.figures())
