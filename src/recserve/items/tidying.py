"""Gives memory back while the store serves: behind full refreshes, and when following has written much."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from recserve.items.clock import ClosedError
from recserve.items.status import told, trace_of
from recserve.items.store import give_back_memory

if TYPE_CHECKING:
    from recserve.items.upkeep import Upkeep

logger = logging.getLogger("recserve.items")

_FEW_WRITES = 50_000  # are not worth a look at the whole store


class Tidier:
    """Compacts what serves, one run after the other."""

    def __init__(self, upkeep: Upkeep) -> None:
        self._up = upkeep
        self._lock = threading.Lock()
        self._writes = 0  # of the store, when it was last tidied
        self._many = _FEW_WRITES

    def tidy(self) -> None:
        """Compact the store. Whatever goes wrong is logged, and done again next time."""
        with self._lock:
            up = self._up
            self._writes = up.writes
            try:
                compaction = up.live.store.compact()
            except Exception as error:
                logger.error("compacting the items failed: %s\n%s", told(error), trace_of(error))
                return
            self._many = max(_FEW_WRITES, len(up.live.store))
            give_back_memory()
            if compaction.rows_moved:
                logger.info(
                    "compacted the items: %.1f MB of texts and lists became %.1f MB",
                    compaction.before_bytes / 1e6,
                    compaction.after_bytes / 1e6,
                )

    def run(self) -> None:
        """The thread: tidy when so many rows were written as there are."""
        up = self._up
        try:
            while True:
                up.bell.wait(lambda: up.writes - self._writes >= self._many)
                self.tidy()
        except ClosedError:
            return
