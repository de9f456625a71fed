"""A full refresh: tables of one origin, as of one moment, streamed into a store that serves meanwhile.

    open refreshes ─▶ moment ─▶ per table: gate ─▶ stream ─▶ gate ─▶ sweep
          └── from here on, what is followed is fresher and wins

Following goes on all the time, but for the opening of the moment: an answer that was asked for before the
moment could be older than the snapshot, and is asked for again.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from recserve.columns import to_arrow
from recserve.errors import SourceError
from recserve.items.clock import ClosedError
from recserve.items.gate import (
    Counts,
    RefusedError,
    Watch,
    check_counts,
    check_rows,
    check_schema,
    count_present,
)
from recserve.items.part_rows import PartRows, hashed, part_rows
from recserve.items.read_ahead import ReadAhead
from recserve.items.status import TableReport, told
from recserve.items.upkeep import silent
from recserve.source import change_feed, profiled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Future

    import pyarrow as pa

    from recserve.columns import Batch, Column
    from recserve.items.refresh import Refresh
    from recserve.items.tables import Part
    from recserve.items.upkeep import Progress, Upkeep
    from recserve.items.writer import StoreWriter
    from recserve.source import Cursor, Moment

logger = logging.getLogger("recserve.items")

_ROWS_AT_ONCE = 1 << 13


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one table, and the error where it did not work."""

    part: Part
    report: TableReport
    error: Exception | None = None


class FullRefresh:
    """One pass over tables of one origin. `target`: which store is written; the first load checks nothing."""

    def __init__(
        self, upkeep: Upkeep, target: StoreWriter, *, first: bool = False, progress: Progress = silent
    ) -> None:
        self._up = upkeep
        self._target = target
        self._first = first
        self._progress = progress

    def run(self, parts: Sequence[Part]) -> list[Result]:
        """Refresh each table as far as it can be. Raises nothing but ClosedError."""
        up = self._up
        started = up.bell.clock.now()
        with ExitStack() as stack:
            try:
                refreshes, cursors, moment = self._open(stack, parts)
            except ClosedError:
                raise
            except Exception as error:
                return [self._failed(part, error, started) for part in parts]
            results = []
            for part in parts:
                result = self._table(part, refreshes[part.number], moment, up.bell.clock.now())
                if result.error is None:
                    self._done(part, cursors)
                results.append(result)
            return results

    def _open(
        self, stack: ExitStack, parts: Sequence[Part]
    ) -> tuple[dict[int, Refresh], dict[int, tuple[Cursor, float]], Moment]:
        """Open the refreshes first and then the moment, so that what is followed in between is fresher."""
        up = self._up
        with _opening(up, parts):
            refreshes = {
                part.number: stack.enter_context(_open_refresh(self._target, part)) for part in parts
            }
            asked = up.bell.clock.now()
            moment = stack.enter_context(up.source(parts[0]).moment())
            cursors = {}
            for part in parts:
                tracker, feed = up.trackers[part.number], change_feed(up.source(part))
                if tracker.followed and tracker.cursor is None and feed is not None:
                    cursors[part.number] = (feed.cursor(at=moment), asked)
        return refreshes, cursors, moment

    def _table(self, part: Part, refresh: Refresh, moment: Moment, started: float) -> Result:
        try:
            done = self._stream(part, refresh, moment)
        except ClosedError:
            raise
        except Exception as error:
            return self._failed(part, error, started)
        clock = self._up.bell.clock
        report = replace(done, seconds=clock.now() - started, finished_at=clock.time())
        if report.repeated:
            logger.warning(
                "item table '%s' repeats keys: %d rows are replaced by another one of their key%s",
                part.name,
                report.repeated,
                f", that with the greatest '{part.order}'" if part.order else ", the last one",
                extra={"table": part.name, "key": part.key, "repeated": report.repeated},
            )
        return Result(part, report)

    def _stream(self, part: Part, refresh: Refresh, moment: Moment) -> TableReport:
        up, target = self._up, self._target
        present = up.live.rows(part)
        watch = None if self._first else self._gate(part, moment)
        if self._first and not len(target.store):
            counts = self._counted(part, moment, None, partial(target.fill, part))
            repeated = counts.rows - len(target.store)
            if not repeated or not part.order:
                up.snapshots[part.number] = counts
                written = counts.rows - repeated
                return TableReport(part.name, "refreshed", counts.rows, written=written, repeated=repeated)
            # Of rows with one key the newest counts: that is told by comparing, so all are read again.
        counts = self._counted(part, moment, watch, lambda rows: target.refresh(part, rows, refresh))
        if not self._first:
            check_rows(part, counts.rows, present, up.options.limits)
        up.snapshots[part.number] = counts
        deleted, figures = target.sweep(part, refresh), refresh.figures()
        return TableReport(
            part.name,
            "refreshed",
            rows=counts.rows,
            unchanged=figures.unchanged,
            written=figures.written,
            deleted=deleted,
            repeated=figures.repeated,
            protected=figures.protected,
        )

    def _gate(self, part: Part, moment: Moment) -> Watch | None:
        """Look at a table before its rows; what can only be seen in them is watched for."""
        up = self._up
        source, limits = up.source(part), up.options.limits
        check_schema(part, source.schema(), up.layout.key)
        counting = profiled(source)
        if counting is None:
            return Watch(part, up.live, limits)
        profile = counting.profile(frozenset(part.types), at=moment)
        check_counts(part, profile, count_present(up.live, part, up.snapshots.get(part.number)), limits)
        return None

    def _counted(
        self,
        part: Part,
        moment: Moment,
        watch: Watch | None,
        write: Callable[[Iterator[PartRows]], None],
    ) -> Counts:
        """Read a table to its end."""
        source = self._up.source(part)
        counted = _Counted(f"loading {part.name}", source.rows(), self._progress)
        rows = self._read(part, lambda: source.snapshot(part.columns, at=moment), watch)
        write(counted.through(rows))
        return counted.finished()

    def _read(
        self, part: Part, batches: Callable[[], Iterable[pa.RecordBatch]], watch: Watch | None
    ) -> Iterator[PartRows]:
        """Read on one thread, convert and hash on others; in order."""
        up = self._up
        waiting: deque[Future[PartRows]] = deque()

        def next_rows() -> PartRows:
            rows = waiting.popleft().result()
            if watch is not None:
                watch.check(rows)
            return rows

        with ReadAhead(batches, up.bell) as read:
            for batch in read:
                for start in range(0, batch.num_rows, _ROWS_AT_ONCE):
                    waiting.append(up.pool.submit(part_rows, batch.slice(start, _ROWS_AT_ONCE), part))
                    if len(waiting) > up.threads:
                        yield next_rows()
            while waiting:
                yield next_rows()

    def _failed(self, part: Part, error: Exception, started: float) -> Result:
        clock = self._up.bell.clock
        return Result(
            part,
            TableReport(
                part.name,
                "refused" if isinstance(error, RefusedError) else "failed",
                seconds=clock.now() - started,
                error=told(error),
                finished_at=clock.time(),
            ),
            error,
        )

    def _done(self, part: Part, cursors: dict[int, tuple[Cursor, float]]) -> None:
        """Following begins where the snapshot was taken, unless it goes on from where it is."""
        tracker = self._up.trackers[part.number]
        if tracker.cursor is None and part.number in cursors:
            tracker.cursor, tracker.caught_up = cursors[part.number]


