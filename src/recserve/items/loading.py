"""The first load: from an image where there is one that fits, else from the tables.

    image? ──▶ schemas of the tables ──▶ layout ──▶ store ──▶ rows: mapped, finished anew, or read

A source that cannot be reached is asked again and again; with an image it is not waited for.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from recserve.errors import LoadError, RecserveError, SourceError
from recserve.items.clock import Backoff
from recserve.items.full_refresh import FullRefresh
from recserve.items.resume import Resumption, warn
from recserve.items.status import told
from recserve.items.tables import lay_out
from recserve.items.upkeep import Upkeep

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import pyarrow as pa

    from recserve.items.clock import Bell
    from recserve.items.tables import KeptTable, Layout, Part
    from recserve.items.upkeep import KeeperOptions, MakeStore, Progress, RestoreStore

logger = logging.getLogger("recserve.items")

T = TypeVar("T")

_SCHEMA_SECONDS = 10.0  # how long a start from an image waits for what tables are now


@dataclass(frozen=True, slots=True)
class ImagePlan:
    """Where the image is, and how a store is made of it."""

    path: Path
    features: str  # the fingerprint of what finishes rows
    restore: RestoreStore | None


class NoAnswerError(SourceError):
    """A source hangs."""


class Loading:
    """Loads the tables once. `began` is told of the stores as soon as there are any."""

    def __init__(
        self,
        tables: Sequence[KeptTable],
        make_store: MakeStore,
        options: KeeperOptions,
        *,
        image: ImagePlan | None,
        bell: Bell,
        began: Callable[[Upkeep], None],
    ) -> None:
        self._tables = tables
        self._make_store = make_store
        self._options = options
        self._image = image
        self._bell = bell
        self._began = began
        self.last_error = ""  # why it is not done yet

    def run(self, progress: Progress) -> bool:
        """Load all rows; tells whether they are from the image."""
        resumption = self._open_image()
        layout = self._lay_out(self._schemas(resumption))
        upkeep = Upkeep(self._tables, layout, self._make_store, self._options, self._bell)
        self._began(upkeep)
        if resumption is not None and self._resumed(upkeep, resumption, progress):
            return True
        for parts in by_origin(self._tables, layout.parts):
            for part in parts:
                upkeep.trackers[part.number].state = "loading"
            self._retried(lambda parts=parts: _load_origin(upkeep, parts, progress))  # type: ignore[misc]
        return False

    def _lay_out(self, schemas: Sequence[pa.Schema]) -> Layout:
        return lay_out(self._tables, schemas, null_overwrites=self._options.null_overwrites)

    def _open_image(self) -> Resumption | None:
        if self._image is None or not self._image.path.exists():
            return None
        try:
            return Resumption(self._image.path, self._tables)
        except RecserveError as error:
            warn(self._image.path, error)
            return None

    def _schemas(self, resumption: Resumption | None) -> list[pa.Schema]:
        def ask() -> list[pa.Schema]:
            return [table.source.schema() for table in self._tables]

        if resumption is None:
            return self._retried(ask)
        try:
            return within(_SCHEMA_SECONDS, self._bell, ask)
        except LoadError as error:
            logger.warning("the items start from their image alone: %s", told(error))
            return resumption.schemas(self._tables)

    def _resumed(self, upkeep: Upkeep, resumption: Resumption, progress: Progress) -> bool:
        assert self._image is not None
        try:
            store = resumption.store(upkeep, self._image.features, self._image.restore, progress)
            if store is None:
                resumption.copy(upkeep, progress)
            else:
                upkeep.live = upkeep.writer_of(store)
                upkeep.live.recount()
        except RecserveError as error:
            warn(self._image.path, error)
            upkeep.live = upkeep.writer_of(self._make_store(upkeep.layout.key, upkeep.layout.raw))
            return False
        resumption.restore_trackers(upkeep)
        return True

    def _retried(self, work: Callable[[], T]) -> T:
        """Do it again and again while a source cannot be reached."""
        backoff = Backoff()
        while True:
            try:
                return work()
            except SourceError as error:
                self.last_error = told(error)
                pause = backoff.next()
                logger.warning("loading the items: %s; asking again in %.1f s", self.last_error, pause)
                self._bell.pause(pause)


def _load_origin(upkeep: Upkeep, parts: Sequence[Part], progress: Progress) -> None:
    for result in FullRefresh(upkeep, upkeep.live, first=True, progress=progress).run(parts):
        tracker = upkeep.trackers[result.part.number]
        tracker.finished(result.report)
        if result.error is not None:
            tracker.last_error = told(result.error)
            raise result.error
        tracker.state = "loaded"


def by_origin(tables: Sequence[KeptTable], parts: Sequence[Part]) -> list[list[Part]]:
    """Tables that can be read as of one moment, together."""
    origins: dict[str, list[Part]] = {}
    for part in parts:
        origins.setdefault(tables[part.number].source.origin, []).append(part)
    return list(origins.values())


def within(seconds: float, bell: Bell, work: Callable[[], T], moved: Callable[[], object] = int) -> T:
    """Do it on a thread that is left behind when for so long it neither ends nor changes what `moved` tells.

    Raises what it raises, and NoAnswerError when it is left behind.
    """
    ended: list[T] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            ended.append(work())
        except Exception as error:
            errors.append(error)
        bell.ring()

    threading.Thread(target=run, name="ask-items", daemon=True).start()
    while True:
        before = moved()
        if bell.wait(lambda: bool(ended or errors), seconds):
            break
        if moved() == before:
            raise NoAnswerError(f"no answer within {seconds:g} s")
    if errors:
        raise errors[0]
    return ended[0]
