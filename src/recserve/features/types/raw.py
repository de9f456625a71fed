"""raw_feature: the number, or the vector of numbers, of one input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from recserve._core import Kernel, RawKernel
from recserve.features.types.feature_type import FeatureType, Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw(FeatureType):
    """The number, or the vector of numbers, of one input.

    | expression | keys                                                 | result            |
    |------------|------------------------------------------------------|-------------------|
    | `3.5`      |                                                      | `[3.5]`           |
    | `"3.5"`    | `"value_type": "int64"`                              | `[3]`             |
    |            | `"normalizer": "method=minmax,min=0,max=7"`          | `[0.5]`           |
    |            | `"boundaries": [1, 3.5]`                             | `[2]`             |
    | `[3.5, 4]` |                                                      | `[3.5]`           |
    |            | `"value_dim": 3`                                     | `[3.5, 4.0, 0.0]` |
    | `"1,2,3"`  | `"value_dim": 3, "separator": ","`                   | `[1.0, 2.0, 3.0]` |
    | `"x"`      | `"default_value": "9"`                               | `[9.0]`           |
    | `""`       | `"default_value": "9", "normalizer": "method=log10"` | `[9.0]`           |
    |            | `"default_value": "9", "value_dim": 2`               | `[9.0, 9.0]`      |
    |            |                                                      | `[0.0]`           |
    |            | `"boundaries": [1]`                                  | `[]`              |

    A null of a numeric scalar column goes by the type of the column: with a bucketizer, value_dim 1 and no
    default it is the bucket of 0.0, not normalized.

    Ours: value_dim 0 is 1; a padded 0.0 is not normalized; a text that is no number among the first value_dim
    makes the whole cell missing; strings inside an array are cut at the separator only where another feature
    produced them (`feature:NAME__lookup`). Source: docs/reference/features.md.
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
