"""Results of items, for all rows of the store that serves: when a service starts, and again as rows change.

    start   every row, on all cores
    then    rows without results, on one thread that rests as long as it works:
              of a store that a refresh swapped in
              of rows that were written, once a request missed the result of one

With a memory budget the latter is left to requests: there, something is always missing.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

from recserve.columns import Batch
from recserve.cores import cores
from recserve.items.keeper import Keeper
from recserve.items.results import ItemResults

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from recserve.columns import Column
    from recserve.engines.torchscript import TorchScript
    from recserve.features.generator import Generator
    from recserve.items.rows import FoundRows, Rows, Selection
    from recserve.items.store import ItemStore
    from recserve.processors.load import Progress

logger = logging.getLogger("recserve.item_results")

#: Items whose results are computed together.
_ROWS = 2048
#: How often it is looked whether some are missing; more seldom where looking takes long.
PERIOD_S = 5.0
#: Of the time between two looks, for a look at all rows.
_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class ResultTable:
    """The results of one store's rows, and what is read of them."""

    store: ItemStore
    results: ItemResults
    items: Selection  # for the results
    rest: Selection  # for what is computed from them


class ResultTables:
    """The table of the store that serves. Many threads use it at once."""

    def __init__(
        self,
        items: Keeper | ItemStore,
        program: TorchScript,
        of_items: Generator,
        of_rest: Generator,
        widths: Mapping[str, int],
        *,
        budget_bytes: int = 0,
    ) -> None:
        """`program` makes results, as wide as `widths`, of `of_items`. `budget_bytes` 0: room for all."""
        self._items, self._program, self._of_items, self._of_rest = items, program, of_items, of_rest
        self._widths, self._budget = widths, budget_bytes
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._table = self._made(self._live)

    @property
    def table(self) -> ResultTable:
        """The newest."""
        return self._table

    @property
    def bytes_per_item(self) -> int:
        """Memory of the results of one item."""
        return self._table.results.bytes_per_item

    def of(self, store: ItemStore) -> ResultTable | None:
        """The table of a store; a new one where the store was swapped. None for one that serves no more."""
        table = self._table
        if table.store is store:
            return table
        with self._lock:
            if self._table.store is not store and store is self._live:
                self._table = self._made(store)
            return self._table if self._table.store is store else None

    def computed(self, rows: Rows, table: ResultTable, found: FoundRows) -> dict[str, NDArray[Any]]:
        """The results of some rows."""
        count = len(found)
        items = rows.gather_found(found, table.items)
        inputs = self._of_items.generate(Batch(1), Batch(count), items.raw, items.finished, {}, rows=count)
        return self._program.run(inputs, rows=count)

    def fill(self, progress: Progress) -> None:
        """Compute the results of all items, or of as many as there is room for."""
        table = self._table
        total, done = self._most(table), 0
        step = f"computing item results, {self.bytes_per_item} bytes per item"
        progress(step, 0, total)
        waiting: deque[Any] = deque()
        with ThreadPoolExecutor(min(cores(), 8), thread_name_prefix="item-results") as pool:
            for keys in _keys_of(table.store):
                waiting.append(pool.submit(self._add, table, keys))
                if len(waiting) > cores():
                    done += waiting.popleft().result()
                    progress(step, min(done, total - 1), total, table.results.figures.bytes)
                if done >= total:
                    break
            for one in waiting:
                one.result()
        progress(step, total, total, table.results.figures.bytes)
        self._tell(table)

    def start(self) -> None:
        """Compute from now on what is missing, beside requests."""
        self._thread = threading.Thread(target=self._keep_full, name="keep-item-results", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End that."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()

    def _keep_full(self) -> None:
        full, misses, pause = self._table, self._table.results.figures.misses, PERIOD_S
        while not self._closing.wait(pause):
            table = self.of(self._live)
            if table is None:  # swapped this moment
                continue
            is_new, missed = table is not full, table.results.figures.misses
            if not is_new and (self._budget or missed == misses):
                continue
            began = perf_counter()
            try:
                self._add_missing(table)
            except Exception:  # whatever it is, requests compute what they need
                logger.exception("results of items could not be computed ahead")
            full, misses = table, missed
            pause = max(PERIOD_S, (perf_counter() - began) / _SHARE)
            if is_new:
                self._tell(table)

    def _add_missing(self, table: ResultTable) -> None:
        left = self._most(table)
        for keys in _keys_of(table.store):
            began = perf_counter()
            left -= self._add(table, keys)
            if left <= 0 or self._table is not table or self._closing.wait(perf_counter() - began):
                return

    def _most(self, table: ResultTable) -> int:
        """How many items there is room for, and need."""
        rows = table.store.figures().rows
        return min(rows, self._budget // table.results.bytes_per_item) if self._budget else rows

    def _add(self, table: ResultTable, keys: Column) -> int:
        with table.store.pin() as rows:
            found = rows.find(keys, table.items)
            missing = table.results.missing(found)
            if len(missing):
                lacking = found.at(missing)
                table.results.add(lacking, self.computed(rows, table, lacking))
        return len(keys)

    def _tell(self, table: ResultTable) -> None:
        found = table.results.figures
        logger.info(
            "item results are kept",
            extra={"items": found.items, "bytes": found.bytes, "bytes_per_item": self.bytes_per_item},
        )

    @property
    def _live(self) -> ItemStore:
        return self._items.store if isinstance(self._items, Keeper) else self._items

    def _made(self, store: ItemStore) -> ResultTable:
        return ResultTable(
            store,
            ItemResults(self._widths, budget_bytes=self._budget),
            store.select(*self._of_items.plan.read_of_items(self._of_items.per_item)),
            store.select(*self._of_rest.plan.read_of_items(self._of_rest.per_item)),
        )


def _keys_of(store: ItemStore) -> Iterator[Column]:
    for keys, _ in store.scan((), batch_rows=_ROWS):
        yield keys
