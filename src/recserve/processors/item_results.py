"""Scores from what is kept of items: their part of the model is computed once per version of a row.

    rows ──find──▶ versions ──results──▶ kept, or items.pt for those that lack one ┐
    request, rows ──generate──▶ features of users and pairs ───────────────────────┴──rest.pt──▶ outputs

Features of items are not even generated, but for those that lack a result. Not for this way, and scored as
without it: requests that bring item features of their own or no ids, and those whose inputs the compiled
model does not take. A request sees the results of the row versions that it is pinned to.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recserve.columns import Batch
from recserve.cores import cores
from recserve.engines.flat_script import load_with_tables
from recserve.engines.guarded import FIRST_CALLS, UserLayout
from recserve.engines.item_programs import ITEMS, REST
from recserve.engines.parity import difference
from recserve.engines.torch_arrays import device_of
from recserve.engines.torchscript import TorchScript
from recserve.errors import DeadlineError, RecserveError
from recserve.items.keeper import Keeper
from recserve.items.results import ItemResults

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from recserve.columns import Column, ModelInputs
    from recserve.engines.guarded import Guarded, Users
    from recserve.engines.item_programs import ItemPrograms, Program
    from recserve.features.generator import Generator
    from recserve.items.rows import FoundRows, Rows, Selection
    from recserve.items.store import ItemStore
    from recserve.messages import ScoreRequest
    from recserve.observe.trace import Trace
    from recserve.processors.load import Progress
    from recserve.processors.processor import Gauges, Labels

    #: Outputs by name, (rows, ...) each, and which items are known, (rows,).
    Answered = tuple[dict[str, NDArray[Any]], NDArray[np.bool_]]

logger = logging.getLogger("recserve.item_results")

#: Items whose results are computed together when a table is filled.
_FILL_ROWS = 2048


@dataclass(frozen=True, slots=True)
class _Table:
    """The results of one store's rows, and what is read of them."""

    store: ItemStore
    results: ItemResults
    items: Selection  # for items.pt
    rest: Selection  # for rest.pt


