"""The state of the control plane: in memory for reading, in SQLite for good. One process at a time.

    with store.change() as change:          # one transaction: all of it is kept, or nothing
        change.put(replace(service, instances=3))
        change.tell("Scaled", service.name, "3 instances are wanted")

Records are JSON beside the columns that rows are found by; a field that a later release adds has its default
in rows of an older one.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import threading
import time
from contextlib import contextmanager
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, TypeVar

from recserve.deploy.errors import ConflictError
from recserve.deploy.records import Event, Instance, Phase, Rollout, RolloutState, Service, Version, Wanted
from recserve.errors import LoadError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

T = TypeVar("T")

#: Of a service: events are kept until there are so many newer ones, ended instances likewise.
EVENTS_KEPT, GONE_KEPT = 500, 20

_SCHEMA = """
CREATE TABLE IF NOT EXISTS services (name TEXT PRIMARY KEY, record TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS versions (
    service TEXT NOT NULL, number INTEGER NOT NULL, record TEXT NOT NULL, PRIMARY KEY (service, number)
);
CREATE TABLE IF NOT EXISTS instances (id TEXT PRIMARY KEY, service TEXT NOT NULL, record TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY AUTOINCREMENT, service TEXT NOT NULL, record TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS events_of ON events (service, number);
PRAGMA user_version = 1;
"""


class Store:
    """Services, versions, instances and events. Readers see records; `change` is the only way to write."""

    def __init__(self, folder: Path) -> None:
        """Open, or begin, the state in a folder; ConflictError if another process has it open."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder = folder
        self._held = _hold(folder)
        self._lock = threading.RLock()
        path = folder / "control.db"
        path.touch(mode=0o600)
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        try:
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")
            self._database.executescript(_SCHEMA)
        except sqlite3.DatabaseError as error:
            raise LoadError(
                f"{path} is not a control plane's state: {error}; move it away to begin anew"
            ) from error
        self.services: dict[str, Service] = {}
        self.versions: dict[tuple[str, int], Version] = {}
        self.instances: dict[str, Instance] = {}
        self._load()

    def close(self) -> None:
        """Let another process open it."""
        self._database.close()
        os.close(self._held)

    @contextmanager
    def change(self) -> Iterator[Change]:
        """Change records, all or none; one thread at a time."""
        with self._lock:
            change = Change(self)
            yield change
            self._write(change)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Nobody changes records in here; for those who look at several."""
        with self._lock:
            yield

    def instances_of(self, service: str) -> list[Instance]:
        """Those that are not gone, the oldest first."""
        with self._lock:
            found = [
                one
                for one in self.instances.values()
                if one.service == service and one.phase is not Phase.GONE
            ]
        return sorted(found, key=lambda one: one.created_at)

    def history_of(self, service: str) -> list[Instance]:
        """All that are remembered, the oldest first."""
        with self._lock:
            return sorted(
                (one for one in self.instances.values() if one.service == service),
                key=lambda one: one.created_at,
            )

    def events(self, service: str = "", *, most: int = 100) -> list[Event]:
        """The last ones, the newest first; of all services without a name."""
        where, values = ("WHERE service = ?", (service, most)) if service else ("", (most,))
        with self._lock:
            rows = self._database.execute(
                f"SELECT record FROM events {where} ORDER BY number DESC LIMIT ?", values
            ).fetchall()
        return [_record(Event, json.loads(row[0])) for row in rows]

    def _load(self) -> None:
        for (text,) in self._database.execute("SELECT record FROM services"):
            service = _service(json.loads(text))
            self.services[service.name] = service
        for (text,) in self._database.execute("SELECT record FROM versions"):
            version = _record(Version, json.loads(text))
            self.versions[version.service, version.number] = version
        for (text,) in self._database.execute("SELECT record FROM instances"):
            values = json.loads(text)
            instance = _record(Instance, {**values, "phase": Phase(values["phase"])})
            self.instances[instance.id] = instance

    def _write(self, change: Change) -> None:
        if not (change.services or change.versions or change.instances or change.events or change.forgotten):
            return
        dropped = self._too_old(change)
        self._database.execute("BEGIN IMMEDIATE")
        try:
            self._write_rows(change, dropped)
            self._database.execute("COMMIT")
        except BaseException:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise
        for name in change.forgotten:
            del self.services[name]
            self.versions = {key: one for key, one in self.versions.items() if key[0] != name}
            self.instances = {key: one for key, one in self.instances.items() if one.service != name}
        self.services |= change.services
        self.versions |= change.versions
        self.instances |= change.instances
        for gone in dropped:
            self.instances.pop(gone, None)

    def _write_rows(self, change: Change, dropped: Sequence[str]) -> None:
        run = self._database.execute
        for name in change.forgotten:
            for table, key in (("services", "name"), ("versions", "service"), ("instances", "service")):
                run(f"DELETE FROM {table} WHERE {key} = ?", (name,))
        for service in change.services.values():
            run("INSERT OR REPLACE INTO services VALUES (?, ?)", (service.name, _text(service)))
        for version in change.versions.values():
            run("INSERT INTO versions VALUES (?, ?, ?)", (version.service, version.number, _text(version)))
        for one in change.instances.values():
            run("INSERT OR REPLACE INTO instances VALUES (?, ?, ?)", (one.id, one.service, _text(one)))
        for event in change.events:
            run("INSERT INTO events (service, record) VALUES (?, ?)", (event.service, _text(event)))
        for name in {event.service for event in change.events}:
            run(
                "DELETE FROM events WHERE service = ? AND number <= (SELECT number FROM events"
                " WHERE service = ? ORDER BY number DESC LIMIT 1 OFFSET ?)",
                (name, name, EVENTS_KEPT),
            )
        for gone in dropped:
            run("DELETE FROM instances WHERE id = ?", (gone,))

    def _too_old(self, change: Change) -> list[str]:
        """Ended instances beyond those that are kept, of the services of which one has just ended."""
        dropped: list[str] = []
        for name in {one.service for one in change.instances.values() if one.phase is Phase.GONE}:
            known = {key: one for key, one in self.instances.items() if one.service == name}
            known |= {key: one for key, one in change.instances.items() if one.service == name}
            gone = sorted(
                (one for one in known.values() if one.phase is Phase.GONE), key=lambda one: one.since
            )
            dropped += [one.id for one in gone[:-GONE_KEPT]]
        return dropped


class Change:
    """What one transaction writes; it reads what it has put itself."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.services: dict[str, Service] = {}
        self.versions: dict[tuple[str, int], Version] = {}
        self.instances: dict[str, Instance] = {}
        self.events: list[Event] = []
        self.forgotten: set[str] = set()

    def service(self, name: str) -> Service | None:
        """A service as it is in here."""
        return self.services.get(name) or self._store.services.get(name)

    def put(self, record: Service | Version | Instance) -> None:
        """Add a record, or write over the one of its key; a version is never written over."""
        if isinstance(record, Service):
            self.services[record.name] = record
        elif isinstance(record, Version):
            self.versions[record.service, record.number] = record
        else:
            self.instances[record.id] = record

    def forget(self, service: str) -> None:
        """Drop a service with its versions and instances; its events stay."""
        self.forgotten.add(service)

    def tell(
        self, reason: str, service: str, message: str, *, instance: str = "", warning: bool = False
    ) -> None:
        """Add an event."""
        kind = "Warning" if warning else "Normal"
        self.events.append(Event(service, time.time(), kind, reason, message, instance))


def _hold(folder: Path) -> int:
    """A lock for the life of the process, which the system lets go of however that ends."""
    path = folder / "control.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.pread(descriptor, 20, 0).decode(errors="replace").strip()
        os.close(descriptor)
        raise ConflictError(
            f"{folder} is in use by another control plane{f', process {holder}' if holder else ''}; stop it,"
            " or give this one a folder of its own (--state)"
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor


def _text(record: Service | Version | Instance | Event) -> str:
    return json.dumps(asdict(record))


def _record(kind: type[T], values: Mapping[str, Any]) -> T:
    """A record of a row, also of one that a later release wrote."""
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    return kind(**{key: value for key, value in values.items() if key in known})


def _service(values: Mapping[str, Any]) -> Service:
    rollout = _record(Rollout, {**values["rollout"], "state": RolloutState(values["rollout"]["state"])})
    return _record(Service, {**values, "rollout": rollout, "wanted": Wanted(values["wanted"])})
