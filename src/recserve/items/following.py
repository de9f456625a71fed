"""Follows the changes of one table, on a thread of its own that only the end of the keeper ends.

A source that is told of changes answers when there is one; the others are asked every `poll_interval_ms`.
The cursor moves when its changes are applied, never before, and is never a time of our own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recserve.errors import DataError
from recserve.items.clock import Backoff, ClosedError
from recserve.items.part_rows import as_stored, part_rows
from recserve.items.writer import Applied
from recserve.source import change_feed

if TYPE_CHECKING:
    from collections.abc import Callable

    from recserve.items.tables import Part
    from recserve.items.upkeep import Upkeep
    from recserve.source import Changes

_WAIT_SECONDS = 1.0  # for sources that are told; bounds how long closing waits for one


class CursorLostError(DataError):
    """The source does not know the cursor any more: only a full refresh helps."""


class Follower:
    """Keeps one table's changes applied. `lost` is called when only a full refresh helps."""

    def __init__(self, upkeep: Upkeep, part: Part, *, lost: Callable[[Part], None]) -> None:
        feed = change_feed(upkeep.source(part))
        assert feed is not None
        self.part = part
        self._up = upkeep
        self._feed = feed
        self._lost = lost
        self._tracker = upkeep.trackers[part.number]
        self._backoff = Backoff()
        self._told = False  # the source waits for changes by itself, as its last empty answer showed

    def run(self) -> None:
        """The thread."""
        try:
            while True:
                self._turn()
        except ClosedError:
            self._tracker.state = "closed"

    def catch_up(self) -> None:
        """Apply all that has changed until now. Raises what `changes` raises."""
        while self.step():
            pass

    def step(self) -> bool:
        """Ask once and apply the answer; True when there is more to ask for."""
        tracker, clock = self._tracker, self._up.bell.clock
        self._up.bell.wait(lambda: tracker.cursor is not None and not tracker.opening)
        moment, cursor, asked = tracker.opened, tracker.cursor, clock.now()
        assert cursor is not None
        try:
            changes = self._feed.changes(cursor, self.part.types.keys(), wait_seconds=_WAIT_SECONDS)
        except DataError as error:
            raise CursorLostError(str(error)) from error
        if not any(batch.num_rows for batch in changes.upserts) and not len(changes.deleted or ()):
            self._told = clock.now() - asked >= 0.9 * _WAIT_SECONDS
        with tracker.applying:
            if tracker.opening or tracker.opened != moment or tracker.cursor != cursor:
                return True  # asked before the moment of a refresh: it may be older than its snapshot
            applied = self._apply(changes)
            tracker.cursor = changes.cursor
        tracker.changes += applied.written
        tracker.unchanged += applied.unchanged
        tracker.deleted += applied.deleted
        if changes.watermark is not None:
            tracker.watermark = max(changes.watermark, tracker.watermark or changes.watermark)
        if not changes.more:
            tracker.caught_up = asked
        self._up.bell.ring()
        return changes.more

    def failed(self, error: Exception) -> None:
        """Note a failure; where the cursor is lost, ask for a full refresh."""
        self._tracker.retries += 1
        self._tracker.state = "retrying"
        if isinstance(error, CursorLostError):
            self._tracker.cursor = None
            self._lost(self.part)
        self._up.failed(self.part, "following", error)
        self._up.bell.ring()

    def _turn(self) -> None:
        bell, tracker = self._up.bell, self._tracker
        asked = bell.clock.now()
        try:
            more = self.step()
        except ClosedError:
            raise
        except Exception as error:
            self.failed(error)
            bell.pause(self._backoff.next())
            return
        if self._backoff.failures:
            self._backoff.reset()
        self._up.worked(self.part, "following")
        if tracker.state != "following":
            tracker.state = "following"
            bell.ring()
        if not more and not self._told:
            bell.pause(max(0.0, self._up.options.poll_seconds - (bell.clock.now() - asked)))

    def _apply(self, changes: Changes) -> Applied:
        applied = Applied()
        for batch in changes.upserts:
            if batch.num_rows:
                rows = part_rows(batch, self.part).last_of_each()
                applied += self._up.apply({self.part.number: rows})
        if changes.deleted is not None and len(changes.deleted):
            keys = as_stored(changes.deleted, self.part.key)
            applied += Applied(deleted=self._up.delete(keys, [self.part]))
        return applied
