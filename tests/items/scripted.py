"""Sources that fail, hang and change when a test says so, and keepers over them."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from recserve.columns import to_arrow
from recserve.items.keeper import Keeper
from recserve.items.store import ItemStore
from recserve.items.tables import KeptTable
from recserve.items.upkeep import KeeperOptions
from recserve.sources.memory import MemoryOrigin, MemorySource

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from pathlib import Path

    from recserve.items.store import KeyType
    from recserve.source import Ability, Changes, Cursor, Moment, Profile
    from recserve.sources.memory import MemoryMoment

ALL: frozenset[Ability] = frozenset({"changes", "profile", "get", "write"})
Row = dict[str, Any]


class Scripted(MemorySource):
    """A source in memory with a script: which methods fail or hang, and how often each was asked.

    `waits`: it is told of changes and waits for them; else it is polled.
    """

    def __init__(
        self,
        table: pa.Table,
        key: str = "id",
        *,
        name: str = "items",
        origin: MemoryOrigin | None = None,
        abilities: frozenset[Ability] = ALL,
        waits: bool = False,
        batch_rows: int = 2,  # many small batches: more places to fail at
    ) -> None:
        super().__init__(table, key, name=name, origin=origin or MemoryOrigin(name), abilities=abilities)
        self.failing: dict[str, Exception] = {}
        self.asked: Counter[str] = Counter()
        self.hanging: set[str] = set()
        self.closed = False
        self._waits = waits
        self._batch_rows = batch_rows
        self._go_on = threading.Condition()
        self.before: dict[str, Callable[[], None]] = {}  # what somebody does just before it answers

    def hang(self, *methods: str) -> None:
        with self._go_on:
            self.hanging = set(methods)
            self._go_on.notify_all()

    def hangs_in(self, method: str) -> bool:
        """Wait until somebody hangs in a method."""
        with self._go_on:
            return self._go_on.wait_for(lambda: self.asked[f"hanging {method}"] > 0, 20)

    def schema(self) -> pa.Schema:
        self._answer("schema")
        return super().schema()

    def moment(self) -> MemoryMoment:
        self._answer("moment")
        return super().moment()

    def snapshot(
        self, columns: Collection[str] | None = None, *, at: Moment | None = None
    ) -> Iterator[pa.RecordBatch]:
        self._answer("snapshot")
        for batch in super().snapshot(columns, at=at):
            for start in range(0, batch.num_rows, self._batch_rows):
                self._answer("batch")
                yield batch.slice(start, self._batch_rows)
        self._answer("end")

    def profile(self, columns: Collection[str], *, at: Moment | None = None) -> Profile:
        self._answer("profile")
        return super().profile(columns, at=at)

    def cursor(self, *, at: Moment | None = None) -> Cursor:
        self._answer("cursor")
        return super().cursor(at=at)

    def changes(
        self, cursor: Cursor, columns: Collection[str] | None = None, *, wait_seconds: float = 0.0
    ) -> Changes:
        self._answer("changes")
        answer = super().changes(cursor, columns, wait_seconds=wait_seconds if self._waits else 0.0)
        self._answer("changes told")
        return answer

    def close(self) -> None:
        self._answer("close")
        self.closed = True

    def _answer(self, method: str) -> None:
        self.asked[method] += 1
        if method in self.before:
            self.before.pop(method)()
        with self._go_on:
            if method in self.hanging:
                self.asked[f"hanging {method}"] += 1
                self._go_on.notify_all()
                self._go_on.wait_for(lambda: method not in self.hanging)
        if method in self.failing:
            raise self.failing[method]


def rows_of(*ids: Any, key: str = "id", **columns: list[Any] | pa.Array) -> pa.Table:
    return pa.table({key: pa.array(ids), **columns})


def kept(source: MemorySource, *columns: str, static: bool = False, order: str = "") -> KeptTable:
    return KeptTable(source, frozenset(columns), static, order)


def plain_store(key: KeyType, raw: Mapping[str, str]) -> ItemStore:
    """A store without features."""
    return ItemStore(key, raw)


def keeper_of(
    *tables: KeptTable, clock: Any = None, image: Path | None = None, features: str = "", **options: Any
) -> Keeper:
    """A keeper that asks every 10 ms for changes."""
    return Keeper(
        tables,
        plain_store,
        KeeperOptions(**{"poll_seconds": 0.01, "close_seconds": 5.0, **options}),
        image_path=image,
        fingerprint=features,
        restore_store=ItemStore.restore,
        clock=clock,
    )


def contents(keeper: Keeper) -> dict[Any, Row]:
    """All rows, as features would read them."""
    names = sorted(name for name in keeper.store.raw_columns if "#" not in name)
    rows: dict[Any, Row] = {}
    for keys, batch in keeper.store.scan(names):
        cells = {name: to_arrow(batch[name]).to_pylist() for name in names}
        for place, key in enumerate(to_arrow(keys).to_pylist()):
            rows[key] = {name: cells[name][place] for name in names}
    return rows


def eventually(keeper: Keeper, done: Callable[[], bool]) -> None:
    """Wait for what the keeper's threads bring about."""
    assert keeper.wait_for(done, 20), keeper.status()