def copy_part(
    part: Part,
    scan: Callable[[], Iterable[tuple[Column, Batch]]],
    target: StoreWriter,
    *,
    rehash: bool = False,
    progress: Progress = silent,
    total: int = 0,
) -> None:
    """Make a table's part of `target` that of another store or of an image.

    `scan` is called when what is followed from then on is known to win, as in a refresh. `rehash`: the row
    hashes that it gives are of other columns.
    """
    counted = _Counted(f"copying {part.name}", total, progress)
    with _open_refresh(target, part) as refresh:
        rows = (_scanned(part, keys, batch, rehash) for keys, batch in scan())
        target.refresh(part, counted.through(rows), refresh)
        target.sweep(part, refresh)
    counted.finished()


def _scanned(part: Part, keys: Column, batch: Batch, rehash: bool) -> PartRows:
    hashes = to_arrow(batch[part.hash_column])
    there = hashes.is_valid()
    ids = to_arrow(keys).filter(there)
    cells = {column: to_arrow(batch[stored]).filter(there) for column, stored in part.stored.items()}
    return hashed(part, ids, cells) if rehash else PartRows(part, ids, cells, hashes.filter(there))


@contextmanager
def _open_refresh(target: StoreWriter, part: Part) -> Iterator[Refresh]:
    refresh = target.begin(part)
    try:
        yield refresh
    finally:
        target.end(part, refresh)


@contextmanager
def _opening(upkeep: Upkeep, parts: Sequence[Part]) -> Iterator[None]:
    """Hold what is followed of these tables while the moment is opened."""
    trackers = [upkeep.trackers[part.number] for part in parts]
    for tracker in trackers:
        with tracker.applying:  # an answer that is being applied is older than the refresh: let it end
            tracker.opening = True
    try:
        yield
    finally:
        for tracker in trackers:
            tracker.opened += 1
            tracker.opening = False
        upkeep.bell.ring()


class _Counted:
    """Counts the rows and nulls that pass, and tells a progress bar."""

    def __init__(self, step: str, total: int, progress: Progress) -> None:
        self._step = step
        self._total = total
        self._progress = progress
        self._rows = 0
        self._nulls: Counter[str] = Counter()
        progress(step, 0, total)

    def through(self, batches: Iterable[PartRows]) -> Iterator[PartRows]:
        for rows in batches:
            yield rows
            self._rows += len(rows)
            for column, array in rows.cells.items():
                self._nulls[column] += array.null_count
            self._progress(self._step, self._rows, self._total)

    def finished(self) -> Counts:
        if self._rows != self._total or not self._rows:  # else the last batch has said so
            self._progress(self._step, self._rows, self._rows)
        return Counts(self._rows, self._nulls)


def may_be_retried(error: Exception | None) -> bool:
    """Whether asking again soon may help: the place was not there, or nobody knows what it was."""
    return error is not None and (isinstance(error, SourceError) or not isinstance(error, RefusedError))
