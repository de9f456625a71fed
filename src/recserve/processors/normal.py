"""Scores items from raw features: look up ─▶ generate ─▶ run.

decode (wire) ──ScoreRequest──▶ this page ──ScoreResponse──▶ encode (wire)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa

from recserve.columns import Batch, column_from_arrow
from recserve.messages import InputSchema, ScoreRequest, ScoreResponse
from recserve.observe.trace import Trace
from recserve.processors.processor import Signature, TensorInfo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from recserve.engines.engine import Engine
    from recserve.features.generator import Generator
    from recserve.items.store import ItemStore
    from recserve.processors.processor import Gauges, Labels


class Normal:
    """A model with feature generation (`fg_mode: normal`)."""

    answers: Literal["features"] = "features"

    def __init__(
        self,
        items: ItemStore,
        features: Generator,
        engine: Engine,
        *,
        empty_score: float = 0.0,
        schema: InputSchema | None = None,
        described_as: Mapping[str, str] | None = None,
    ) -> None:
        self.items = items
        self.features = features
        self.engine = engine
        self.empty_score = empty_score
        self.schema = schema
        self._sequence_keys = features.sequence_keys  # one mapping for all requests: the store plans it once
        self._described_as = dict(described_as or {})

    @property
    def types_if_missing(self) -> InputSchema:
        """Types of columns that the schema lacks, for requests that send nothing but missing values."""
        return InputSchema(**self.features.plan.absent_types())

    def score(self, request: ScoreRequest, trace: Trace | None = None) -> ScoreResponse:
        """Answer one request. What the request sends wins over what the store knows."""
        trace = trace or Trace()
        with self.items.pin() as rows:  # one epoch for candidates and sequences
            items = rows.gather(request.item_ids, rows=request.rows, overrides=request.item_features)
            clicked = rows.gather_lists(request.user, self._sequence_keys)
        trace.lap("look_up")
        inputs = self.features.generate(
            request.user, request.context, items.raw, items.finished, clicked, rows=request.rows
        )
        trace.lap("generate")
        outputs = self.engine.run(inputs, rows=request.rows, deadline=request.deadline)
        trace.lap("run")
        if len(request.item_ids):  # without ids nothing is looked up, so nothing is unknown
            trace.missing_items = request.rows - int(np.count_nonzero(items.known))
            if trace.missing_items:
                outputs = fill_missing(outputs, items.known, self.empty_score)
        return ScoreResponse(request.item_ids, outputs)

    def sample(self, rows: int) -> ScoreRequest:
        """A user and items of which nothing is known: every feature takes its default."""
        ids = column_from_arrow(pa.array([f"warm-up {row}" for row in range(rows)], pa.string()), "item_ids")
        return ScoreRequest(Batch(1), ids, Batch(rows), Batch(rows), rows)

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
        figures = self.items.figures()
        return {
            "recserve_item_rows": ("Rows of the item store.", float(figures.rows)),
            "recserve_item_bytes": ("Memory of the item store.", float(figures.bytes)),
            **counters,
            "recserve_features_problems_total": ("The same, by feature and kind.", by_feature),
        }

    def info(self) -> Mapping[str, str]:
        """What is served, in words."""
        return self._described_as

    def _declared_types(self) -> dict[str, str]:
        if self.schema is None:
            return {}
        declared = {**self.schema.item, **self.schema.context, **self.schema.user}
        return {name: _SHOWN_AS.get(kind, kind) for name, kind in declared.items()}


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
