"""Environments of Python, one for each set of requirements: made once, shared by all who ask for the same.

<folder>/<hash>/bin/python     beside what this process has installed; what is asked for comes first
<folder>/<hash>/.complete      it is whole: whoever finds none under the lock makes it anew
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
import shutil
import subprocess
import sys
import sysconfig
from contextlib import contextmanager
from typing import TYPE_CHECKING

from recserve.errors import RecserveError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

#: pip is given up after so long.
INSTALL_SECONDS = 1800.0
_COMPLETE = ".complete"
_LAST_LINES = 6


class RequirementsError(RecserveError):
    """What an instance asks pip for cannot be installed."""


class Environments:
    """The environments of one machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def python_for(
        self, requirements: Sequence[str], file: Path | None, log: Callable[[str], None] = lambda line: None
    ) -> str:
        """The interpreter that has these requirements: this process's own if there are none.

        Raises RequirementsError with pip's last lines, the secrets of index URLs left out.
        """
        if not requirements and file is None:
            return sys.executable
        try:
            text = "\n".join(requirements) if file is None else file.read_text()
        except OSError as error:
            raise RequirementsError(f"requirements cannot be read: {file}: {error.strerror}") from error
        made = self._folder / _hash(text)
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _locked(made.with_suffix(".lock")):
            if not (made / _COMPLETE).exists():
                shutil.rmtree(made, ignore_errors=True)
                log(f"installing {len(text.split())} requirements into a new environment")
                self._make(made, text, log)
        return str(made / "bin" / "python")

    def _make(self, made: Path, text: str, log: Callable[[str], None]) -> None:
        _run([sys.executable, "-m", "venv", str(made)], log)
        site = next(made.glob("lib/python*/site-packages"))
        own = dict.fromkeys(sysconfig.get_path(kind) for kind in ("purelib", "platlib"))
        (site / "_beside.pth").write_text("".join(f"{path}\n" for path in own))
        wanted = made / "requirements.txt"
        wanted.write_text(text + "\n")
        pip = [str(made / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--no-input"]
        _run([*pip, "install", "--quiet", "-r", str(wanted)], log)
        (made / _COMPLETE).touch()


def _hash(text: str) -> str:
    """Of everything that makes an environment another one."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]
    key = json.dumps([sys.version, sys.executable, lines])
    return hashlib.sha256(key.encode()).hexdigest()[:24]


def _run(command: Sequence[str], log: Callable[[str], None]) -> None:
    try:
        ended = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            timeout=INSTALL_SECONDS,
            check=False,
            text=True,
            errors="replace",
        )
    except subprocess.TimeoutExpired:
        raise RequirementsError(f"pip has not ended after {INSTALL_SECONDS:g} s") from None
    lines = [_without_secrets(line) for line in ended.stdout.splitlines() if line.strip()]
    for line in lines:
        log(line)
    if ended.returncode != 0:
        raise RequirementsError("requirements cannot be installed: " + " ".join(lines[-_LAST_LINES:])[-800:])


def _without_secrets(line: str) -> str:
    return re.sub(r"//[^/@\s]+@", "//…@", line)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process, and one thread, at a time."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
