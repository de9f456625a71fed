"""Keeps an item store equal to its tables while requests read it.

    tables ──load──▶ store ◀──changes── following, a thread per table         pin ──▶ Rows
      │                ▲  ▲                                                    (requests)
      │                │  └── upsert, delete ── POST /items
      └──full refresh──┘      by period, a thread per origin; gated
           diff: into the store that serves      swap: into a second one, which then serves

A source that is lost or hangs stops its own tables alone: the rows that are there are served, it is asked
again with growing pauses, and `status` says so. Ours: while a moment of an origin is being opened, changes
of its tables wait.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from recserve.columns import column_from_arrow, to_arrow
from recserve.errors import LoadError, SourceError, UnavailableError
from recserve.items import admin
from recserve.items.clock import Backoff, Bell, ClosedError, SystemClock
from recserve.items.compare import Difference, differences
from recserve.items.following import Follower
from recserve.items.full_refresh import FullRefresh
from recserve.items.refreshing import OriginRefresher
from recserve.items.status import (
    RefreshReport,
    StoreStatus,
    TableReport,
    TableStatus,
    gauges_of,
    told,
    trace_of,
)
from recserve.items.swap import refinish
from recserve.items.tables import lay_out
from recserve.items.upkeep import KeeperOptions, Upkeep, silent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa

    from recserve.items.clock import Clock
    from recserve.items.status import Gauges, Tracker
    from recserve.items.store import ItemStore, Rows, StoreFigures
    from recserve.items.tables import KeptTable, Layout, Part
    from recserve.items.upkeep import MakeStore, Progress, RestoreStore
    from recserve.items.writer import Applied

T = TypeVar("T")
logger = logging.getLogger("recserve.items")


class Keeper:
    """A store and the tables that it is kept equal to; owns the sources of the tables, and closes them.

    `make_store(key, raw)` makes an empty store with these raw columns (those whose names hold '#' are ours,
    and must be kept). Nothing is read before `load`, and nothing followed before `start`.
    """

    def __init__(
        self,
        tables: Sequence[KeptTable],
        make_store: MakeStore,
        options: KeeperOptions | None = None,
        *,
        image_path: Path | None = None,
        fingerprint: str = "",
        restore_store: RestoreStore | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._tables = tuple(tables)
        self._make_store = make_store
        self._options = options or KeeperOptions()
        self._image_path = image_path
        self._fingerprint = fingerprint
        self._restore_store = restore_store
        self._bell = Bell(clock or SystemClock())
        self._upkeep: Upkeep | None = None
        self._loaded = False
        self._refinishing = False
        self._refreshers: list[OriginRefresher] = []
        self._followers: list[Follower] = []
        self._threads: list[threading.Thread] = []

    # --- reading ------------------------------------------------------------------------------------------

    @property
    def store(self) -> ItemStore:
        """The store that serves now; another one after a swap."""
        return self._up.live.store

    @property
    def layout(self) -> Layout:
        """Keys and columns, as the tables have them."""
        return self._up.layout

    def pin(self) -> Rows:
        """Hold the items as they are now, for one request: `with keeper.pin() as rows`."""
        return self._up.live.store.pin()

    def figures(self) -> StoreFigures:
        """Count rows, bytes and look-ups."""
        return self._up.live.store.figures()

    @property
    def _up(self) -> Upkeep:
        if self._upkeep is None:
            raise UnavailableError("the items are not loaded yet")
        return self._upkeep

    # --- life ---------------------------------------------------------------------------------------------

    def load(self, progress: Progress = silent) -> None:
        """Read every table. Returns when all rows are there.

        A source that cannot be reached is asked again until `load_timeout` is over. Raises SourceError then,
        and DataError or ConfigError at once.
        """
        ended: list[BaseException | None] = []
        thread = self._thread("load-items", lambda: self._try_to_load(progress, ended))
        try:
            in_time = self._bell.wait(lambda: bool(ended), self._options.load_timeout_seconds)
        except ClosedError:
            raise LoadError("the item store was closed while it was loaded") from None
        if not in_time:
            errors = "; ".join(t.last_error for t in self._trackers() if t.last_error)
            self.close()
            raise SourceError(
                f"loading the items takes longer than load_timeout ({self._options.load_timeout_seconds:g} s)"
                + (f": {errors}" if errors else "; raise it, or look at the sources")
            )
        thread.join()
        if ended[0] is not None:
            raise ended[0]

    def start(self) -> None:
        """Follow the tables from where `load` ended, and refresh them by period."""
        for refresher in self._refreshers:
            self._thread(f"refresh-items-{refresher.parts[0].number}", refresher.run)
        for follower in self._followers:
            self._thread(f"follow-items-{follower.part.number}", follower.run)

    def close(self) -> None:
        """End all threads and let go of the sources, within `close_seconds`; rows can be read afterwards."""
        if self._bell.closed:
            return
        self._bell.close()
        until = self._bell.clock.now() + self._options.close_seconds
        closer = threading.Thread(target=self._close_sources, name="close-items", daemon=True)
        closer.start()
        for thread in (*self._threads, closer):
            if thread is not threading.current_thread():
                thread.join(max(0.0, until - self._bell.clock.now()))
        late = [thread.name for thread in (*self._threads, closer) if thread.is_alive()]
        if late:
            logger.warning("item sources hang; their threads are left behind: %s", ", ".join(late))
        if self._upkeep is not None:
            self._upkeep.pool.shutdown(wait=False, cancel_futures=True)

    # --- single rows --------------------------------------------------------------------------------------

    def upsert(self, rows: pa.Table) -> Applied:
        """Write rows that somebody brings, complete or not, under the key column of a table (`admin.py`).

        Raises DataError, naming the column, where they do not fit the tables.
        """
        return admin.upsert(self._require_loaded(), rows)

    def delete(self, keys: pa.Array | pa.ChunkedArray) -> int:
        """Forget items; returns how many there were. Their tables bring them back with the next refresh."""
        return admin.delete(self._require_loaded(), keys)

    def get(self, keys: pa.Array | pa.ChunkedArray) -> list[dict[str, Any] | None]:
        """Read rows as they are: columns by name, and None where no item has the key."""
        up = self._up
        columns = up.layout.columns.keys() & up.live.store.raw_columns
        ids = column_from_arrow(admin.read_keys(up.layout, keys), "keys")
        with up.live.store.pin() as rows:
            found = rows.look_up(ids, columns)
        cells = {name: to_arrow(found.raw[name]).to_pylist() for name in sorted(found.raw.names)}
        return [
            {name: values[row] for name, values in cells.items()} if known else None
            for row, known in enumerate(found.known)
        ]

    def diff(self, limit: int | None = None) -> Iterator[Difference]:
        """Compare the store with its sources and tell the rows that differ, at most `limit`."""
        return differences(self._require_loaded(), limit)

    # --- work ---------------------------------------------------------------------------------------------

    def refresh_now(self, progress: Progress = silent) -> RefreshReport:
        """Read all tables that are not static again, now; tells table by table what happened."""
        self._require_loaded()
        reports: dict[int, TableReport] = {}

        def refresh(refresher: OriginRefresher) -> None:
            try:
                results = refresher.refresh(refresher.parts, progress=progress)
            except ClosedError:
                return
            reports.update({result.part.number: result.report for result in results})

        threads = [
            self._thread("refresh-items-now", lambda one=refresher: refresh(one))  # type: ignore[misc]
            for refresher in self._refreshers
        ]
        for thread in threads:
            thread.join()
        return RefreshReport(tuple(report for _, report in sorted(reports.items())))

    def refinish(self, make_store: MakeStore, progress: Progress = silent) -> None:
        """Finish all rows anew in the stores that `make_store` makes; the old one serves until it is done.

        Reads no source: `make_store` gets the raw columns that there are. Call it on a thread of its own.
        Raises DataError when raw columns are not kept.
        """
        up = self._require_loaded()
        turns = {id(refresher.turn): refresher.turn for refresher in self._refreshers}
        self._refinishing = True
        try:
            for turn in turns.values():
                turn.acquire()
            try:
                refinish(up, make_store, progress)
            finally:
                for turn in turns.values():
                    turn.release()
        finally:
            self._refinishing = False

    # --- what operators see -------------------------------------------------------------------------------

    def status(self) -> StoreStatus:
        """How the store and each table are."""
        up = self._up
        figures = self.figures()
        tables = tuple(self._table_status(tracker) for tracker in up.trackers)
        watermarks = [table.watermark for table in tables if table.watermark is not None]
        return StoreStatus(
            state="closed" if self._bell.closed else "ready" if self._loaded else "loading",
            rows=figures.rows,
            bytes=figures.bytes,
            refresh_mode=self._options.refresh_mode,
            refinishing=self._refinishing,
            watermark=min(watermarks, default=None),
            tables=tables,
            alarms=up.alarms.all(),
            image=None,
            figures=figures,
        )

    def gauges(self) -> Gauges:
        """The same as metrics: name → (sentence, value by labels)."""
        return {} if self._upkeep is None else gauges_of(self.status(), self._upkeep.trackers)

    def _table_status(self, tracker: Tracker) -> TableStatus:
        up, part = self._up, tracker.part
        caught_up = tracker.caught_up
        due = [r.due_in(part) for r in self._refreshers if part in r.parts]
        return TableStatus(
            name=part.name,
            state=tracker.state,
            rows=up.live.rows(part),
            static=part.static,
            followed=tracker.followed,
            cursor=tracker.cursor,
            watermark=tracker.watermark,
            lag_seconds=None if caught_up is None else max(0.0, self._bell.clock.now() - caught_up),
            changes=tracker.changes,
            unchanged=tracker.unchanged,
            deleted=tracker.deleted,
            retries=tracker.retries,
            last_error=tracker.last_error,
            last_refresh=tracker.last_refresh,
            next_refresh_in_seconds=due[0] if due else None,
        )

    # --- loading ------------------------------------------------------------------------------------------

    def _try_to_load(self, progress: Progress, ended: list[BaseException | None]) -> None:
        error: BaseException | None = None
        try:
            self._load(progress)
        except BaseException as failure:  # raised by `load`, on the thread that waits for this one
            error = failure
        ended.append(error)
        self._bell.ring()

    def _load(self, progress: Progress) -> None:
        schemas = self._retried(lambda: [table.source.schema() for table in self._tables])
        layout = lay_out(self._tables, schemas, null_overwrites=self._options.null_overwrites)
        up = self._upkeep = Upkeep(self._tables, layout, self._make_store, self._options, self._bell)
        self._prepare_threads(up)
        for parts in self._origins(layout.parts):
            for part in parts:
                up.trackers[part.number].state = "loading"
            self._retried(lambda parts=parts: self._load_origin(up, parts, progress))  # type: ignore[misc]
        self._loaded = True
        logger.info("%d items are loaded", len(up.live.store), extra={"tables": len(self._tables)})

    def _load_origin(self, up: Upkeep, parts: Sequence[Part], progress: Progress) -> None:
        results = FullRefresh(up, up.live, first=True, progress=progress).run(parts)
        for result in results:
            tracker = up.trackers[result.part.number]
            tracker.finished(result.report)
            if result.error is not None:
                tracker.last_error = told(result.error)
                raise result.error
            tracker.state = "loaded"

    def _retried(self, work: Callable[[], T]) -> T:
        """Do it again and again while a source cannot be reached."""
        backoff = Backoff()
        while True:
            try:
                return work()
            except SourceError as error:
                pause = backoff.next()
                logger.warning("loading the items: %s; asking again in %.1f s", told(error), pause)
                self._bell.pause(pause)

    def _prepare_threads(self, up: Upkeep) -> None:
        shared = threading.Lock()
        for parts in self._origins([part for part in up.layout.parts if not part.static]):
            turn = shared if self._options.refresh_mode == "swap" else threading.Lock()
            refresher = OriginRefresher(up, parts, turn=turn, refreshed=self._tidy)
            self._refreshers.append(refresher)
            for part in parts:
                refresher.plan_period(part)
                if up.trackers[part.number].followed:
                    self._followers.append(
                        Follower(up, part, lost=lambda lost, by=refresher: by.plan(lost, 0.0))  # type: ignore[misc]
                    )

    def _origins(self, parts: Sequence[Part]) -> list[list[Part]]:
        """Tables that can be read as of one moment, together."""
        by_origin: dict[str, list[Part]] = {}
        for part in parts:
            by_origin.setdefault(self._tables[part.number].source.origin, []).append(part)
        return list(by_origin.values())

    def _tidy(self) -> None:
        """What follows a full refresh."""

    # --- threads ------------------------------------------------------------------------------------------

    def _thread(self, name: str, work: Callable[[], None]) -> threading.Thread:
        """A thread that does not keep the process alive when its source hangs."""
        thread = threading.Thread(target=work, name=name, daemon=True)
        self._threads = [old for old in self._threads if old.is_alive()]
        self._threads.append(thread)
        thread.start()
        return thread

    def _close_sources(self) -> None:
        for table in self._tables:
            try:
                table.source.close()
            except Exception as error:
                logger.warning("closing an item source failed: %s\n%s", told(error), trace_of(error))

    def _require_loaded(self) -> Upkeep:
        if not self._loaded:
            raise UnavailableError("the items are not loaded yet")
        return self._up

    def _trackers(self) -> list[Tracker]:
        return [] if self._upkeep is None else self._upkeep.trackers
