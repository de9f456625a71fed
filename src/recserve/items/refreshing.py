"""When full refreshes happen: by `period`, when following has lost its place, and when somebody asks.

One thread per origin, so that a source that hangs holds up its own tables alone.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from recserve.items.clock import Backoff, ClosedError
from recserve.items.full_refresh import FullRefresh, Result, may_be_retried
from recserve.items.status import told, trace_of
from recserve.items.swap import refresh_by_swap
from recserve.items.upkeep import silent

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from recserve.items.tables import Part
    from recserve.items.upkeep import Progress, Upkeep

logger = logging.getLogger("recserve.items")


class OriginRefresher:
    """Full refreshes of the tables of one origin, none of them static.

    `turn` is held by a refresh; in swap mode all origins share it, for there is one store being built.
    `refreshed` is called after each refresh that changed something.
    """

    def __init__(
        self,
        upkeep: Upkeep,
        parts: Sequence[Part],
        *,
        turn: threading.Lock,
        refreshed: Callable[[], None],
    ) -> None:
        self.parts = tuple(parts)
        self.turn = turn
        self._up = upkeep
        self._refreshed = refreshed
        self._backoff = Backoff()
        self._due: dict[int, float] = {}  # by the clock's `now`; absent: not planned

    def plan(self, part: Part, seconds: float) -> None:
        """Refresh a table at the latest after `seconds`."""
        at = self._up.bell.clock.now() + seconds
        self._due[part.number] = min(at, self._due.get(part.number, at))
        self._up.bell.ring()

    def plan_period(self, part: Part, seconds: float | None = None) -> None:
        """Refresh a table after the period, or after that part of it which is left."""
        period = self._up.options.period_seconds
        self._due.pop(part.number, None)
        if period:
            self.plan(part, period if seconds is None else min(period, max(0.0, seconds)))

    def due_in(self, part: Part) -> float | None:
        """Seconds until the next refresh of a table."""
        at = self._due.get(part.number)
        return None if at is None else max(0.0, at - self._up.bell.clock.now())

    def run(self) -> None:
        """The thread: refresh what is due, until the keeper closes."""
        bell = self._up.bell
        try:
            while True:
                due = self._due_now()
                if due:
                    self.refresh(due)
                    continue
                soonest = min(self._due.values(), default=None)
                bell.wait(
                    lambda: bool(self._due_now()), None if soonest is None else soonest - bell.clock.now()
                )
        except ClosedError:
            return

    def refresh(
        self, parts: Sequence[Part], *, first: bool = False, progress: Progress = silent
    ) -> list[Result]:
        """Refresh tables now, and plan when next. Raises nothing but ClosedError."""
        up = self._up
        with self.turn:
            if up.options.refresh_mode == "swap" and not first:
                results = refresh_by_swap(up, parts, progress)
            else:
                results = FullRefresh(up, up.live, first=first, progress=progress).run(parts)
        retry = any(may_be_retried(result.error) for result in results)
        pause = self._backoff.next() if retry else 0.0
        if not retry:
            self._backoff.reset()
        for result in results:
            self._note(result, pause)
        if any(result.report.outcome == "refreshed" for result in results):
            with up.lock:
                up.writes += 1
            if not first:
                self._tidy()
        up.bell.ring()
        return results

    def _due_now(self) -> list[Part]:
        now = self._up.bell.clock.now()
        return [part for part in self.parts if self._due.get(part.number, now + 1) <= now]

    def _note(self, result: Result, pause: float) -> None:
        up, part, error = self._up, result.part, result.error
        tracker = up.trackers[part.number]
        tracker.finished(result.report)
        self.plan_period(part)
        if error is None:
            up.worked(part, "refreshing")
            return
        if may_be_retried(error):
            tracker.retries += 1
            self.plan(part, pause)
        elif tracker.followed and tracker.cursor is None:
            self.plan(part, Backoff.LONGEST_SECONDS)  # without one, nothing is followed either
        up.failed(part, "refreshing", error)

    def _tidy(self) -> None:
        """What is done behind a refresh may fail without harm to it."""
        try:
            self._refreshed()
        except ClosedError:
            raise
        except Exception as error:
            logger.error("tidying up after a refresh failed: %s\n%s", told(error), trace_of(error), extra={})
