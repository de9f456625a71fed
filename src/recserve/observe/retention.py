"""How much captures may take, and for how long: the oldest go first, over all folders together.

    <root>/2026032014/…   what is oldest is removed, file by file, until there is room
    <root>/2026032015/…   what is written now

Only totals per hour are remembered: files are listed one hour at a time, when it is that hour's turn to go.
So neither memory nor time grows with the number of captures, and a file that somebody else has removed, or
put there, counts right when its hour is listed.

Only folders named like an hour are looked at, in them only `.pb` files and what is left of unfinished ones.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections import deque
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

logger = logging.getLogger("recserve.captures")

#: A file that is not complete yet; a start removes those that a killed process left.
UNFINISHED = ".part"
_HOUR_FORMAT = "%Y%m%d%H"
_HOUR = re.compile(r"\d{10}")


class Retention:
    """Keeps captures under `max_bytes` and younger than `max_age_seconds`; 0 = no such bound.

    For many threads. Age is told by a clock that a jump of the system's own does not move: it starts with the
    system's and goes on by itself. After a jump, files are only called after another hour.
    """

    def __init__(
        self,
        max_bytes: int = 0,
        max_age_seconds: float = 0.0,
        *,
        now: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self.max_bytes = max_bytes
        self.kept_bytes = 0  # on disk
        self.removed = 0
        self._max_age_seconds = max_age_seconds
        self._now = now
        self._steady = steady
        self._ahead = now() - steady()
        self._coming_bytes = 0  # of files that are being written
        self._hours: dict[Path, int] = {}  # folder of an hour → bytes of its captures
        self._written_at: dict[Path, float] = {}  # the same → when we last wrote there, on the steady clock
        self._oldest = Path()  # the folder whose captures are listed
        self._listed: deque[tuple[Path, int]] = deque()  # they, the oldest first, with their bytes
        self._lock = threading.Lock()

    def hour(self) -> str:
        """The folder for what is written now: year, month, day and hour in UTC, as the log has it."""
        return time.strftime(_HOUR_FORMAT, time.gmtime(self._now()))

    def adopt(self, root: Path) -> None:
        """Count what earlier processes left under `root`, and remove what they did not finish."""
        for folder in _hours(root):
            total = 0
            for entry in _files(folder):
                if entry.name.endswith(UNFINISHED):
                    with suppress(OSError):
                        os.unlink(entry.path)
                else:
                    total += _size(entry)
            self._count(folder, total)
        self.tidy()

    @contextmanager
    def room(self, folder: Path, size: int) -> Iterator[None]:
        """Make room for a file of `size` bytes, which is written into `folder` meanwhile."""
        with self._lock:
            self._coming_bytes += size
        try:
            self.tidy()
            yield
        except BaseException:
            with self._lock:
                self._coming_bytes -= size
            raise
        with self._lock:
            self._coming_bytes -= size
            self._written_at[folder] = self._steady()
        self._count(folder, size)

    def tidy(self) -> None:
        """Remove what is too much or too old."""
        while (file := self._next_to_go()) is not None:
            try:
                file.unlink()
                self.removed += 1
                if not self._listed:
                    _remove_if_empty(file.parent)
            except FileNotFoundError:
                pass  # somebody else was quicker
            except OSError as error:
                self._forget(file.parent, error)

    def _count(self, folder: Path, size: int) -> None:
        with self._lock:
            self._hours[folder] = self._hours.get(folder, 0) + size
            self.kept_bytes += size

    def _next_to_go(self) -> Path | None:
        with self._lock:
            while self._hours:
                if not self._listed:
                    self._oldest = min(self._hours, key=lambda folder: folder.name)
                if not self._must_go():
                    return None
                if not self._listed:
                    self._list_oldest()
                    continue
                file, size = self._listed.popleft()
                self._hours[self._oldest] -= size
                self.kept_bytes -= size
                return file
            return None

    def _forget(self, folder: Path, error: OSError) -> None:
        """Count no more what cannot be removed; trying again and again would not help."""
        logger.warning("cannot remove old captures", extra={"folder": str(folder), "reason": error.strerror})
        with self._lock:
            self.kept_bytes -= self._hours.pop(folder, 0)
            if folder == self._oldest:
                self._listed.clear()

    def _must_go(self) -> bool:
        """Whether something of the oldest hour is too much or too old."""
        if self.max_bytes and self.kept_bytes + self._coming_bytes > self.max_bytes:
            return True
        if not self._max_age_seconds:
            return False
        if self._oldest in self._written_at:
            return self._steady() - self._written_at[self._oldest] > self._max_age_seconds
        earliest = max(0.0, self._steady() + self._ahead - self._max_age_seconds)
        return self._oldest.name < time.strftime(_HOUR_FORMAT, time.gmtime(earliest))

    def _list_oldest(self) -> None:
        """List the captures of the oldest hour; an hour without any is forgotten."""
        found = sorted((_moment(entry), entry.path, _size(entry)) for entry in _files(self._oldest))
        captures = [(Path(path), size) for _, path, size in found if not path.endswith(UNFINISHED)]
        self.kept_bytes -= self._hours.pop(self._oldest)
        if not captures:
            self._written_at.pop(self._oldest, None)
            _remove_if_empty(self._oldest)
            return
        total = sum(size for _, size in captures)
        self._hours[self._oldest] = total
        self.kept_bytes += total
        self._listed.extend(captures)


def _hours(root: Path) -> Iterator[Path]:
    with suppress(OSError), os.scandir(root) as entries:
        for entry in entries:
            if _HOUR.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
                yield Path(entry.path)


def _files(folder: Path) -> Iterator[os.DirEntry[str]]:
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith((".pb", UNFINISHED)) and entry.is_file(follow_symlinks=False):
                yield entry


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):  # there may be something of somebody else's in it
        folder.rmdir()


def _size(entry: os.DirEntry[str]) -> int:
    with suppress(OSError):
        return entry.stat(follow_symlinks=False).st_size
    return 0


def _moment(entry: os.DirEntry[str]) -> int:
    with suppress(OSError):
        return entry.stat(follow_symlinks=False).st_mtime_ns
    return 0
