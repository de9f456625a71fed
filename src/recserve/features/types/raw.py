"""raw_feature: the number, or the vector of numbers, of one input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from recserve._core import Kernel, RawKernel
from recserve.features.types.feature_type import FeatureType, Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw(FeatureType):
    """The number, or the vector of numbers, of one input.

    | input                     | keys                        | result                          |
    |---------------------------|-----------------------------|---------------------------------|
    | 3.5, `3.5` or [3.5, 4]    |                             | 3.5                             |
    | `1,2,3` or [1, 2, 3]      | value_dim 3, separator `,`  | 1 2 3                           |
    | [1, 2]                    | value_dim 3                 | 1 2 0                           |
    | (missing)                 | default_value "0"           | 0, not normalized               |
    | null, numeric column      | a bucketizer, no default    | bucket of 0.0, if value_dim 1   |
    | null, text or array       | a bucketizer, no default    | no id                           |

    Ours: value_dim 0 is 1; a padded 0.0 is not normalized; a text that is no number among the first value_dim
    makes the whole cell missing; strings inside an array are cut at the separator only where another feature
    produced them (`feature:NAME__lookup`).
    Source: docs/reference/features.md.
    """

    single_input: ClassVar[bool] = True

    expression: str
    value_type: str = "float"
    value_dim: int = 1

    def check(self) -> None:
        FeatureType.check(self)
        object.__setattr__(self, "value_dim", max(1, self.value_dim))

    @property
    def discrete(self) -> bool:
        return False

    @property
    def width(self) -> int:
        return self.value_dim

    def inputs(self) -> tuple[Reference, ...]:
        return (Reference.parse(self.expression),)

    def absent_type(self) -> str:
        return {"double": "float64", "int": "int64"}.get(self.value_type, "float32")

    def kernel(self, *, sequence: bool) -> Kernel:
        null_is_zero = not sequence and self.width == 1 and self.bucketized and not self.default_value
        return RawKernel(self.separator, null_is_zero)
