"""HAProxy's runtime API: what it knows now, and commands that change it, over a socket in its folder.

Source: HAProxy's Management Guide 2.8, chapter 9.3, "Unix Socket commands".
"""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from recserve.deploy.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

SOCKET = "admin.sock"
#: The map of names; in HAProxy's configuration by the same word.
ROUTES = "routes.map"

_PATIENCE_S = 5.0
_MAINTENANCE = 0x01  # of srv_admin_state: it was told to rest


@dataclass(frozen=True, slots=True)
class Known:
    """A server in a slot."""

    address: str
    weight: int
    resting: bool  # it gets no requests, and can be deleted when those it has are answered


@dataclass(frozen=True, slots=True)
class Observed:
    """What HAProxy knows."""

    names: Mapping[str, str] = field(default_factory=dict, repr=False)  # values hold tokens
    slots: Mapping[str, Mapping[str, Known]] = field(default_factory=dict)  # of backends, even empty ones
    #: Where the backend of the control plane is.
    control: str = ""


class Runtime:
    """Asks the HAProxy of a folder; BackendError if it does not answer."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def tell(self, command: str) -> str:
        """One command; what it answers."""
        try:
            with _connected(self._folder) as connection:
                connection.sendall(command.encode() + b"\n")
                answer = b"".join(iter(lambda: connection.recv(65_536), b""))
        except OSError as error:
            raise BackendError(f"the gateway does not answer: {error}") from error
        return answer.decode(errors="replace").strip()

    def observe(self, slots: frozenset[str], control: str) -> Observed:
        """What it knows of these slots, and of the backend `control`."""
        names = {}
        for line in self.tell(f"show map {ROUTES}").splitlines():
            fields = line.split(" ", 2)  # an address in memory, the key, the value
            if len(fields) == 3:
                names[fields[1]] = fields[2]
        found: dict[str, dict[str, Known]] = {slot: {} for slot in slots}
        where = ""
        columns: list[str] = []
        for line in self.tell("show servers state").splitlines():
            if line.startswith("# "):
                columns = line[2:].split()
                continue
            values = dict(zip(columns, line.split(), strict=False))
            if "srv_name" not in values:
                continue
            host, port = values["srv_addr"], values["srv_port"]
            address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            if values["be_name"] == control:
                where = address
            elif values["be_name"] in found:
                resting = bool(int(values["srv_admin_state"]) & _MAINTENANCE)
                known = Known(address, int(values["srv_uweight"]), resting)
                found[values["be_name"]][values["srv_name"]] = known
        return Observed(names, found, where)


@contextmanager
def _connected(folder: Path) -> Iterator[socket.socket]:
    """By way of /proc: the path of a socket may have 107 letters, that of a folder any number."""
    held = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_PATIENCE_S)
            connection.connect(f"/proc/self/fd/{held}/{SOCKET}")
            yield connection
    finally:
        os.close(held)
