"""What operators see of the item store, for JSON and metrics: how fresh tables are, and what went wrong."""

from __future__ import annotations

import re
import threading
import traceback
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from recserve.errors import RecserveError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from recserve.items.store import StoreFigures
    from recserve.items.tables import Part
    from recserve.source import Cursor

    Labels = tuple[tuple[str, str], ...]
    Gauges = dict[str, tuple[str, float | Mapping[Labels, float]]]

TableState = Literal["waiting", "loading", "loaded", "following", "retrying", "closed"]
Doing = Literal["refreshing", "following", "saving"]
AlarmKind = Literal["refused", "source", "data", "unexpected", "image"]
ALARM_KINDS: tuple[AlarmKind, ...] = ("refused", "source", "data", "unexpected", "image")
Outcome = Literal["refreshed", "refused", "failed"]


@dataclass(frozen=True, slots=True)
class TableReport:
    """What one full refresh did to one table."""

    table: str
    outcome: Outcome
    rows: int = 0  # read
    unchanged: int = 0
    written: int = 0
    deleted: int = 0
    repeated: int = 0  # rows that another one of their key replaced
    protected: int = 0  # rows that were older than what had been followed meanwhile
    seconds: float = 0.0
    error: str = ""
    finished_at: float = 0.0  # seconds since 1970


@dataclass(frozen=True, slots=True)
class RefreshReport:
    """What a full refresh did, table by table."""

    tables: tuple[TableReport, ...]

    @property
    def complete(self) -> bool:
        """Whether every table was refreshed."""
        return all(table.outcome == "refreshed" for table in self.tables)


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that an operator has to look at; gone when the same thing has worked."""

    table: str  # "" when it is about the store
    kind: AlarmKind
    during: Doing
    message: str
    since: float  # seconds since 1970


@dataclass(frozen=True, slots=True)
class TableStatus:
    """One table of the store."""

    name: str
    state: TableState
    rows: int
    static: bool
    followed: bool  # changes are asked for between full refreshes
    cursor: Cursor | None
    watermark: float | None  # when the newest change was made, in seconds since 1970
    lag_seconds: float | None  # since all changes were known here; null when the table is not followed
    changes: int  # rows that following wrote
    unchanged: int  # rows that following read again
    deleted: int  # rows that following deleted
    retries: int
    last_error: str
    last_refresh: TableReport | None
    refreshed_at: float  # when a full refresh last passed, in seconds since 1970, also before this start
    next_refresh_in_seconds: float | None


@dataclass(frozen=True, slots=True)
class ImageStatus:
    """The file that keeps the store."""

    path: str
    loaded: bool  # the start was from it
    saved_at: float | None  # seconds since 1970
    bytes: int


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """The item store: the JSON of `GET /items/status`."""

    state: Literal["loading", "ready", "closed"]
    rows: int
    bytes: int
    refresh_mode: str
    refinishing: bool
    watermark: float | None  # the oldest of the tables that are followed
    tables: tuple[TableStatus, ...]
    alarms: tuple[Alarm, ...]
    image: ImageStatus | None
    figures: StoreFigures


@dataclass(slots=True)
class Tracker:
    """One table's counts and troubles, written by the threads that keep it."""

    part: Part
    followed: bool
    state: TableState = "waiting"
    cursor: Cursor | None = None
    watermark: float | None = None
    caught_up: float | None = None  # by the clock's `now`
    changes: int = 0
    unchanged: int = 0
    deleted: int = 0
    retries: int = 0
    last_error: str = ""
    last_refresh: TableReport | None = None
    refreshed_at: float = 0.0  # when a full refresh last passed, in seconds since 1970; 0: never
    outcomes: dict[Outcome, int] = field(default_factory=lambda: {"refreshed": 0, "refused": 0, "failed": 0})

    # A refresh and following agree by these on what is older than the moment of the refresh:
    applying: threading.Lock = field(default_factory=threading.Lock)  # held while changes are applied
    opening: bool = False  # the moment is being opened: what is asked now may be older
    opened: int = 0  # moments so far

    def finished(self, report: TableReport) -> None:
        """Keep the report of a full refresh."""
        self.last_refresh = report
        self.outcomes[report.outcome] += 1
        if report.outcome == "refreshed":
            self.refreshed_at = report.finished_at

    def status(self, rows: int, now: float, due_in: float | None) -> TableStatus:
        """As operators see it; `now` by the keeper's clock."""
        return TableStatus(
            name=self.part.name,
            state=self.state,
            rows=rows,
            static=self.part.static,
            followed=self.followed,
            cursor=self.cursor,
            watermark=self.watermark,
            lag_seconds=None if self.caught_up is None else max(0.0, now - self.caught_up),
            changes=self.changes,
            unchanged=self.unchanged,
            deleted=self.deleted,
            retries=self.retries,
            last_error=self.last_error,
            last_refresh=self.last_refresh,
            refreshed_at=self.refreshed_at,
            next_refresh_in_seconds=due_in,
        )


