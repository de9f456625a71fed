"""Writes the image of the store: behind full refreshes, and at the end."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from recserve.errors import RecserveError
from recserve.items.resume import saved_of
from recserve.items.status import Alarm, ImageStatus, told

if TYPE_CHECKING:
    from recserve.items.loading import ImagePlan
    from recserve.items.upkeep import Upkeep

logger = logging.getLogger("recserve.items")


class ImageWriter:
    """One image file; saves wait for one another, and nobody else for them."""

    def __init__(self, plan: ImagePlan) -> None:
        self._plan = plan
        self.features = plan.features  # the fingerprint of what finishes rows
        self._lock = threading.Lock()
        self._writes = -1  # of the store, when it was saved
        self._saved: tuple[float, int] | None = None

    def save(self, upkeep: Upkeep) -> int:
        """Write the image; returns its bytes, and 0, with an alarm, when the system refuses."""
        with self._lock:
            writes = upkeep.writes
            meta = saved_of(upkeep, self.features).to_meta()  # before the rows, which may be newer
            now = upkeep.bell.clock.time()
            try:
                size = upkeep.live.store.save(self._plan.path, meta)
            except RecserveError as error:
                alarm = Alarm("", "image", "saving", told(error), now)
                if upkeep.alarms.raise_(alarm):
                    logger.error("the item image cannot be written; the old one stays: %s", alarm.message)
                return 0
            upkeep.alarms.clear("", "saving")
            self._writes, self._saved = writes, (now, size)
            return size

    def save_changes(self, upkeep: Upkeep) -> None:
        """Write the image, unless it holds all that the store does."""
        if upkeep.writes != self._writes:
            self.save(upkeep)

    def resumed(self, upkeep: Upkeep) -> None:
        """The store is from the image."""
        self._writes = upkeep.writes

    def status(self, *, loaded: bool) -> ImageStatus:
        """Where the image is, and what was written."""
        saved_at, size = self._saved or (None, 0)
        return ImageStatus(str(self._plan.path), loaded, saved_at, size)
