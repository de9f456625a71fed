"""A control plane that goes on without a terminal: begun, found and ended by its folder of state."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from recserve.deploy.backends.processes import identity
from recserve.deploy.client import ControlError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_BEGINS_IN_S = 60.0
_LINES = 5  # of the log of one that does not begin


def begin(folder: Path, options: Sequence[str]) -> tuple[str, Path]:
    """Start `recserve up` with these options; its URL and its log, when it is ready."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    log = folder / "control.log"
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "recserve", "up", *options],
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            start_new_session=True,
        )
    finally:
        os.close(descriptor)
    deadline = time.monotonic() + _BEGINS_IN_S
    while (url := _url_of(folder, process.pid)) is None:
        if process.poll() is not None:
            said = log.read_text(errors="replace").splitlines()[-_LINES:]
            raise ControlError(f"the control plane ended with status {process.returncode}: {' '.join(said)}")
        if time.monotonic() > deadline:
            raise ControlError(f"the control plane is not ready after {_BEGINS_IN_S:g} s; see {log}")
        time.sleep(0.02)
    return url, log


def end(folder: Path, seconds: float) -> None:
    """Ask the control plane of a folder to end, and wait for it."""
    pid = holder(folder)
    found = identity(pid) if pid else None
    if found is None:
        raise ControlError(f"no control plane runs in {folder}")
    os.kill(found.pid, signal.SIGTERM)
    if not found.wait(seconds):
        raise ControlError(f"the control plane, process {pid}, has not ended after {seconds:g} s")


def holder(folder: Path) -> int:
    """The process that has a folder of state open; 0 if nobody has."""
    try:
        descriptor = os.open(folder / "control.lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return int(os.pread(descriptor, 20, 0).decode() or 0)
    else:
        return 0
    finally:
        os.close(descriptor)


def _url_of(folder: Path, pid: int) -> str | None:
    try:
        context = json.loads((folder / "context.json").read_text())
    except (OSError, ValueError):
        return None
    return str(context["url"]) if context.get("pid") == pid else None
