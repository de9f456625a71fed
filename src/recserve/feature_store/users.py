"""Looks a user's features up in the online store, for requests that do not bring them.

    user id ──cache──▶ Batch
               └─miss─▶ a few threads ──get──▶ online views of the user ──▶ Batch, and into the cache

A look-up never fails a request: what does not come in time, or not at all, is missing, and counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import threading
import time
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from recserve.columns import Batch, batch_from_arrow
from recserve.errors import ConfigError, LoadError, RecserveError, SourceError
from recserve.feature_store.feature_table import FeatureTable
from recserve.feature_store.open import open_registry, tables_of, views_of
from recserve.feature_store.registry import named
from recserve.feature_store.sequence_table import SequenceTable
from recserve.source import point_reads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from recserve.config.items import FeatureStoreSettings
    from recserve.feature_store.places import OpenSource, Tables
    from recserve.feature_store.records import Entity, Model, Registry, View

logger = logging.getLogger("recserve.users")

_THREADS = 8
_MOST_WAITING = 256  # look-ups begun and not ended; more get defaults at once
_CACHED_ROWS = 100_000
_CACHED_BYTES = 64 * 2**20
_ROW_BYTES = 512  # of a cached user, beside the values
_LOG_SECONDS = 30.0
_INTEGER = re.compile(r"[+-]?\d{1,19}")


@dataclass(slots=True)
class UserFigures:
    """Plain counts, for metrics; every look-up counts in one of the first six."""

    cached: int = 0
    found: int = 0
    unknown: int = 0  # no table has the user; its features are missing
    late: int = 0  # did not come in time
    failed: int = 0  # the store could not be asked
    refused: int = 0  # too many look-ups wait already
    asked: int = 0  # gets that went to the store; look-ups of one user at once share one
    cached_rows: int = 0
    cached_bytes: int = 0


@dataclass(frozen=True, slots=True)
class _Entry:
    features: Batch
    known: bool
    size: int
    until: float


class UserFeatures:
    """Features of users, by id. Any number of look-ups wait at once; the event loop never does.

    `tables` are online views, their key under the name of the request's id. A user stays in the cache for
    `cache_s` seconds, also one that nobody knows. A look-up that takes longer than `timeout_ms` answers
    with missing features; what it asked for goes into the cache when it comes.
    """

    def __init__(
        self,
        tables: Sequence[FeatureTable | SequenceTable],
        *,
        key: str,
        key_kind: str = "string",
        timeout_ms: float = 20.0,
        cache_s: float = 10.0,
        cached_rows: int = _CACHED_ROWS,
        cached_bytes: int = _CACHED_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.key = key
        self.figures = UserFigures()
        self._tables = tuple(tables)
        self._key_kind = key_kind
        self._timeout = timeout_ms / 1000
        self._cache_s = cache_s
        self._most = (cached_rows, cached_bytes)
        self._clock = clock
        self._lock = threading.RLock()  # a look-up that is done at once tells so while it is begun
        self._cache: OrderedDict[str, _Entry] = OrderedDict()
        self._asking: dict[str, Future[_Entry]] = {}
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="users")
        self._logged = -_LOG_SECONDS
        schema = [field for table in tables for field in table.declared_schema() if field.name != table.key]
        self._defaults = batch_from_arrow({f.name: pa.nulls(1, f.type) for f in schema})
        self.names: tuple[str, ...] = tuple(self._defaults.names)

    async def look_up(self, user_id: str) -> Batch:
        """The user's features, one row; all of them missing where they are unknown or late."""
        now = self._clock()
        with self._lock:
            entry = self._cached(user_id, now)
            if entry is not None:
                self.figures.cached += 1
                return entry.features
            asked = self._asking.get(user_id) or self._ask(user_id)
        if asked is None:
            self.figures.refused += 1
            return self._defaults
        try:
            entry = await _outcome(asked, self._timeout)
        except TimeoutError:
            self.figures.late += 1
            return self._defaults
        except Exception as error:  # whatever a driver raises: the request is answered
            self.figures.failed += 1
            self._log(error)
            return self._defaults
        if entry.known:
            self.figures.found += 1
        else:
            self.figures.unknown += 1
        return entry.features

    def completed(self, sent: Batch, found: Batch) -> Batch:
        """What the request sends and, of what was found, the columns that it does not send."""
        whole = Batch(1)
        for name in sent.names:
            whole.add(name, sent[name])
        for name in found.names:
            if name not in sent:
                whole.add(name, found[name])
        return whole

    def close(self) -> None:
        """Let go of the tables; look-ups in work are not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for table in self._tables:
            table.close()

    def _cached(self, user_id: str, now: float) -> _Entry | None:
        entry = self._cache.get(user_id)
        if entry is None:
            return None
        if entry.until <= now:
            self._forget(user_id)
            return None
        self._cache.move_to_end(user_id)
        return entry

    def _ask(self, user_id: str) -> Future[_Entry] | None:
        """Begin a look-up, with the lock held; None when too many wait."""
        if len(self._asking) >= _MOST_WAITING:
            return None
        self.figures.asked += 1
        asked = self._asking[user_id] = self._threads.submit(self._read, user_id)
        asked.add_done_callback(lambda done: self._done(user_id, done))
        return asked

    def _read(self, user_id: str) -> _Entry:
        columns: dict[str, pa.Array] = {}
        key = self._typed(user_id)
        known = False
        for table in self._tables if key is not None else ():
            row = table.get(key)
            for name, array in zip(row.schema.names, row.columns, strict=True):
                if name != table.key:
                    columns[name] = array
                    known = known or array.null_count == 0
        if not known:
            return _Entry(self._defaults, False, 0, 0.0)
        return _Entry(batch_from_arrow(columns), True, sum(a.nbytes for a in columns.values()), 0.0)

    def _typed(self, user_id: str) -> pa.Array | None:
        """The id as the tables have it; None for what they cannot have, as with ids of items."""
        if self._key_kind == "string":
            return pa.array([user_id], pa.string()) if user_id else None
        if not _INTEGER.fullmatch(user_id) or not -(2**63) <= int(user_id) < 2**63:
            return None
        return pa.array([int(user_id)], pa.int64())

    def _done(self, user_id: str, done: Future[_Entry]) -> None:
        with self._lock:
            self._asking.pop(user_id, None)
            if not self._cache_s or done.cancelled() or done.exception() is not None:
                return
            read = done.result()
            size = read.size + _ROW_BYTES + len(user_id)
            entry = _Entry(read.features, read.known, size, self._clock() + self._cache_s)
            self._forget(user_id)
            self._cache[user_id] = entry
            self.figures.cached_rows += 1
            self.figures.cached_bytes += size
            rows, size_limit = self._most
            while self._cache and (self.figures.cached_rows > rows or self.figures.cached_bytes > size_limit):
                self._forget(next(iter(self._cache)))

    def _forget(self, user_id: str) -> None:
        entry = self._cache.pop(user_id, None)
        if entry is not None:
            self.figures.cached_rows -= 1
            self.figures.cached_bytes -= entry.size

    def _log(self, error: Exception) -> None:
        """One line in a while: a store that is away would fill the disk."""
        now = self._clock()
        if now - self._logged < _LOG_SECONDS:
            return
        self._logged = now
        reason = str(error) if isinstance(error, RecserveError) else type(error).__name__
        logger.warning(
            "users cannot be looked up; their features are missing",
            extra={"reason": reason, "failed": self.figures.failed},
        )


async def _outcome(asked: Future[_Entry], timeout: float) -> _Entry:
    """Wait for what others may wait for as well: giving up here leaves it as it is."""
    loop = asyncio.get_running_loop()
    waiting = loop.create_future()

    def wake() -> None:
        if not waiting.done():
            waiting.set_result(None)

    def tell(_: Future[_Entry]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(wake)

    asked.add_done_callback(tell)
    await asyncio.wait_for(waiting, timeout)
    return asked.result()


def open_users(
    settings: FeatureStoreSettings,
    base_dir: Path,
    open_source: OpenSource,
    *,
    now: Callable[[], float] = time.time,
) -> UserFeatures | None:
    """The look-up that `fs_user_entity` asks for; None where it asks for none.

    Raises ConfigError for an entity without features in the model, and for tables without point reads.
    """
    if not settings.user_entity:
        return None
    registry = open_registry(settings, base_dir)
    model = named(registry.models, settings.model, "model", f"{registry.path}: fs_model")
    entity = named(registry.entities, settings.user_entity, "entity", f"{registry.path}: fs_user_entity")
    places = tables_of(registry, settings, open_source)
    if registry.project.online.kind == "file":
        logger.warning("each look-up of a user reads whole files; keep users in redis or postgresql")
    with ExitStack() as opened:  # closed again unless all is well
        tables: list[FeatureTable | SequenceTable] = []
        kinds = set()
        for view, features in views_of(registry, model):
            if view.entity == entity.name:
                table = _open_view(places, view, features, join_id=entity.join_id, now=now)
                opened.callback(table.close)
                tables.append(table)
                kinds.add("string" if view.fields[view.key] == "string" else "int64")
        _check_all(registry, model, entity, kinds)
        opened.pop_all()
    return UserFeatures(
        tables,
        key=settings.user_key or entity.join_id,
        key_kind=kinds.pop(),
        timeout_ms=settings.user_timeout_ms,
        cache_s=settings.user_cache_s,
    )


def _open_view(
    places: Tables,
    view: View,
    features: dict[str, str],
    *,
    join_id: str,
    now: Callable[[], float],
) -> FeatureTable | SequenceTable:
    source = places.online(view)
    kind = SequenceTable if view.kind == "sequence" else FeatureTable
    table = kind(source, view, features, join_id=join_id, now=now)
    try:
        if point_reads(source) is None:
            raise ConfigError(
                f"{places.registry.path}: view '{view.name}': {source.name} has no look-up of single rows; "
                "use postgresql or redis as the online store"
            )
        table.schema()
    except SourceError as error:  # a server starts without it: features of users are missing until it is back
        logger.warning("the online store of users cannot be reached", extra={"reason": str(error)})
    except LoadError:
        table.close()
        raise
    return table


def _check_all(registry: Registry, model: Model, entity: Entity, kinds: set[str]) -> None:
    if not kinds:
        takes = ", ".join(sorted({view.entity for view, _ in views_of(registry, model)}))
        raise ConfigError(
            f"{registry.path}: model '{model.name}' has no feature of '{entity.name}' (fs_user_entity); "
            f"it has features of: {takes}"
        )
    if len(kinds) > 1:
        raise ConfigError(
            f"{registry.path}: the views of '{entity.name}' have keys of text and of numbers; "
            "write them as one type"
        )
