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
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from recserve.columns import column_from_arrow, to_arrow
from recserve.errors import LoadError, SourceError, UnavailableError
from recserve.items import admin
from recserve.items.clock import Bell, ClosedError, SystemClock
from recserve.items.compare import Difference, differences
from recserve.items.following import Follower
from recserve.items.loading import ImagePlan, Loading, NoAnswerError, by_origin, within
from recserve.items.refreshing import OriginRefresher
from recserve.items.saving import ImageWriter
from recserve.items.status import (
    RefreshReport,
    StoreStatus,
    gauges_of,
    told,
    trace_of,
)
from recserve.items.store import give_back_memory
from recserve.items.swap import refinish
from recserve.items.tidying import Tidier
from recserve.items.upkeep import KeeperOptions, Upkeep, silent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa

    from recserve.items.clock import Clock
    from recserve.items.full_refresh import Result
    from recserve.items.rows import Rows
    from recserve.items.status import Gauges
    from recserve.items.store import ItemStore, StoreFigures
    from recserve.items.tables import KeptTable, Layout, Part
    from recserve.items.upkeep import MakeStore, Progress, RestoreStore
    from recserve.items.writer import Applied

logger = logging.getLogger("recserve.items")

_CATCH_UP_SECONDS = 30.0  # without an answer, a start from an image goes on without it


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
        self._plan = None if image_path is None else ImagePlan(image_path, fingerprint, restore_store)
        self._image = None if self._plan is None else ImageWriter(self._plan)
        self._resumed = False
        self._bell = Bell(clock or SystemClock())
        self._upkeep: Upkeep | None = None
        self._tidier: Tidier | None = None
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
        loading = Loading(
            self._tables,
            self._make_store,
            self._options,
            image=self._plan,
            bell=self._bell,
            began=self._prepare_threads,
        )
        seconds = self._options.load_timeout_seconds
        try:
            within(seconds, self._bell, lambda: self._load(loading, progress))
        except ClosedError:
            raise LoadError("the item store was closed while it was loaded") from None
        except NoAnswerError as error:
            self.close()
            why = loading.last_error or "raise it, or look at the sources"
            raise SourceError(
                f"loading the items takes longer than load_timeout ({seconds:g} s): {why}"
            ) from error

    def start(self) -> None:
        """Follow the tables from where `load` ended, and refresh them by period."""
        for refresher in self._refreshers:
            self._thread(f"refresh-items-{refresher.parts[0].number}", refresher.run)
        for follower in self._followers:
            self._thread(f"follow-items-{follower.part.number}", follower.run)
        if self._tidier is not None:
            self._thread("tidy-items", self._tidier.run)
        if self._image is not None and not self._resumed:
            self._thread("save-items", self._save_changes)

    def close(self) -> None:
        """End all threads and let go of the sources, within `close_seconds`; rows can be read afterwards."""
        if self._bell.closed:
            return
        self._bell.close()
        until = self._bell.clock.now() + self._options.close_seconds
        closers = [
            threading.Thread(target=work, name=name, daemon=True)
            for name, work in (("close-items", self._close_sources), ("save-items", self._save_changes))
        ]
        for closer in closers:
            closer.start()
        for thread in (*self._threads, *closers):
            if thread is not threading.current_thread():
                thread.join(max(0.0, until - self._bell.clock.now()))
        late = [thread.name for thread in (*self._threads, *closers) if thread.is_alive()]
        if late:
            logger.warning(
                "closing the items takes longer than %g s; left behind: %s",
                self._options.close_seconds,
                ", ".join(late),
            )
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
        ended: list[list[Result]] = []

        def refresh(refresher: OriginRefresher) -> None:
            with suppress(ClosedError):
                ended.append(refresher.refresh(refresher.parts, progress=progress))
                self._bell.ring()

        for refresher in self._refreshers:
            self._thread("refresh-items-now", partial(refresh, refresher))
        try:
            self._bell.wait(lambda: len(ended) == len(self._refreshers))
        except ClosedError:
            raise UnavailableError("the item store is closed") from None
        results = sorted((result for some in ended for result in some), key=lambda r: r.part.number)
        return RefreshReport(tuple(result.report for result in results))

    def refinish(self, make_store: MakeStore, *, fingerprint: str = "", progress: Progress = silent) -> None:
        """Finish all rows anew in a store that `make_store` makes; the old one serves until it is done.

        Reads no source: `make_store` gets the raw columns that there are. `fingerprint` is that of the new
        features, for the image. Call it on a thread of its own: it waits for a refresh that is under way.
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
                if self._image is not None:
                    self._image.features = fingerprint
            finally:
                for turn in turns.values():
                    turn.release()
        finally:
            self._refinishing = False

    def wait_for(self, done: Callable[[], bool], seconds: float) -> bool:
        """Wait until `done()`, looking whenever something was applied, refreshed or failed."""
        return self._bell.watch(done, seconds)

    def save_image(self) -> int:
        """Write the image; returns its bytes, 0 where no image is wanted.

        Raises nothing for what a disk does: that is an alarm, and the image that was there stays.
        """
        up = self._require_loaded()
        return 0 if self._image is None else self._image.save(up)

    # --- what operators see -------------------------------------------------------------------------------

    @property
    def watermark(self) -> float | None:
        """When the newest change of the oldest table was made, in seconds since 1970; cheap."""
        known = [tracker.watermark for tracker in self._up.trackers if tracker.watermark is not None]
        return min(known, default=None)

    def status(self) -> StoreStatus:
        """How the store and each table are."""
        up = self._up
        figures = self.figures()
        due = {part.number: one.due_in(part) for one in self._refreshers for part in one.parts}
        tables = tuple(
            tracker.status(up.live.rows(tracker.part), self._bell.clock.now(), due.get(number))
            for number, tracker in enumerate(up.trackers)
        )
        return StoreStatus(
            state="closed" if self._bell.closed else "ready" if self._loaded else "loading",
            rows=figures.rows,
            bytes=figures.bytes,
            refresh_mode=self._options.refresh_mode,
            refinishing=self._refinishing,
            watermark=self.watermark,
            tables=tables,
            alarms=up.alarms.all(),
            image=self._image.status(loaded=self._resumed) if self._image else None,
            figures=figures,
        )

    def gauges(self) -> Gauges:
        """The same as metrics: name → (sentence, value by labels)."""
        return {} if self._upkeep is None else gauges_of(self.status(), self._upkeep.trackers)

    # --- loading ------------------------------------------------------------------------------------------

    def _load(self, loading: Loading, progress: Progress) -> None:
        self._resumed = loading.run(progress)
        up = self._up
        if self._resumed:
            if self._image is not None:
                self._image.resumed(up)
            self._catch_up(up)
        for refresher in self._refreshers:
            for part in refresher.parts:
                self._plan_refresh(up, refresher, part)
        give_back_memory()
        self._loaded = True
        logger.info("%d items are loaded%s", len(up.live.store), " from their image" if self._resumed else "")

    def _prepare_threads(self, up: Upkeep) -> None:
        self._upkeep = up
        self._tidier = Tidier(up)
        shared = threading.Lock()
        for parts in by_origin(self._tables, [part for part in up.layout.parts if not part.static]):
            turn = shared if self._options.refresh_mode == "swap" else threading.Lock()
            refresher = OriginRefresher(up, parts, turn=turn, refreshed=self._tidy)
            self._refreshers.append(refresher)
            lost = partial(refresher.plan, seconds=0.0)
            self._followers += [Follower(up, p, lost=lost) for p in parts if up.trackers[p.number].followed]

    def _catch_up(self, up: Upkeep) -> None:
        """Apply what happened since the image was written; a source that is away is followed later."""
        for follower in self._followers:
            tracker = up.trackers[follower.part.number]
            if tracker.cursor is None:
                continue
            try:
                within(_CATCH_UP_SECONDS, self._bell, follower.catch_up, moved=lambda t=tracker: t.cursor)  # type: ignore[misc]
            except ClosedError:
                raise
            except Exception as error:
                follower.failed(error)

    def _plan_refresh(self, up: Upkeep, refresher: OriginRefresher, part: Part) -> None:
        """Plan by the period; after a start from an image, what cannot be followed is read at once."""
        tracker = up.trackers[part.number]
        age = max(0.0, self._bell.clock.time() - tracker.refreshed_at) if self._resumed else 0.0
        refresher.plan_period(part, self._options.period_seconds - age)
        if self._resumed and tracker.cursor is None:
            refresher.plan(part, 0.0)

    def _tidy(self) -> None:
        """What follows a full refresh."""
        if self._tidier is not None:
            self._tidier.tidy()
        self.save_image()

    # --- threads ------------------------------------------------------------------------------------------

    def _thread(self, name: str, work: Callable[[], None]) -> threading.Thread:
        """A thread that does not keep the process alive when its source hangs."""
        thread = threading.Thread(target=work, name=name, daemon=True)
        self._threads = [old for old in self._threads if old.is_alive()]
        self._threads.append(thread)
        thread.start()
        return thread

    def _save_changes(self) -> None:
        """Keep what was written since the last image."""
        if self._upkeep is not None and self._image is not None and self._loaded:
            self._image.save_changes(self._upkeep)

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