class Alarms:
    """The alarms that are on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._on: dict[tuple[str, AlarmKind, Doing], Alarm] = {}

    def raise_(self, alarm: Alarm) -> bool:
        """Turn an alarm on; False when it was on with the same message."""
        with self._lock:
            old = self._on.get((alarm.table, alarm.kind, alarm.during))
            if old is not None and old.message == alarm.message:
                return False
            self._on[alarm.table, alarm.kind, alarm.during] = alarm
            return True

    def clear(self, table: str, during: Doing) -> bool:
        """Turn alarms of a table off: this has worked. Tells whether one was on."""
        with self._lock:
            worked = [key for key in self._on if key[0] == table and key[2] == during]
            for key in worked:
                del self._on[key]
            return bool(worked)

    def all(self) -> tuple[Alarm, ...]:
        """Those that are on, the oldest first."""
        with self._lock:
            return tuple(sorted(self._on.values(), key=lambda alarm: alarm.since))


def gauges_of(status: StoreStatus, trackers: Sequence[Tracker]) -> Gauges:
    """The status as metrics: name → (sentence, value by labels)."""
    if not status.tables:
        return {}
    tables = {table.name: table for table in status.tables}
    on = {(alarm.table, alarm.kind) for alarm in status.alarms}
    alarms: dict[Labels, float] = {
        (("table", table), ("kind", kind)): float((table, kind) in on)
        for table in ("", *tables)
        for kind in ALARM_KINDS
        if (kind == "image") == (table == "")
    }
    outcomes: dict[Labels, float] = {
        (("table", tracker.part.name), ("outcome", outcome)): float(count)
        for tracker in trackers
        for outcome, count in tracker.outcomes.items()
    }
    gauges: Gauges = {
        "recserve_item_alarm": ("1: an operator has to look; GET /items/status says why.", alarms),
        "recserve_item_refreshes_total": ("Full refreshes of item tables.", outcomes),
    }
    for name, sentence, values in (
        ("table_rows", "Items that a table has.", {n: t.rows for n, t in tables.items()}),
        (
            "watermark_seconds",
            "When the newest change that is applied was made, in seconds since 1970.",
            {n: t.watermark for n, t in tables.items()},
        ),
        (
            "lag_seconds",
            "Seconds since all changes of a followed table were known here.",
            {n: t.lag_seconds for n, t in tables.items()},
        ),
        (
            "refreshed_at_seconds",
            "When a full refresh last passed, in seconds since 1970.",
            {n: t.refreshed_at or None for n, t in tables.items()},
        ),
        ("changes_total", "Rows that following wrote.", {n: t.changes for n, t in tables.items()}),
        ("changes_deleted_total", "Rows that following deleted.", {n: t.deleted for n, t in tables.items()}),
        ("changes_unchanged_total", "Rows read again.", {n: t.unchanged for n, t in tables.items()}),
        ("retries_total", "Failures after which was asked again.", {n: t.retries for n, t in tables.items()}),
    ):
        known: dict[Labels, float] = {
            (("table", table),): float(value) for table, value in values.items() if value is not None
        }
        if known:
            gauges[f"recserve_item_{name}"] = (sentence, known)
    return gauges


def told(error: BaseException) -> str:
    """An error in one line, without secrets. What is not ours is named by its type: drivers quote URLs."""
    if isinstance(error, RecserveError):
        return without_secrets(str(error))
    return f"{type(error).__name__}; the log has its trace"


def trace_of(error: BaseException) -> str:
    """The trace of an error for the log, without secrets."""
    return without_secrets("".join(traceback.format_exception(error)))


def without_secrets(text: str) -> str:
    """The text with the passwords of URLs, and of connection words, starred out."""
    text = re.sub(r"(://[^:/@\s]*:)\S+@", r"\1***@", text)
    return re.sub(r"(?i)\b(password|passwd|secret|token)(\s*[=:]\s*)[^\s&,;'\")]+", r"\1\2***", text)
