"""Brings what is new in the offline store to the online store.

    offline table ──newest row of each key, by event time──▶ online table
    behaviours ──by user, in time──▶ Recent ──▶ one row per user

How far it came is kept in a file beside the registry, so the next run goes on from there, also after a
crash; writing a row again is harmless. Ours: rows that come late, with an event time before the last sync,
are found by a full one. Rows that vanish offline stay online.
"""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from recserve.errors import ConfigError
from recserve.feature_store.database import Database
from recserve.feature_store.history import Progress, history, silent
from recserve.feature_store.sequences import Behaviour, behaviour_fields
from recserve.feature_store.times import microseconds
from recserve.feature_store.types import TYPES
from recserve.feature_store.writing import USERS, writable, write_behaviours
from recserve.source import point_reads

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from recserve.feature_store.places import Tables
    from recserve.feature_store.records import View
    from recserve.source import Sink, Source

_WRITTEN_ROWS = 50_000


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What a sync did."""

    view: str
    rows: int  # written
    kept: int  # not written, as the online row is newer
    until: float | None  # the event time up to which the view is in sync, in seconds since 1970


class SyncState:
    """How far each view came: a small file, replaced as a whole."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def of(self, view: str) -> dict[str, Any]:
        """What is known of a view; nothing when it never was synced."""
        found = self._all().get(view)
        if not isinstance(found, dict):
            return {}
        numbers = [found[name] for name in ("time", "until") if name in found]  # they become part of SQL
        return found if all(type(number) is int for number in numbers) else {}

    def put(self, view: str, place: Mapping[str, Any]) -> None:
        """Remember how far a view is."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_name(f".{self.path.name}.partial")
        partial.write_text(json.dumps({**self._all(), view: dict(place)}, indent=1) + "\n", encoding="utf-8")
        partial.replace(self.path)

    def _all(self) -> dict[str, Any]:
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"{self.path} cannot be read ({type(error).__name__}); remove it, then all is synced again"
            ) from error
        return found if isinstance(found, dict) else {}


def state_of(tables: Tables) -> SyncState:
    """The file beside the registry."""
    return SyncState(tables.registry.path.parent / ".feature_store" / "sync.json")


def sync(
    tables: Tables,
    view: View,
    *,
    full: bool = False,
    memory_mb: int = 1024,
    progress: Progress = silent,
) -> SyncReport:
    """Write what is new of a view to the online store.

    Raises ConfigError for a view that is not online, or whose store cannot be written.
    """
    with (
        Database(memory_mb=memory_mb) as database,
        closing(tables.offline(view)) as source,
        closing(tables.online(view)) as online,
    ):
        run = _Sync(view, source, writable(view, online), state=state_of(tables), database=database)
        run.progress = progress
        if full:
            run.begin_anew()
        return run.sequences() if view.kind == "sequence" else run.rows()


class _Sync:
    progress: Progress = staticmethod(silent)

    def __init__(
        self, view: View, source: Source, target: Sink, *, state: SyncState, database: Database
    ) -> None:
        self.view = view
        self.source = source
        self.target = target
        self.state = state
        self.database = database
        self.tables = {"offline": self.source.origin, "online": f"{target.origin} {target.name}"}
        found = self.state.of(view.name)
        self.place = found if found.items() >= self.tables.items() else {}  # other tables: from the start

    def begin_anew(self) -> None:
        self.place = {}

    @property
    def since(self) -> int | None:
        return self.place.get("time")

    def remember(self, **place: Any) -> None:
        self.place = {**self.tables, **place}
        self.state.put(self.view.name, self.place)

    def report(self, rows: int, kept: int = 0) -> SyncReport:
        return SyncReport(self.view.name, rows, kept, None if self.since is None else self.since / 1e6)

    # --- rows ---------------------------------------------------------------------------------------------

    def rows(self) -> SyncReport:
        """The newest row of each key, in the order of event times: so far as it came, all is there."""
        view = self.view
        fields = [name for name in view.fields if name != view.key]
        rows = history(self.source, view, fields, as_stored=True, progress=self.progress)
        schema = pa.schema(
            [(view.key, TYPES[view.fields[view.key]]), *((f, TYPES[view.fields[f]]) for f in fields)]
        )
        columns = ", ".join(["k", *(f"f{n}" for n in range(len(fields)))])
        order = "t, r" if view.event_time else "r"
        since = f"WHERE t >= {self.since}" if view.event_time and self.since is not None else ""
        counted = _Newest(rows.batches, self.since)
        self.database.read(
            f"CREATE TABLE h AS SELECT * FROM rows {since} "
            f"QUALIFY row_number() OVER (PARTITION BY k ORDER BY {_down(order)}) = 1",
            rows.schema,
            counted,
        )
        if self.since is not None and counted.at_since == self.place.get("rows_at"):
            self.database.run(f"DELETE FROM h WHERE t = {self.since}")  # no row of that moment is new
        total = self.database.number("SELECT count(*) FROM h")
        moment = "t" if view.event_time else "NULL::BIGINT AS t"
        ordered = self.database.stream(f"SELECT {columns}, {moment} FROM h ORDER BY {order}")
        step, done, kept = f"writing {view.name}", 0, 0
        self.progress(step, 0, total)
        for table in _gathered(ordered, _WRITTEN_ROWS):
            moments = table.column("t").combine_chunks()
            values = [table.column(n).cast(kind) for n, kind in enumerate(schema.types)]
            written = self._newer(pa.table(values, schema=schema), moments)
            self.target.write(written)
            done += table.num_rows
            kept += table.num_rows - written.num_rows
            if view.event_time:
                self.remember(time=moments[-1].as_py())
            self.progress(step, done, total)
        if counted.newest is not None:
            self.remember(time=counted.newest, rows_at=counted.at_newest)
        return self.report(done - kept, kept)

    def _newer(self, rows: pa.Table, moments: pa.Array) -> pa.Table:
        """Without rows for which a stream has brought something newer."""
        reads = point_reads(self.target)
        if self.view.kind != "stream" or not self.view.event_time or reads is None:
            return rows
        name = self.view.event_time
        present = reads.get(rows.column(self.view.key).combine_chunks(), {name}).column(name)
        there = microseconds(present, self.view.unit, f"view '{self.view.name}': field '{name}'", up=True)
        return rows.filter(pc.fill_null(pc.greater_equal(moments, there), True))

    # --- sequences ----------------------------------------------------------------------------------------

    def sequences(self) -> SyncReport:
        """One row per user, in the order of users: a run that broke off goes on behind the last one."""
        view = self.view
        names = behaviour_fields(view)
        rows = history(self.source, view, names, progress=self.progress)
        reads = point_reads(self.target)
        if self.since is not None and reads is None:
            self.begin_anew()  # rows cannot be merged
        since, after = self.since, self.place.get("after")
        wanted = ["t >= ?"] * (since is not None) + ["k > ?"] * (after is not None)
        fields = ", ".join(f"f{n}" for n in range(len(names)))
        counted = _Newest(rows.batches, since)
        self.database.read(
            f"CREATE TABLE b AS SELECT k, t, {fields} FROM rows "
            f"{'WHERE ' if wanted else ''}{' AND '.join(wanted)}",
            rows.schema,
            counted,
            [value for value in (since, after) if value is not None],
        )
        if since is not None and counted.at_since == self.place.get("rows_at"):
            self.database.run(f"DELETE FROM b WHERE t = {since}")  # no row of that moment is new
        until = self.place.get("until")
        if until is None:
            until = counted.newest
        total = self.database.number("SELECT count(DISTINCT k) FROM b")
        order = ", ".join(f"f{n} NULLS FIRST" for n in range(len(names)))
        ordered = self.database.stream(f"SELECT k, t, {fields} FROM b ORDER BY k, t, {order}")
        step, done = f"writing {view.name}", 0
        self.progress(step, 0, total)
        for users in _chunks(_by_user(ordered), USERS):
            write_behaviours(view, users, self.target, reads if since is not None else None)
            done += len(users)
            self.remember(**_present(time=since, until=until, after=users[-1][0]))
            self.progress(step, done, total)
        if counted.newest is not None:
            exact = {"rows_at": counted.at_newest} if until == counted.newest else {}
            self.remember(time=until, **exact)
        return self.report(done)


class _Newest:
    """Counts, while batches pass by, the rows of two moments: that of the last sync, and the newest."""

    def __init__(self, batches: Iterator[pa.RecordBatch], since: int | None) -> None:
        self.newest: int | None = None
        self.at_newest = 0
        self.at_since = 0
        self._batches = batches
        self._since = since

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for batch in self._batches:
            if "t" in batch.schema.names and batch.num_rows:
                self._count(batch.column("t"))
            yield batch

    def _count(self, moments: pa.Array) -> None:
        newest = pc.max(moments).as_py()
        if self.newest is None or newest > self.newest:
            self.newest, self.at_newest = newest, 0
        self.at_newest += pc.sum(pc.equal(moments, self.newest)).as_py()
        if self._since is not None:
            self.at_since += pc.sum(pc.equal(moments, self._since)).as_py()


def _present(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def shown_time(seconds: float | None) -> str:
    """A moment for people."""
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _down(order: str) -> str:
    return ", ".join(f"{name} DESC" for name in order.split(", "))


def _gathered(batches: Iterator[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """Tables of about so many rows."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(b.num_rows for b in held) >= rows:
            yield pa.Table.from_batches(held)
            held = []
    if held and sum(b.num_rows for b in held):
        yield pa.Table.from_batches(held)


def _by_user(ordered: Iterator[pa.RecordBatch]) -> Iterator[tuple[Any, list[Behaviour]]]:
    user: Any = None
    behaviours: list[Behaviour] = []
    for batch in ordered:
        for key, moment, *values in zip(*(c.to_pylist() for c in batch.columns), strict=True):
            if key != user and behaviours:
                yield user, behaviours
                behaviours = []
            user = key
            behaviours.append((moment, tuple(values)))
    if behaviours:
        yield user, behaviours


def _chunks(
    users: Iterator[tuple[Any, list[Behaviour]]], size: int
) -> Iterator[list[tuple[Any, list[Behaviour]]]]:
    held = []
    for user in users:
        held.append(user)
        if len(held) == size:
            yield held
            held = []
    if held:
        yield held
