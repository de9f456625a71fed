"""What the threads of a keeper share: the store that serves, the one being built, how both are written."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from recserve.cores import cores
from recserve.errors import DataError, SourceError
from recserve.items.gate import Limits, RefusedError
from recserve.items.status import Alarm, Alarms, Tracker, told, trace_of
from recserve.items.writer import Applied, StoreWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    import pyarrow as pa

    from recserve.config.items import ItemSettings
    from recserve.items.clock import Bell
    from recserve.items.gate import Counts
    from recserve.items.image import Image
    from recserve.items.part_rows import PartRows
    from recserve.items.status import AlarmKind, Doing
    from recserve.items.store import ItemStore, KeyType
    from recserve.items.tables import KeptTable, Layout, Part
    from recserve.source import Source

    MakeStore = Callable[[KeyType, Mapping[str, str]], ItemStore]
    RestoreStore = Callable[[Image, KeyType, Mapping[str, str]], ItemStore]
    #: (what is done, how many, of how many); 0 of all: nobody knows.
    Progress = Callable[[str, int, int], None]

logger = logging.getLogger("recserve.items")


def silent(step: str, done: int, total: int) -> None:
    """A Progress that nobody watches."""


@dataclass(frozen=True, slots=True)
class KeeperOptions:
    """How a store is kept equal to its tables."""

    period_seconds: float = 0.0  # between full refreshes; 0: only the first load
    poll_seconds: float = 1.0
    refresh_mode: Literal["diff", "swap"] = "diff"
    null_overwrites: bool = True
    load_timeout_seconds: float = 3600.0
    limits: Limits = field(default_factory=Limits)
    threads: int = 0  # that finish rows; 0: the cores, at most 8
    close_seconds: float = 10.0  # how long `close` waits at most

    @classmethod
    def from_settings(cls, settings: ItemSettings) -> KeeperOptions:
        """Read the keys of `model_config`."""
        return cls(
            period_seconds=settings.period_minutes * 60.0,
            poll_seconds=settings.poll_interval_ms / 1e3,
            refresh_mode="swap" if settings.refresh_mode == "swap" else "diff",
            null_overwrites=settings.null_overwrites,
            load_timeout_seconds=settings.load_timeout_s,
            limits=Limits(settings.min_rows_percent, settings.max_null_increase_percent),
        )


class Upkeep:
    """The stores of a keeper and all that its threads know of one another.

    `live` serves; `building`, while there is one, takes its place soon. Both get every change, under `lock`,
    the one lock of all who write.
    """

    def __init__(
        self,
        tables: Sequence[KeptTable],
        layout: Layout,
        make_store: MakeStore,
        options: KeeperOptions,
        bell: Bell,
    ) -> None:
        self.tables = tuple(tables)
        self.layout = layout
        self.make_store = make_store
        self.options = options
        self.bell = bell
        self.alarms = Alarms()
        self.trackers = [
            Tracker(part, followed="changes" in table.source.abilities and not table.static)
            for part, table in zip(layout.parts, tables, strict=True)
        ]
        self.threads = options.threads or min(cores(), 8)
        self.pool = ThreadPoolExecutor(self.threads, thread_name_prefix="finish-items")
        self.lock = threading.RLock()
        self.live = self.writer_of(make_store(layout.key, layout.raw))
        self.building: StoreWriter | None = None
        self.snapshots: dict[int, Counts] = {}  # of each table, as of its last full refresh
        self.writes = 0  # grows with every write: whether an image is still what is served

    def writer_of(self, store: ItemStore) -> StoreWriter:
        """A writer that finishes on our threads and waits for our lock."""
        return StoreWriter(store, self.layout, self.lock, self.pool, self.threads)

    def source(self, part: Part) -> Source:
        """Where a table's rows come from."""
        return self.tables[part.number].source

    def apply(self, changes: Mapping[int, PartRows]) -> Applied:
        """Write changes, fresher than any refresh, into what serves and what is being built."""
        with self.lock:
            if self.building is not None:
                self.building.apply(changes)
            applied = self.live.apply(changes)
            self.writes += applied.written
            return applied

    def delete(self, keys: pa.Array, parts: Collection[Part] | None = None) -> int:
        """Delete what tables (None: all) say of these keys."""
        with self.lock:
            if self.building is not None:
                self.building.delete(keys, parts)
            deleted = self.live.delete(keys, parts)
            self.writes += deleted
            return deleted

    def swap(self) -> None:
        """Let the built store serve; requests that have the old one pinned end with it."""
        with self.lock:
            assert self.building is not None
            self.live, self.building = self.building, None
            self.writes += 1

    def failed(self, part: Part, doing: Doing, error: Exception) -> None:
        """Note, log and alarm a failure; the thread that had it goes on."""
        tracker = self.trackers[part.number]
        tracker.last_error = told(error)
        kind = kind_of(error)
        new = self.alarms.raise_(Alarm(part.name, kind, doing, tracker.last_error, self.bell.clock.time()))
        extra = {"table": part.name, "doing": doing}
        if kind == "unexpected":
            logger.error("%s items failed unexpectedly\n%s", doing, trace_of(error), extra=extra)
        elif kind == "refused":
            logger.error("%s", tracker.last_error, extra=extra)
        elif new:
            logger.warning(
                "%s item table '%s' failed; the rows that are there are served: %s",
                doing,
                part.name,
                tracker.last_error,
                extra=extra,
            )

    def worked(self, part: Part, doing: Doing) -> None:
        """Turn off the alarms of what has worked now."""
        if self.alarms.clear(part.name, doing):
            logger.info("%s item table '%s' works again", doing, part.name, extra={"table": part.name})
            self.bell.ring()


def kind_of(error: Exception) -> AlarmKind:
    """Which alarm an error is."""
    if isinstance(error, RefusedError):
        return "refused"
    if isinstance(error, SourceError):
        return "source"
    return "data" if isinstance(error, DataError) else "unexpected"
