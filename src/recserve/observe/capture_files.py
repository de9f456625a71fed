"""Files of captures: named after their request, whole or not there, and for the eyes of their owner only.

    <root>/<hour>/<request id>_<random>.pb        HourFolders: chosen and slow requests
    <root>/<request id>_<random>.pb               OneFolder: requests for the next warm-up

A request holds what is known of a person: files have mode 0600, the folders that are made for them 0700. A
file is written under a hidden name and renamed when it is complete.
"""

from __future__ import annotations

import os
import re
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from recserve.observe.retention import UNFINISHED, Retention

if TYPE_CHECKING:
    from pathlib import Path

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_ID = 64


class Shelf(Protocol):
    """Where captures are put."""

    root: Path

    def prepare(self) -> None:
        """Make the folder, and tidy up what a killed process left; raises OSError if it cannot be written."""

    def write(self, request_id: str, content: bytes) -> None:
        """Write one file; raises OSError, and leaves nothing behind then."""


class HourFolders:
    """A folder of the captures of each hour, kept within the bounds of `retention`."""

    def __init__(self, root: Path, retention: Retention) -> None:
        self.root = root
        self._retention = retention

    def prepare(self) -> None:
        """See Shelf."""
        _make(self.root)
        self._retention.adopt(self.root)

    def write(self, request_id: str, content: bytes) -> None:
        """See Shelf."""
        folder = self.root / self._retention.hour()
        with self._retention.room(folder, len(content)):
            write_whole(folder, file_name(request_id), content)


class OneFolder:
    """All captures in one folder; whoever offers them sees that they are few."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def prepare(self) -> None:
        """See Shelf."""
        _make(self.root)
        for left in self.root.glob(f".*{UNFINISHED}"):
            with suppress(OSError):
                left.unlink()

    def write(self, request_id: str, content: bytes) -> None:
        """See Shelf."""
        write_whole(self.root, file_name(request_id), content)


def file_name(request_id: str) -> str:
    """A name for the capture of a request, whatever its caller called it.

    >>> file_name("../../etc/passwd").rpartition("_")[0]
    'etc_passwd'
    """
    readable = _UNSAFE.sub("_", request_id[: 4 * _LONGEST_ID]).strip("._")[:_LONGEST_ID]
    return f"{readable or 'request'}_{secrets.token_hex(6)}.pb"


def write_whole(folder: Path, name: str, content: bytes) -> None:
    """Write a file of mode 0600 under its name at once; makes the folder if it is not there."""
    try:
        _write_and_rename(folder, name, content)
    except FileNotFoundError:
        # The folder: there was none, or it was removed for being empty. Or the unfinished file: another
        # process that starts on the same folder takes it for something that a dead one left.
        _make(folder)
        _write_and_rename(folder, name, content)


def _write_and_rename(folder: Path, name: str, content: bytes) -> None:
    unfinished = folder / f".{name}{UNFINISHED}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(unfinished, flags, 0o600)
    try:
        try:
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        finally:
            os.close(descriptor)
        unfinished.rename(folder / name)
    except BaseException:
        with suppress(OSError):
            unfinished.unlink()
        raise


def _make(folder: Path) -> None:
    """Make a folder that only its owner looks into; one that is there stays as it is."""
    folder.parent.mkdir(0o700, parents=True, exist_ok=True)
    folder.mkdir(0o700, exist_ok=True)
