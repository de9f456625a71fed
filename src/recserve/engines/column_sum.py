"""The smallest engine: adds up its inputs, row by row. It proves the contract and is the example to read.

Its model is a JSON file that names what each output sums:

    column_sum.json    {"outputs": {"score": ["age.values", "tags.values"]}}

A dense tensor adds its row, ids add those that `lengths` gives to the row; a tensor of one row counts for
every row. It needs no torch, so tests of servers and clients use it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from recserve.bundle import read_json_object
from recserve.engines import jagged
from recserve.engines.engine import (
    BATCH_SIZE,
    answer,
    by_name,
    check_deadline,
    check_features,
    check_outputs,
    check_request,
    specs_by_name,
    tensors,
)
from recserve.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from recserve.bundle import Bundle
    from recserve.columns import ModelInputs
    from recserve.engines.engine import TensorSpec
    from recserve.messages import TensorRequest, TensorResponse


class ColumnSum:
    """Sums of inputs, float32."""

    def __init__(
        self,
        sums: Mapping[str, Sequence[str]],
        reads: Iterable[str],
        *,
        outputs: Sequence[str],
        features: Mapping[str, TensorSpec] | None,
        limits: Mapping[str, int],
    ) -> None:
        check_outputs(outputs, sums)
        self._sums = {name: sums[name] for name in outputs or sorted(sums)}
        self._inputs = specs_by_name(sorted(reads))
        self._limits = limits
        if features is not None:
            check_features(features, self._inputs)
            self._inputs = {name: features.get(name, spec) for name, spec in self._inputs.items()}

    @classmethod
    def load(
        cls,
        bundle: Bundle,
        *,
        device: str = "cpu",
        threads: int = 1,
        outputs: Sequence[str] = (),
        features: Mapping[str, TensorSpec] | None = None,
        limits: Mapping[str, int] | None = None,
    ) -> Self:
        """Read column_sum.json."""
        sums = _sums(bundle.model_path)
        reads = {name for names in sums.values() for name in names}
        return cls(sums, reads, outputs=outputs, features=features, limits=limits or {})

    @property
    def inputs(self) -> Mapping[str, TensorSpec]:
        """Tensors that the sums name, sorted."""
        return self._inputs

    @property
    def outputs(self) -> Sequence[str]:
        """Names of the sums, as configured, else sorted."""
        return tuple(self._sums)

    def warm_up(self, samples: Iterable[tuple[ModelInputs, int]]) -> None:
        """Run every sample once: nothing here gets quicker."""
        for inputs, rows in samples:
            self.run(inputs, rows=rows)

    def run(
        self, inputs: ModelInputs, *, rows: int, deadline: float | None = None
    ) -> dict[str, NDArray[Any]]:
        """Sums by name, (rows,) each."""
        check_deadline(deadline)
        return self._add_up(tensors(inputs), rows)

    def run_tensors(self, request: TensorRequest) -> TensorResponse:
        """Sums for a caller's tensors."""
        given = by_name(request, list(self._inputs))
        check_request(given, self._inputs)
        jagged.check(given, tile=BATCH_SIZE in self._inputs, limits=self._limits)
        check_deadline(request.deadline)
        rows = max((len(_row_sums(name, given)) for name in given if name.endswith(".values")), default=0)
        return answer(request, self._add_up(given, rows))

    def _add_up(self, given: Mapping[str, NDArray[Any]], rows: int) -> dict[str, NDArray[Any]]:
        result: dict[str, NDArray[Any]] = {}
        for output, names in self._sums.items():
            total = np.zeros(rows)
            for name in names:
                if name.endswith(".values"):
                    total += _row_sums(name, given)
            result[output] = total.astype(np.float32)
        return result


def _sums(path: Path) -> Mapping[str, Sequence[str]]:
    sums = read_json_object(path).get("outputs")
    if not isinstance(sums, dict) or not sums:
        raise BundleError(f'{path} has no outputs; write {{"outputs": {{"score": ["age.values"]}}}}')
    return sums


def _row_sums(name: str, given: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
    """(rows,): what a feature's values add to each row."""
    values, lengths = np.asarray(given[name], np.float64), given.get(name.removesuffix("values") + "lengths")
    sums: NDArray[np.float64] = values.sum(axis=tuple(range(1, values.ndim)))
    if lengths is None:
        return sums
    ends = np.cumsum(lengths)
    running = np.concatenate([[0.0], np.cumsum(sums)])
    of_rows: NDArray[np.float64] = running[ends] - running[ends - lengths]
    return of_rows
