"""Scores items from raw features: look up ─▶ generate ─▶ run.

decode (wire) ──ScoreRequest──▶ this page ──ScoreResponse──▶ encode (wire)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa

from recserve.columns import Batch, column_from_arrow
from recserve.items.keeper import Keeper
from recserve.messages import InputSchema, ScoreRequest, ScoreResponse
from recserve.observe.trace import Trace
from recserve.processors import what_runs
from recserve.processors.kept_items import KeptItems
from recserve.processors.looking import Looking
from recserve.processors.made_up import MadeUpRequests, some_ids
from recserve.processors.not_finite import NotFinite
from recserve.processors.processor import Signature, TensorInfo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from recserve.columns import ModelInputs
    from recserve.engines.engine import Engine
    from recserve.feature_store.users import UserFeatures, UserFigures
    from recserve.features.checks.debug_text import Separators
    from recserve.features.generator import Generator
    from recserve.items.store import ItemStore, StoreFigures
    from recserve.processors.debug import DebugLevel
    from recserve.processors.item_results import WithItemResults
    from recserve.processors.processor import Gauges, Labels


class Normal:
    """A model with feature generation (`fg_mode: normal`)."""

    answers: Literal["features"] = "features"

    def __init__(
        self,
        items: Keeper | ItemStore,
        features: Generator,
        engine: Engine,
        *,
        empty_score: float = 0.0,
        schema: InputSchema | None = None,
        users: UserFeatures | None = None,
        described_as: Mapping[str, str] | None = None,
        pass_through: Mapping[str, str] | None = None,
        not_finite: NotFinite | None = None,
        separators: Separators | None = None,
        item_results: WithItemResults | None = None,
    ) -> None:
        self.items = items
        self.features = features
        self.engine = engine
        self.empty_score = empty_score
        self.schema = schema
        self.users = users
        self.item_results = item_results
        self._sequence_keys = features.sequence_keys  # one mapping for all requests: the store plans it once
        self._described_as = dict(described_as or {})
        self._pass_through = dict(pass_through or {})
        self._not_finite = not_finite or NotFinite()
        self._looking = Looking(features, engine, schema=schema, separators=separators)

    @property
    def types_if_missing(self) -> InputSchema:
        """Types of columns that the schema lacks, for requests that send nothing but missing values."""
        return InputSchema(**self.features.plan.absent_types())

    @property
    def columns(self) -> Mapping[str, Mapping[str, str]]:
        """See Scorer. A type is that of the schema, else of the item tables, else of the features."""
        plan, kept = self.features.plan, self.kept_items
        reads = {"user": plan.user_inputs, "context": plan.context_inputs, "item": plan.raw_columns}
        types = plan.absent_types()
        types["item"] |= kept.types if kept is not None else {}
        for side in reads if self.schema is not None else ():
            types[side] |= getattr(self.schema, side)
        return {
            side: {name: types[side].get(name, "string") for name in names} for side, names in reads.items()
        }

    def score(self, request: ScoreRequest, trace: Trace | None = None) -> ScoreResponse:
        """Answer one request. What the request sends wins over what the store knows."""
        trace = trace or Trace()
        answered = self.item_results.answer(request, trace) if self.item_results is not None else None
        if answered is not None:
            return self.settle(request, *answered, trace)
        inputs, known = self.prepare(request, trace)
        outputs = self.engine.run(inputs, rows=request.rows, deadline=request.deadline)
        return self.settle(request, outputs, known, trace)

    def prepare(
        self, request: ScoreRequest, trace: Trace, *, shared: bool = False
    ) -> tuple[ModelInputs, NDArray[np.bool_]]:
        """Look up and generate: what the model takes, and which items are known, (rows,).

        `shared`: for a call of the model with other requests; see together.py.
        """
        with self.items.pin() as rows:  # one epoch for candidates and sequences
            items = rows.gather(request.item_ids, rows=request.rows, overrides=request.item_features)
            clicked = rows.gather_lists(request.user, self._sequence_keys)
        trace.lap("look_up")
        inputs = self.features.generate(
            request.user,
            request.context,
            items.raw,
            items.finished,
            clicked,
            rows=request.rows,
            shared=shared,
        )
        trace.lap("generate")
        return inputs, items.known

    def settle(
        self,
        request: ScoreRequest,
        outputs: dict[str, NDArray[Any]],  # (rows, ...) each
        known: NDArray[np.bool_],  # (rows,)
        trace: Trace,
    ) -> ScoreResponse:
        """Make the answer of what the model has said."""
        return ScoreResponse(
            request.item_ids, self._settled(request, outputs, known, trace), self._pass_through
        )

    def look(self, request: ScoreRequest, level: DebugLevel, trace: Trace | None = None) -> ScoreResponse:
        """See Scorer: the verbs of `score`, with an eye on what they hand on."""
        trace = trace or Trace()
        with self.items.pin() as rows:  # texts and scores are of one epoch too
            items = rows.gather(request.item_ids, rows=request.rows, overrides=request.item_features)
            clicked = rows.gather_lists(request.user, self._sequence_keys)
            look = self._looking.at(request, level, rows)
        trace.lap("look_up")
        inputs = look.generate((request.user, request.context, items.raw, items.finished, clicked))
        trace.lap("generate")
        look.log(trace)
        if not level.predicts:
            return look.response({}, self._pass_through)
        outputs = self.engine.run(inputs, rows=request.rows, deadline=request.deadline)
        return look.response(self._settled(request, outputs, items.known, trace), self._pass_through)

    def item_texts(self, request: ScoreRequest) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """See Scorer. Raw columns that are not kept (`keep_raw_items: false`) are left out."""
        with self.items.pin() as rows:
            items = rows.gather(request.item_ids, rows=request.rows, overrides=request.item_features)
            clicked = rows.gather_lists(request.user, self._sequence_keys)
            gathered = (request.user, request.context, items.raw, items.finished, clicked)
            return self._looking.item_texts(request, rows, gathered)

    def _settled(
        self,
        request: ScoreRequest,
        outputs: dict[str, NDArray[Any]],
        known: NDArray[np.bool_],
        trace: Trace,
    ) -> dict[str, NDArray[Any]]:
        trace.lap("run")
        if len(request.item_ids):  # without ids nothing is looked up, so nothing is unknown
            trace.missing_items = request.rows - int(np.count_nonzero(known))
            if trace.missing_items:
                outputs = fill_missing(outputs, known, self.empty_score)
        return self._not_finite.settled(outputs)

    def sample(self, rows: int) -> ScoreRequest:
        """A user and items of which nothing is known: every feature takes its default."""
        ids = column_from_arrow(pa.array([f"warm-up {row}" for row in range(rows)], pa.string()), "item_ids")
        return ScoreRequest(Batch(1), ids, Batch(rows), Batch(rows), rows)

    def made_up(self) -> MadeUpRequests:
        """See Scorer: known items, and users of whom something is known."""
        store = self.items.store if isinstance(self.items, Keeper) else self.items
        return MadeUpRequests(self.features, some_ids(store))

    def signature(self) -> Signature:
        """Request columns and model outputs; a column is one value for the request, or one per item."""
        plan = self.features.plan
        columns: list[tuple[str, tuple[int, ...]]] = [(name, ()) for name in sorted(plan.user_inputs)]
        columns += [(name, (-1,)) for name in sorted(plan.context_inputs | plan.raw_columns)]
        types = self._declared_types()
        inputs = [TensorInfo(name, shape, types.get(name, "DT_STRING")) for name, shape in columns]
        return Signature(inputs, [TensorInfo(name, (-1,), "DT_FLOAT") for name in self.engine.outputs])

    def gauges(self) -> Gauges:
        """Rows of the item store, and what feature generation had to overlook."""
        counters = {
            f"recserve_features_{name}_total": ("Counted by feature generation.", float(value))
            for name, value in self.features.counters.items()
        }
        by_feature: dict[Labels, float] = {
            (("feature", feature), ("kind", kind)): float(count)
            for (feature, kind), count in self.features.counters_by_feature.items()
        }
        return {
            **_of_items(self.items.figures()),
            **(self.items.gauges() if isinstance(self.items, Keeper) else {}),
            **(_of_users(self.users.figures) if self.users is not None else {}),
            **counters,
            "recserve_features_problems_total": ("The same, by feature and kind.", by_feature),
            **self._not_finite.gauges(),
            **what_runs.gauges(self.engine),
            **(self.item_results.gauges() if self.item_results is not None else {}),
        }

    def info(self) -> Mapping[str, str]:
        """What is served, in words."""
        return {**self._described_as, **what_runs.described(self.engine)}

    @property
    def kept_items(self) -> KeptItems | None:
        """The items for operators; None where no table is kept."""
        return KeptItems(self.items) if isinstance(self.items, Keeper) else None

    def close(self) -> None:
        """End the threads that keep items and their results, look users up and re-score; let sources go."""
        if self.item_results is not None:
            self.item_results.close()
        what_runs.close(self.engine)
        if isinstance(self.items, Keeper):
            self.items.close()
        if self.users is not None:
            self.users.close()

    def _declared_types(self) -> dict[str, str]:
        if self.schema is None:
            return {}
        declared = {**self.schema.item, **self.schema.context, **self.schema.user}
        return {name: _SHOWN_AS.get(kind, kind) for name, kind in declared.items()}


def _of_items(figures: StoreFigures) -> Gauges:
    memory: dict[Labels, float] = {
        (("kind", kind),): float(getattr(figures, f"{kind}_bytes"))
        for kind in ("rows", "arena", "dictionary", "index")
    }
    return {
        "recserve_item_rows": ("Rows of the item store.", float(figures.rows)),
        "recserve_item_bytes": ("Memory of the item store.", float(figures.bytes)),
        "recserve_item_memory_bytes": ("The same by what it holds.", memory),
        "recserve_item_look_ups_total": ("Ids that were looked up.", float(figures.lookups)),
        "recserve_item_misses_total": ("Those that no item has.", float(figures.misses)),
    }


def _of_users(figures: UserFigures) -> Gauges:
    outcomes: dict[Labels, float] = {
        (("outcome", name),): float(getattr(figures, name))
        for name in ("cached", "found", "unknown", "late", "failed", "refused")
    }
    return {
        "recserve_user_look_ups_total": ("Look-ups of a request's user.", outcomes),
        "recserve_user_gets_total": ("Those that went to the online store.", float(figures.asked)),
        "recserve_user_cache_rows": ("Users that are remembered.", float(figures.cached_rows)),
        "recserve_user_cache_bytes": ("Memory of remembered users.", float(figures.cached_bytes)),
    }


_SHOWN_AS = {
    "int32": "DT_INT32",
    "int64": "DT_INT64",
    "float32": "DT_FLOAT",
    "float64": "DT_DOUBLE",
    "string": "DT_STRING",
}


def fill_missing(
    outputs: Mapping[str, NDArray[Any]],
    known: NDArray[np.bool_],  # (n,)
    empty_score: float,
) -> dict[str, NDArray[Any]]:
    """Write `empty_score` into the rows of unknown items, whatever the shape of a row."""
    unknown = ~known
    filled = {}
    for name, values in outputs.items():
        filled[name] = values.copy()  # they may be the model's own memory
        filled[name][unknown] = empty_score
    return filled
