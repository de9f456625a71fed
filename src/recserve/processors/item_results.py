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
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

from recserve.engines.flat_script import load_with_tables
from recserve.engines.guarded import FIRST_CALLS, MOST_FAILURES, UserLayout
from recserve.engines.item_programs import ITEMS, REST
from recserve.engines.later import Later
from recserve.engines.parity import difference
from recserve.engines.torch_arrays import device_of
from recserve.engines.torchscript import TorchScript
from recserve.errors import DeadlineError, RecserveError
from recserve.processors.result_tables import ResultTables

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from recserve.columns import Batch, ModelInputs
    from recserve.engines.guarded import Guarded, Users
    from recserve.engines.item_programs import ItemPrograms, Program
    from recserve.features.generator import Generator
    from recserve.items.keeper import Keeper
    from recserve.items.rows import FoundRows, Rows
    from recserve.items.store import ItemStore
    from recserve.messages import ScoreRequest
    from recserve.observe.trace import Trace
    from recserve.processors.load import Progress
    from recserve.processors.processor import Gauges, Labels
    from recserve.processors.result_tables import ResultTable

    #: By name, (rows, ...) each.
    Outputs = dict[str, NDArray[Any]]
    #: Outputs, and which items are known, (rows,).
    Answered = tuple[Outputs, NDArray[np.bool_]]

logger = logging.getLogger("recserve.item_results")


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
        self._programs, self._check_every = programs, check_every
        results = programs.widths.keys()
        self._of_rest = features.only(_features(name for name in programs.rest.inputs if name not in results))
        self._run_rest = self._opened(REST, programs.rest, outputs)
        self.tables = ResultTables(
            items,
            self._opened(ITEMS, programs.items, ()),
            features.only(_features(programs.items.inputs)),
            self._of_rest,
            programs.widths,
            budget_bytes=budget_bytes,
        )
        self._sequence_keys = features.sequence_keys
        self._layout: UserLayout | None = None
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._switched_off = ""
        self._in_a_row = 0  # failures; which of two threads counts last is no matter
        self._later = Later("recserve-check-items")

    def _opened(self, file: str, program: Program, outputs: Sequence[str]) -> TorchScript:
        script = load_with_tables(self._programs.folder / file, program.tables, self._engine.original.module)
        return TorchScript(script, device=device_of("cpu"), outputs=outputs, features=None, limits={})

    @property
    def switched_off(self) -> str:
        """Why nothing is answered this way any more; "" as long as it is."""
        return self._switched_off

    def answer(self, request: ScoreRequest, trace: Trace) -> Answered | None:
        """Score a request; None where it is not for this way, or it fails: then nothing has happened."""
        if self._switched_off or self._engine.figures.switched_off or not _is_for_kept(request):
            self._count("bypassed")
            return None
        calls = self._count("calls")
        whole: Callable[[], Outputs] | None = None
        with self._items.pin() as rows:
            table = self.tables.of(rows.store)
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
            if self._is_checked(calls):
                whole = self._whole(rows, request, clicked)
            try:
                inputs = self._with_results(inputs, rows, table, found)
            except RecserveError as error:
                self._fail(error)
                return None
            trace.lap("generate")
        try:
            outputs = self._run_rest.run(inputs, rows=request.rows, deadline=request.deadline)
        except DeadlineError:
            raise
        except RecserveError as error:
            self._fail(error)
            return None
        self._in_a_row = 0
        if whole is not None and calls > FIRST_CALLS:
            self._later.begin(partial(self._compare, whole, outputs, request.rows))
        elif whole is not None:
            expected = self._compare(whole, outputs, request.rows)
            outputs = expected if self._switched_off else outputs
        return outputs, items.known

    def start(self, progress: Progress) -> None:
        """Compute the results of all items, or of as many as there is room for, and keep them so."""
        self.tables.fill(progress)
        self.tables.start()

    def close(self) -> None:
        """End the threads that compute results and compare scores."""
        self.tables.close()
        self._later.close()

    def gauges(self) -> Gauges:
        """What is kept, and how often it served."""
        found = self.tables.table.results.figures
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
                float(counts.get("bypassed", 0) + counts.get("failures", 0)),
            ),
            "recserve_item_results_on": (
                "1: requests are answered from kept item results; 0: that switched itself off.",
                float(not self._switched_off),
            ),
        }

    def _with_results(
        self, inputs: ModelInputs, rows: Rows, table: ResultTable, found: FoundRows
    ) -> ModelInputs:
        """The inputs and what is kept of their items; what is not is computed, and kept."""
        inputs, missing = table.results.with_results(inputs, found)
        if len(missing):
            lacking = found.at(missing)
            results = self.tables.computed(rows, table, lacking)
            table.results.fill(inputs, missing, results)
            table.results.add(lacking, results)
        return inputs

    def _whole(
        self, rows: Rows, request: ScoreRequest, clicked: dict[str, tuple[Batch, Batch]]
    ) -> Callable[[], Outputs]:
        """The whole model, with features of the same versions of rows."""
        items = rows.gather(request.item_ids, rows=request.rows)
        inputs = self._features.generate(
            request.user, request.context, items.raw, items.finished, clicked, rows=request.rows
        )
        return partial(self._engine.run, inputs, rows=request.rows)

    def _fits(self, inputs: ModelInputs, rows: int) -> bool:
        layout = self._layout
        if layout is None or layout.names is not inputs.names:
            self._layout = layout = UserLayout(inputs.names, self._users)
        one_user = layout.has_one_user(inputs) and layout.has_steps(inputs)
        return one_user and self._engine.sizes.fit(inputs, rows)

    def _is_checked(self, calls: int) -> bool:
        return calls <= FIRST_CALLS or (self._check_every > 0 and calls % self._check_every == 0)

    def _compare(self, whole: Callable[[], Outputs], outputs: Outputs, rows: int) -> Outputs:
        """The whole model's answer; this way is switched off where it is another."""
        expected = whole()
        seen = difference(expected, outputs)
        if not seen.is_allowed:
            self._switch_off(f"output '{seen.output}' differs from the whole model's for {rows} rows")
        return expected

    def _fail(self, error: RecserveError) -> None:
        """Leave a request to the whole model; the first is told, many in a row are the end."""
        self._in_a_row += 1
        if self._count("failures") == 1:
            logger.warning(
                "item results failed, the whole model answers; more failures are only counted",
                extra={"reason": str(error)},
            )
        if self._in_a_row >= MOST_FAILURES:
            self._switch_off(f"they failed for {self._in_a_row} requests, one after the other: {error}")

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
