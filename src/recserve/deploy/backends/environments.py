"""Environments of Python, one for each set of requirements: made once, shared by all who ask for the same.

<folder>/<hash>/bin/python     beside what this process has installed; what is asked for comes first
<folder>/<hash>/.complete      it is whole: whoever finds none under the lock makes it anew
<folder>/<hash>.lock           held by who makes it, and by its pip: one that a killed control plane has left
                               behind is waited for, not written over
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import sys
import sysconfig
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from recserve.deploy.backends.commands import LOOK_SECONDS, GivenUpError, run
from recserve.errors import RecserveError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

_COMPLETE = ".complete"
_LAST_LINES = 6


class RequirementsError(RecserveError):
    """What an instance asks pip for cannot be installed."""


class Environments:
    """The environments of one machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def python_for(
        self,
        requirements: Sequence[str],
        file: Path | None,
        log: Callable[[str], None] = lambda line: None,
        *,
        given_up: Callable[[], bool] = lambda: False,
    ) -> str:
        """The interpreter that has these requirements: this process's own if there are none.

        Raises RequirementsError with pip's last lines, the secrets of index URLs left out, and when it is
        `given_up` meanwhile.
        """
        if not requirements and file is None:
            return sys.executable
        try:
            text = "\n".join(requirements) if file is None else file.read_text()
        except OSError as error:
            raise RequirementsError(f"requirements cannot be read: {file}: {error.strerror}") from error
        made = self._folder / _hash(text)
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _locked(made.with_suffix(".lock"), given_up) as lock:
            if not (made / _COMPLETE).exists():
                shutil.rmtree(made, ignore_errors=True)
                log(f"installing {len(text.split())} requirements into a new environment")
                self._make(made, text, partial(_run, log=log, given_up=given_up, lock=lock))
        return str(made / "bin" / "python")

    def _make(self, made: Path, text: str, run: Callable[[Sequence[str]], None]) -> None:
        run([sys.executable, "-m", "venv", str(made)])
        site = next(made.glob("lib/python*/site-packages"))
        own = dict.fromkeys(sysconfig.get_path(kind) for kind in ("purelib", "platlib"))
        (site / "_beside.pth").write_text("".join(f"{path}\n" for path in own))
        wanted = made / "requirements.txt"
        wanted.write_text(text + "\n")
        pip = [str(made / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--no-input"]
        run([*pip, "install", "--quiet", "-r", str(wanted)])
        (made / _COMPLETE).touch()


def _hash(text: str) -> str:
    """Of everything that makes an environment another one."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]
    key = json.dumps([sys.version, sys.executable, lines])
    return hashlib.sha256(key.encode()).hexdigest()[:24]


def _run(
    command: Sequence[str], *, log: Callable[[str], None], given_up: Callable[[], bool], lock: int
) -> None:
    try:
        code, lines = run(command, given_up=given_up, inherits=(lock,))
    except GivenUpError as error:
        raise RequirementsError(f"requirements are not installed: {error}") from None
    for line in lines:
        log(line)
    if code != 0:
        raise RequirementsError("requirements cannot be installed: " + " ".join(lines[-_LAST_LINES:])[-800:])


@contextmanager
def _locked(path: Path, given_up: Callable[[], bool]) -> Iterator[int]:
    """One process, and one thread, at a time; gives the lock, for children that should hold it too."""
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if given_up():
                    raise RequirementsError("requirements are not installed: given up") from None
                time.sleep(LOOK_SECONDS)
        yield file.fileno()
