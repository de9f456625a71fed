"""HAProxy as a process: started with a socket that listens already, adopted, ended.

    <folder>/gateway.json   who it is, where it listens, what it was told: the next control plane adopts it

The control plane holds the listening socket as well, so while HAProxy is started again callers wait and are
not refused.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from recserve.deploy.backends.processes import Identity, identity
from recserve.deploy.gateway.configuration import CERTIFICATE, MAIN, Settings, configuration
from recserve.errors import LoadError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_RECORD = "gateway.json"
_LOG = "gateway.log"


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Address:
    """Where the gateway listens; port 0 is any."""

    host: str
    port: int

    def listen(self) -> socket.socket:
        """A socket that listens there."""
        listener = socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((self.host, self.port))
            listener.listen(1024)
        except OSError as error:
            listener.close()
            raise LoadError(
                f"the gateway cannot listen on {self.host}:{self.port}: {error.strerror}; choose another"
                " --gateway-port"
            ) from error
        return listener


class Process:
    """The HAProxy of a folder."""

    def __init__(
        self, folder: Path, program: Path, address: Address, settings: Settings, tls: Tls | None = None
    ) -> None:
        self._folder = folder
        self._program = program
        self._settings = settings
        self._tls = tls
        self._listener: socket.socket | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._who: Identity | None = None
        self.address = address  # with its real port after `adopt` or `start`

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        if self._child is not None:
            self._child.poll()  # takes a dead child's body away
        return self._who is not None and self._who.alive

    def adopt(self) -> bool:
        """Take over the one that an earlier control plane left, or end it if it is not what is wanted now."""
        try:
            record = json.loads((self._folder / _RECORD).read_text())
            who = Identity(int(record["pid"]), int(record["began"]))
            left = Address(str(record["host"]), int(record["port"]))
            like = record["like"]
        except (OSError, ValueError, KeyError, TypeError):
            return False
        if not who.alive:
            return False
        here = left.host == self.address.host and self.address.port in (0, left.port)
        if not here or like != self._like():
            _end(who, 0.0)
            return False
        self._who, self.address = who, left
        return True

    def start(self) -> None:
        """Begin; LoadError with its own words if it refuses to."""
        if self._listener is None:
            self._listener = self.address.listen()
            self.address = Address(self.address.host, self._listener.getsockname()[1])
        self._write_files(self._listener.fileno())
        command = [str(self._program), "-db", "-C", str(self._folder), "-f", MAIN]
        self._check(command, self._listener.fileno())
        with (self._folder / _LOG).open("wb") as log:
            self._child = subprocess.Popen(
                [*command, "-q"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[self._listener.fileno()],
                start_new_session=True,  # Ctrl-C is for the control plane, which ends it in its order
            )
        self._who = identity(self._child.pid)
        self._record()

    def close(self, *, keep: bool, grace_s: float) -> None:
        """Let requests end for so long, and end it; `keep` leaves it to the next control plane."""
        if self._listener is not None:
            self._listener.close()
        if keep and self._child is not None:
            self._child.returncode = 0  # it is not ours any more: nobody waits for it
        if keep or self._who is None:
            return
        _end(self._who, grace_s)
        if self._child is not None:
            self._child.wait()
        (self._folder / _RECORD).unlink(missing_ok=True)

    def _check(self, command: Sequence[str], listener: int) -> None:
        """A configuration that it refuses ends here, in its words, and not in a log."""
        ran = subprocess.run([*command, "-c"], pass_fds=[listener], capture_output=True, check=False)
        if ran.returncode:
            lines = ran.stderr.decode(errors="replace").splitlines()
            said = [line.partition(" : ")[2] for line in lines if line.startswith("[ALERT]")]
            why = "; ".join(said[:2]) or f"exit code {ran.returncode}"
            raise LoadError(
                f"the gateway does not start: {why} ({self._program}; pip install 'recserve[gateway]' brings"
                " the HAProxy that is tested, --no-gateway does without)"
            )

    def _write_files(self, listener: int) -> None:
        """What it reads when it begins; routes and tokens are never among it."""
        for name, text in configuration(self._settings, listener).items():
            (self._folder / name).write_text(text)
        if self._tls is not None:
            for name, target in (
                (CERTIFICATE, self._tls.certificate),
                (f"{CERTIFICATE}.key", self._tls.key),
            ):
                link = self._folder / name
                link.unlink(missing_ok=True)
                link.symlink_to(target.resolve())

    def _record(self) -> None:
        if self._who is None:  # it ended at once; the watch will see it
            return
        values = {**asdict(self._who), **asdict(self.address), "like": self._like()}
        new = self._folder / f"{_RECORD}.new"
        new.write_text(json.dumps(values))
        new.replace(self._folder / _RECORD)

    def _like(self) -> str:
        """The same for processes that can stand for each other: control planes may differ in their port."""
        settings = Settings(control="", tls=self._settings.tls, slots=self._settings.slots)
        said = [str(self._program), *configuration(settings, 0).values()]
        if self._tls is not None:
            for path in (self._tls.certificate, self._tls.key):
                said.append(path.read_text())
        return hashlib.sha256("\0".join(said).encode()).hexdigest()


def _end(who: Identity, grace_s: float) -> None:
    """No new requests, those under way to their end, then the process whatever it does."""
    with suppress(ProcessLookupError):
        if grace_s and who.alive:
            os.kill(who.pid, signal.SIGUSR1)
            if who.wait(grace_s):
                return
        if who.alive:
            os.kill(who.pid, signal.SIGKILL)
            who.wait(grace_s or 5.0)
