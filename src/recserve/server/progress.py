"""How far loading is: bars on a terminal, log lines elsewhere, and the words of `/readyz`.

not ready: loading items.parquet: 1,200,000 of 10,000,000 rows, 480,000 per second, 0.9 GiB, 18 s to go
"""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from time import monotonic
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from recserve.processors import load

logger = logging.getLogger("recserve.progress")

_LOG_EVERY_SECONDS = 5.0
_GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Stage:
    """The step that loading is at."""

    step: str
    done: int = 0
    total: int = 0  # 0: nobody knows
    memory_bytes: int = 0  # of the rows read so far; 0: they are not counted
    seconds: float = 0.0  # since the step began

    @property
    def per_second(self) -> float:
        """How fast it goes; 0 while nothing is done."""
        return self.done / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """How long it will take at this speed; None where nobody can know."""
        if not self.per_second or not self.total:
            return None
        return max(0, self.total - self.done) / self.per_second

    def in_words(self) -> str:
        """One line for a person."""
        if not self.memory_bytes:  # steps that count no rows are short
            return f"{self.step}: {self.done} of {self.total}" if self.total > 1 else self.step
        rows = f"{self.done:,} of {self.total:,} rows" if self.total else f"{self.done:,} rows"
        words = f"{self.step}: {rows}, {self.per_second:,.0f} per second, {self.memory_bytes / _GIB:.2f} GiB"
        return words if self.seconds_left is None else f"{words}, {self.seconds_left:.0f} s to go"

    def as_json(self) -> dict[str, Any]:
        """The same for programs and for the log."""
        figures: dict[str, Any] = {"step": self.step, "done": self.done, "total": self.total}
        if self.memory_bytes:
            figures["memory_bytes"] = self.memory_bytes
            figures["per_second"] = round(self.per_second)
        if self.seconds_left is not None:
            figures["seconds_left"] = round(self.seconds_left, 1)
        return figures


class WatchedProgress:
    """A `load.Progress` that remembers where loading is, and hands on to another one what it is told."""

    def __init__(self, shown: load.Progress) -> None:
        self.stage = Stage("loading")  # read by other threads; always a whole one
        self._shown = shown
        self._began = monotonic()

    def __call__(self, step: str, done: int, total: int, memory_bytes: int = 0) -> None:
        """See load.Progress."""
        now = monotonic()
        if step != self.stage.step:
            self._began = now
        self.stage = Stage(step, done, total, memory_bytes, now - self._began)
        self._shown(step, done, total, memory_bytes)

    def now(self) -> Stage:
        """Where it is, and for how long it has been at it."""
        return replace(self.stage, seconds=monotonic() - self._began)


@contextmanager
def shown_progress() -> Iterator[load.Progress]:
    """A `load.Progress` for the person who watches, or for the log that is read later."""
    if not sys.stderr.isatty():
        yield LoggedProgress()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(
                f"{task.finished_speed or task.speed or 0:,.0f} rows/s" if task.fields["rows"] else ""
            )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        yield ProgressBars(bars)


class ProgressBars:
    """One rich bar per step."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, step: str, done: int, total: int, memory_bytes: int = 0) -> None:
        """See load.Progress."""
        if step not in self._tasks:
            self._tasks[step] = self._bars.add_task(step, total=total or None, rows=False)
        self._bars.update(self._tasks[step], completed=done, total=total or None, rows=memory_bytes > 0)


class LoggedProgress:
    """A line when a step begins, every five seconds, and when it ends."""

    def __init__(self) -> None:
        self._logged_at: dict[str, float] = {}
        self._began_at: dict[str, float] = {}

    def __call__(self, step: str, done: int, total: int, memory_bytes: int = 0) -> None:
        """See load.Progress."""
        now = monotonic()
        began = self._began_at.setdefault(step, now)
        if done == total or now - self._logged_at.get(step, float("-inf")) >= _LOG_EVERY_SECONDS:
            self._logged_at[step] = now
            stage = Stage(step, done, total, memory_bytes, now - began).as_json()
            logger.info(stage.pop("step"), extra=stage)
