"""The tensors that features of fg.json would be, as the measure of those that clients send instead (bypass).

An engine knows the names that its model reads and little more; fg.json knows which values are ids and which
are numbers, how many numbers a row has, and which features are steps of one sequence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from recserve.engines import sizes
from recserve.engines.engine import BATCH_SIZE, TensorSpec
from recserve.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from recserve.features.generator import Generator


@dataclass(frozen=True, slots=True)
class Layout:
    """Types and widths of tensors, and which of them have equally many steps."""

    specs: Mapping[str, TensorSpec]
    steps: Mapping[str, Sequence[str]]  # sequence → its F.lengths
    per_item: Mapping[
        str, bool
    ]  # F.lengths, else F.values → whether F has a row per item under INPUT_TILE too

    @classmethod
    def of(cls, features: Generator) -> Self:
        """What these features send."""
        widths = features.widths
        specs = {
            name: TensorSpec(dtype, rank, (sizes.Size(), sizes.exactly(widths[name])) if rank == 2 else ())
            for name, (dtype, rank) in features.tensors.items()
        }
        steps = {
            sequence: [f"{name}.lengths" for name in names if f"{name}.lengths" in specs]
            for sequence, names in features.sequences.items()
        }
        per_item = {
            f"{name}.lengths" if f"{name}.lengths" in specs else f"{name}.values": per_item
            for name, per_item in features.per_item.items()
        }
        return cls(specs, steps, per_item)

    def example(self, name: str, rows: int) -> int:
        """How many rows a tensor has in a request for `rows` items, under INPUT_TILE."""
        feature = name.rpartition(".")[0]
        per_item = self.per_item.get(f"{feature}.lengths", self.per_item.get(f"{feature}.values", True))
        return rows if per_item else 1

    def refined(self, inputs: Mapping[str, TensorSpec]) -> Mapping[str, TensorSpec]:
        """A model's inputs with what is known of them here."""
        return {name: self.specs.get(name, spec) for name, spec in inputs.items()}

    def check(self, given: Mapping[str, NDArray[Any]]) -> None:
        """Refuse tensors that features could not have made, by a RequestError that names one."""
        for name in given.keys() & self.specs.keys():
            spec, tensor = self.specs[name], given[name]
            if spec.shape:
                sizes.check({name: tensor}, {name: spec})
            elif spec.dtype == "int64" and tensor.dtype not in (np.int64, np.int32):
                raise RequestError(f"input '{name}' is {tensor.dtype} of shape {tensor.shape}; it is int64")
        self._check_rows(given)
        for names in self.steps.values():
            sent = [name for name in names if name in given]
            for name in sent[1:]:
                _check_steps(name, given[name], sent[0], given[sent[0]])

    def _check_rows(self, given: Mapping[str, NDArray[Any]]) -> None:
        """Under INPUT_TILE the user has one row, which the model repeats; what differs by item has all."""
        batch_size = given.get(BATCH_SIZE)
        rows = int(batch_size.reshape(-1)[0]) if batch_size is not None and batch_size.size == 1 else 1
        if rows == 1:
            return  # the offline form: all is repeated already
        for name, per_item in self.per_item.items():
            expected = rows if per_item else 1
            if name in given and given[name].ndim and len(given[name]) != expected:
                whose = "" if per_item else ", and the user has one row"
                raise RequestError(
                    f"input '{name}' has {len(given[name])} rows, but batch_size is {rows}{whose}"
                )


def _check_steps(name: str, lengths: NDArray[Any], first: str, expected: NDArray[Any]) -> None:
    """Members of one sequence are laid beside one another, step by step; the rows are compared elsewhere."""
    if lengths.shape != expected.shape or (lengths == expected).all():
        return
    row = int((lengths != expected).argmax())
    raise RequestError(
        f"input '{name}' is {lengths[row]} in row {row}, but '{first}' is {expected[row]}; "
        "members of one sequence have equally many steps"
    )