class WithItemResults:
    """Answers from kept results, and keeps new ones. Many threads use it at once."""

    def __init__(
        self,
        items: Keeper | ItemStore,
        features: Generator,
        engine: Guarded,
        programs: ItemPrograms,
        users: Users,
        *,
        budget_bytes: int = 0,
        check_every: int = 0,
        outputs: Sequence[str] = (),
    ) -> None:
        """`engine` runs the whole model, and has its tables; `users` is what it takes for granted.

        `budget_bytes` 0: there is room for all. `check_every`: one request in so many is scored by the whole
        model as well, and so are the first; scores that differ switch this way off.
        """
        self._items, self._engine, self._features, self._users = items, engine, features, users
        self._programs, self._budget, self._check_every = programs, budget_bytes, check_every
        self._of_items = features.only(_features(programs.items.inputs))
        results = programs.widths.keys()
        self._of_rest = features.only(_features(name for name in programs.rest.inputs if name not in results))
        self._run_items = self._opened(ITEMS, programs.items, ())
        self._run_rest = self._opened(REST, programs.rest, outputs)
        self._sequence_keys = features.sequence_keys
        self._layout: UserLayout | None = None
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._switched_off = ""
        self._table = self._made(self._live)

    def _opened(self, file: str, program: Program, outputs: Sequence[str]) -> TorchScript:
        script = load_with_tables(self._programs.folder / file, program.tables, self._engine.original.module)
        return TorchScript(script, device=device_of("cpu"), outputs=outputs, features=None, limits={})

    @property
    def bytes_per_item(self) -> int:
        """Memory of the results of one item."""
        return self._table.results.bytes_per_item

    @property
    def switched_off(self) -> str:
        """Why nothing is answered this way any more; "" as long as it is."""
        return self._switched_off

    def answer(self, request: ScoreRequest, trace: Trace) -> Answered | None:
        """Score a request; None where it is not for this way, or it fails: then nothing has happened."""
        if self._switched_off or self._engine.figures.switched_off or not _is_for_kept(request):
            self._count("bypassed")
            return None
        is_checked = self._is_checked()
        expected = None
        with self._items.pin() as rows:
            table = self._table_of(rows.store)
            if table is None:
                self._count("bypassed")
                return None
            found = rows.find(request.item_ids, table.rest)
            items = rows.gather_found(found, table.rest)
            clicked = rows.gather_lists(request.user, self._sequence_keys)
            trace.lap("look_up")
            inputs = self._of_rest.generate(
                request.user, request.context, items.raw, items.finished, clicked, rows=request.rows
            )
            if not self._fits(inputs, request.rows):
                self._count("bypassed")
                return None
            inputs, missing = table.results.with_results(inputs, found)
            if len(missing):
                lacking = found.at(missing)
                results = self._computed(rows, table, lacking)
                table.results.fill(inputs, missing, results)
                table.results.add(lacking, results)
            trace.lap("generate")
            if is_checked:
                expected = self._whole(rows, request, clicked)
        try:
            outputs = self._run_rest.run(inputs, rows=request.rows, deadline=request.deadline)
        except DeadlineError:
            raise
        except RecserveError as error:
            self._switch_off(f"the model failed: {error}")
            return None
        if expected is not None:
            self._compare(expected, outputs, request.rows)
            outputs = expected if self._switched_off else outputs
        return outputs, items.known

    def fill(self, progress: Progress) -> None:
        """Compute the results of all items, or of as many as there is room for."""
        table = self._table
        figures = table.store.figures()
        room = self._budget // self.bytes_per_item if self._budget else figures.rows
        total, done = min(figures.rows, room), 0
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
        found = table.results.figures
        progress(step, total, total, found.bytes)
        logger.info(
            "item results are kept",
            extra={"items": found.items, "bytes": found.bytes, "bytes_per_item": self.bytes_per_item},
        )

    def gauges(self) -> Gauges:
        """What is kept, and how often it served."""
        found = self._table.results.figures
        with self._lock:
            counts = dict(self._counts)
        asked: dict[Labels, float] = {
            (("outcome", "hit"),): float(found.hits),
            (("outcome", "miss"),): float(found.misses),
        }
        return {
            "recserve_item_results": ("Items whose results are kept.", float(found.items)),
            "recserve_item_results_bytes": ("Memory of kept item results.", float(found.bytes)),
            "recserve_item_results_asked_total": ("Results that requests asked for.", asked),
            "recserve_item_results_evicted_total": (
                "Results that had to make room for others.",
                float(found.evicted),
            ),
            "recserve_item_results_bypassed_total": (
                "Requests that were scored without kept results.",
                float(counts.get("bypassed", 0)),
            ),
            "recserve_item_results_on": (
                "1: requests are answered from kept item results; 0: that switched itself off.",
                float(not self._switched_off),
            ),
        }

    @property
    def _live(self) -> ItemStore:
        return self._items.store if isinstance(self._items, Keeper) else self._items

    def _table_of(self, store: ItemStore) -> _Table | None:
        """The table of a store; a new one where the store was swapped. None for one that serves no more."""
        table = self._table
        if table.store is store:
            return table
        with self._lock:
            if self._table.store is not store and store is self._live:
                self._table = self._made(store)
            return self._table if self._table.store is store else None

    def _made(self, store: ItemStore) -> _Table:
        plan = self._features.plan
        return _Table(
            store,
            ItemResults(self._programs.widths, budget_bytes=self._budget),
            store.select(*plan.read_of_items(self._of_items.per_item)),
            store.select(*plan.read_of_items(self._of_rest.per_item)),
        )

    def _add(self, table: _Table, keys: Column) -> int:
        with table.store.pin() as rows:
            found = rows.find(keys, table.items)
            missing = table.results.missing(found)
            if len(missing):
                lacking = found.at(missing)
                table.results.add(lacking, self._computed(rows, table, lacking))
        return len(keys)

    def _computed(self, rows: Rows, table: _Table, found: FoundRows) -> dict[str, NDArray[Any]]:
        """The results of some rows."""
        count = len(found)
        items = rows.gather_found(found, table.items)
        inputs = self._of_items.generate(Batch(1), Batch(count), items.raw, items.finished, {}, rows=count)
        return self._run_items.run(inputs, rows=count)

    def _whole(
        self, rows: Rows, request: ScoreRequest, clicked: dict[str, tuple[Batch, Batch]]
    ) -> dict[str, NDArray[Any]]:
        """The answer of the whole model, of the same versions of rows."""
        items = rows.gather(request.item_ids, rows=request.rows)
        inputs = self._features.generate(
            request.user, request.context, items.raw, items.finished, clicked, rows=request.rows
        )
        return self._engine.run(inputs, rows=request.rows, deadline=request.deadline)

    def _fits(self, inputs: ModelInputs, rows: int) -> bool:
        layout = self._layout
        if layout is None or layout.names is not inputs.names:
            self._layout = layout = UserLayout(inputs.names, self._users)
        one_user = layout.has_one_user(inputs) and layout.has_steps(inputs)
        return one_user and self._engine.sizes.fit(inputs, rows)

    def _is_checked(self) -> bool:
        calls = self._count("calls")
        return calls <= FIRST_CALLS or (self._check_every > 0 and calls % self._check_every == 0)

    def _compare(
        self, expected: dict[str, NDArray[Any]], outputs: dict[str, NDArray[Any]], rows: int
    ) -> None:
        seen = difference(expected, outputs)
        if not seen.is_allowed:
            self._switch_off(f"output '{seen.output}' differs from the whole model's for {rows} rows")

    def _switch_off(self, why: str) -> None:
        with self._lock:
            already, self._switched_off = self._switched_off, self._switched_off or why
        if not already:
            logger.error("item results are switched off, the whole model answers", extra={"reason": why})

    def _count(self, event: str) -> int:
        with self._lock:
            self._counts[event] += 1
            return self._counts[event]


def _is_for_kept(request: ScoreRequest) -> bool:
    """Whether the items are those of the store, and nothing else is said of them."""
    return request.rows > 0 and len(request.item_ids) == request.rows and not request.item_features.names


def _features(tensors: Collection[str] | Iterator[str]) -> frozenset[str]:
    return frozenset(name.rpartition(".")[0] for name in tensors)


def _keys_of(store: ItemStore) -> Iterator[Column]:
    for keys, _ in store.scan((), batch_rows=_FILL_ROWS):
        yield keys
