"""The log of an instance: one file that it writes at the end of, and the one before."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

#: A log is turned at this size; so much of its end is kept.
LOG_BYTES = 32 * 2**20
_PIECE = 2**20


def kept_log(folder: Path, instance: str, lines: int) -> list[str]:
    """The log of an instance whose folder is below `folder`; empty for what is no instance's name."""
    if instance in ("", ".", "..") or "/" in instance or "\0" in instance:
        return []
    return last_lines(folder / instance / "log", lines)


def last_lines(path: Path, lines: int) -> list[str]:
    """The last lines of a log, of which no more than the end is read."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 400 * lines - 4096))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    return text.splitlines()[-lines:]


def turn(path: Path, most_bytes: int = LOG_BYTES) -> None:
    """Move what a log holds to `log.1` once it is large; who writes it goes on into the same, empty file.

    The log is emptied also where there is no room to keep what it held.
    """
    with contextlib.suppress(OSError):
        size = path.stat().st_size
        if size <= most_bytes:
            return
        try:
            _copy_end(path, path.with_name("log.1"), size, most_bytes)
        finally:
            os.truncate(path, 0)


def _copy_end(path: Path, to: Path, size: int, most_bytes: int) -> None:
    left = most_bytes
    with path.open("rb") as source, to.open("wb") as kept:
        source.seek(size - most_bytes)
        while left > 0 and (piece := source.read(min(_PIECE, left))):
            kept.write(piece)
            left -= len(piece)
