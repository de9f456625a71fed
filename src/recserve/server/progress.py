"""How far loading is: bars on a terminal, log lines elsewhere."""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from recserve.processors import load

logger = logging.getLogger("recserve.progress")

_LOG_EVERY_SECONDS = 5.0


@contextmanager
def shown_progress() -> Iterator[load.Progress]:
    """A `load.Progress` for the person who watches, or for the log that is read later."""
    if not sys.stderr.isatty():
        yield LoggedProgress()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        yield ProgressBars(bars)


class ProgressBars:
    """One rich bar per step."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, step: str, done: int, total: int) -> None:
        """See load.Progress."""
        if step not in self._tasks:
            self._tasks[step] = self._bars.add_task(step, total=total or None)
        self._bars.update(self._tasks[step], completed=done, total=total or None)


class LoggedProgress:
    """A line when a step begins, every five seconds, and when it ends."""

    def __init__(self) -> None:
        self._logged_at: dict[str, float] = {}

    def __call__(self, step: str, done: int, total: int) -> None:
        """See load.Progress."""
        now = monotonic()
        if done == total or now - self._logged_at.get(step, float("-inf")) >= _LOG_EVERY_SECONDS:
            self._logged_at[step] = now
            logger.info(step, extra={"done": done, "total": total})
