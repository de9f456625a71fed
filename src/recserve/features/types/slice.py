"""slice_feature: a part of the tokens of one input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from recserve._core import Kernel, SliceKernel
from recserve.errors import ConfigError
from recserve.features.types.feature_type import FeatureType, Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice(FeatureType):
    """The tokens of one input from `start` to before `end`, every `step`th; counted as Python does.

    | expression             | keys                                              | result                 |
    |------------------------|---------------------------------------------------|------------------------|
    | `["a", "b", "c", "d"]` |                                                   | `["a", "b", "c", "d"]` |
    |                        | `"start": 1, "end": 3`                            | `["b", "c"]`           |
    |                        | `"start": -2`                                     | `["c", "d"]`           |
    |                        | `"end": -1, "step": 2`                            | `["a", "c"]`           |
    |                        | `"start": 1, "value_dim": 1, "need_prefix": true` | `["NAME_b"]`           |
    |                        | `"start": 9, "default_value": "x"`                | `["x"]`                |
    | `null`                 |                                                   | `[]`                   |

    Ours, all of it: the original names the type and does not say what its keys are. A step is at least 1.
    Source: docs/reference/features.md.
    """

    single_input: ClassVar[bool] = True

    expression: str
    start: int = 0
    end: int | None = None
    step: int = 1

    def check(self) -> None:
        if self.step < 1:
            raise ConfigError(f"step {self.step} is not at least 1")

    @property
    def discrete(self) -> bool:
        return True

    def inputs(self) -> tuple[Reference, ...]:
        return (Reference.parse(self.expression),)

    def kernel(self, *, sequence: bool) -> Kernel:
        return SliceKernel(self.separator, self.start, self.end, self.step)
