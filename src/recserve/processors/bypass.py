"""Runs a model on the tensors that a client sends: no features, no items.

decode (wire) ──TensorRequest──▶ run ──TensorResponse──▶ encode (wire)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from recserve.engines import sizes
from recserve.engines.engine import BATCH_SIZE, by_name
from recserve.messages import TensorRequest, TensorResponse
from recserve.observe.trace import Trace
from recserve.processors import what_runs
from recserve.processors.not_finite import NotFinite
from recserve.processors.processor import Signature, TensorInfo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from recserve.engines.engine import Engine, TensorSpec
    from recserve.processors.layout import Layout
    from recserve.processors.processor import Gauges


class Bypass:
    """A model without feature generation (`fg_mode: bypass`)."""

    answers: Literal["tensors"] = "tensors"

    def __init__(
        self,
        engine: Engine,
        *,
        layout: Layout | None = None,
        described_as: Mapping[str, str] | None = None,
        not_finite: NotFinite | None = None,
    ) -> None:
        self.engine = engine
        self._layout = layout
        self._described_as = dict(described_as or {})
        self._not_finite = not_finite or NotFinite()

    def predict(self, request: TensorRequest, trace: Trace | None = None) -> TensorResponse:
        """Answer one request."""
        trace = trace or Trace()
        if self._layout is not None:
            self._layout.check(by_name(request, list(self.engine.inputs)))
        response = self._settled(self.engine.run_tensors(request))
        trace.lap("run")
        outputs = (*response.named_outputs.values(), *response.outputs)
        trace.rows = len(outputs[0]) if outputs and outputs[0].ndim else 0
        return response

    def sample(self, rows: int) -> TensorRequest:
        """Zeros of one value per row, or in the sizes that are known, named as the model names them."""
        specs = self._inputs()
        tiled = BATCH_SIZE in specs and self._layout is not None
        shapes = sizes.example(specs, rows)
        zeros = {}
        for name, spec in specs.items():
            own = self._layout.example(name, rows) if tiled and self._layout else rows
            zeros[name] = (
                np.zeros((own, *shapes[name][1:]), spec.dtype) if spec.shape else _zeros(name, spec, own)
            )
        if BATCH_SIZE in specs:
            # Where nobody knows what is the user's, all is repeated already.
            zeros[BATCH_SIZE] = np.array([rows if tiled else 1], np.int64)
        return TensorRequest((), zeros)

    def signature(self) -> Signature:
        """The model's tensors; -1 where the size is the request's business."""
        return Signature(
            [TensorInfo(name, _sizes(spec), _shown(spec)) for name, spec in self._inputs().items()],
            [TensorInfo(name, (-1,), "DT_FLOAT") for name in self.engine.outputs],
        )

    def gauges(self) -> Gauges:
        """Scores that are no numbers, and what a compiled model did."""
        return {**self._not_finite.gauges(), **what_runs.gauges(self.engine)}

    def info(self) -> Mapping[str, str]:
        """What is served, in words."""
        return {**self._described_as, **what_runs.described(self.engine)}

    @property
    def kept_items(self) -> None:
        """Clients send all that the model reads."""

    def close(self) -> None:
        """End the thread that re-scores, if there is one; nothing else works beside requests."""
        what_runs.close(self.engine)

    def _inputs(self) -> Mapping[str, TensorSpec]:
        inputs = self.engine.inputs
        return inputs if self._layout is None else self._layout.refined(inputs)

    def _settled(self, response: TensorResponse) -> TensorResponse:
        """Every tensor is there by name; those by position are the same arrays."""
        named = dict(response.named_outputs)
        settled = self._not_finite.settled(named)
        if settled is named:
            return response
        by_array = {id(values): settled[name] for name, values in named.items()}
        return TensorResponse([by_array[id(values)] for values in response.outputs], settled)


def _sizes(spec: TensorSpec) -> tuple[int, ...]:
    """-1 where the number is the request's business."""
    if not spec.shape:
        return (-1,) * max(spec.rank, 1)
    return tuple(-1 if size.fixed is None else size.fixed for size in spec.shape)


def _zeros(name: str, spec: TensorSpec, rows: int) -> NDArray[Any]:
    """One value per row, which is what jagged inputs with lengths of one are too."""
    shape = () if spec.rank == 0 else (rows,) + (1,) * (spec.rank - 1)
    fill = 1 if name.endswith((".lengths", ".key_lengths")) else 0
    return np.full(shape, fill, np.dtype(spec.dtype or "float32"))


def _shown(spec: TensorSpec) -> str:
    return _SHOWN.get(spec.dtype, f"DT_{spec.dtype.upper() or 'INVALID'}")


# Where the protocol's name is not numpy's.
_SHOWN = {"float32": "DT_FLOAT", "float64": "DT_DOUBLE", "float16": "DT_HALF"}
