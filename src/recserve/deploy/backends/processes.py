"""What Linux tells of processes, whoever's children: who they are, when they end, where they listen."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_PROC = Path("/proc")
_LISTENS = "0A"  # the state of a listening socket in /proc/net/tcp


@dataclass(frozen=True, slots=True)
class Identity:
    """A process, and no other that gets its number later."""

    pid: int
    began: int  # clock ticks since the machine's start, from /proc/<pid>/stat; 0 where there is none

    @property
    def alive(self) -> bool:
        """Whether it still runs; a zombie does not."""
        return identity(self.pid) == self

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until it has ended, whoever's child it is; false if it has not in that time."""
        deadline = None if seconds is None else time.monotonic() + seconds
        with contextlib.suppress(ProcessLookupError), _pidfd(self.pid) as descriptor:
            if descriptor is not None and _state_and_began(self.pid)[1:] == (self.began,):
                # Also a zombie's: while other threads of it run on, its locks and ports are still held.
                poller = select.poll()
                poller.register(descriptor, select.POLLIN)
                return bool(poller.poll(None if seconds is None else seconds * 1000))
        while self.alive:
            if deadline is not None and time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True


def identity(pid: int) -> Identity | None:
    """Who has this number now; None if nobody, or a zombie."""
    found = _state_and_began(pid)
    return Identity(pid, found[1]) if found and found[0] not in "ZX" else None


def family(pid: int) -> list[int]:
    """The processes of the session that `pid` leads: itself and what it has started."""
    found = []
    for entry in _PROC.iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError, IndexError, ValueError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[3]) == pid and fields[0] not in "ZX":
                    found.append(int(entry.name))
    return found


def marked(variable: str, value: str) -> list[int]:
    """The processes that began with this variable, also those in sessions of their own since."""
    wanted = f"{variable}={value}".encode()
    found = []
    for entry in _PROC.iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return [pid for pid in found if identity(pid) is not None]


def listening_ports(pids: Iterable[int]) -> set[int]:
    """The TCP ports that these processes listen on."""
    pids = list(pids)
    own = {inode for pid in pids for inode in _sockets(pid)}
    found = set()
    for pid in pids[:1]:  # they share a network
        for name in ("tcp", "tcp6"):
            with contextlib.suppress(OSError):
                for line in (_PROC / str(pid) / "net" / name).read_text().splitlines()[1:]:
                    fields = line.split()
                    if fields[3] == _LISTENS and fields[9] in own:
                        found.add(int(fields[1].rpartition(":")[2], 16))
    return found


def free_port(host: str) -> int:
    """A port that nobody listens on."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as found:
        found.bind((host, 0))
        port: int = found.getsockname()[1]
        return port


def _state_and_began(pid: int) -> tuple[str, int] | tuple[()]:
    """The letter of its state, and when it began; nothing if nobody has this number."""
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return ()
    return fields[0], int(fields[19])


def _sockets(pid: int) -> Iterator[str]:
    with contextlib.suppress(OSError):
        for entry in (_PROC / str(pid) / "fd").iterdir():
            with contextlib.suppress(OSError):
                target = os.readlink(entry)
                if target.startswith("socket:["):
                    yield target[8:-1]


@contextlib.contextmanager
def _pidfd(pid: int) -> Iterator[int | None]:
    """A descriptor that becomes readable when the process ends; None on systems without."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        raise
    except OSError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)
