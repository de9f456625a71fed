"""combine_feature: the numbers of one input, combined to one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from recserve._core import CombineKernel, Kernel
from recserve.features.types.feature_type import FeatureType, Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Combine(FeatureType):
    """The numbers of one input, or those that `value_map` has for its tokens, combined to one.

    | expression        | keys                                                           | result       |
    |-------------------|----------------------------------------------------------------|--------------|
    | `"1\\x1d4\\x1d6"`   |                                                                | `[11.0]`     |
    |                   | `"combiner": "mean", "num_buckets": 9`                         | `[3]`        |
    |                   | `"combiner": "max", "normalizer": "method=minmax,min=0,max=8"` | `[0.75]`     |
    |                   | `"combiner": "gap_min", "boundaries": [1, 2]`                  | `[2]`        |
    |                   | `"combiner": "", "value_dim": 2`                               | `[1.0, 4.0]` |
    | `["a", "b", "z"]` | `"value_map": {"a": 1, "b": 2}`                                | `[3.0]`      |
    |                   | `"value_map": {"a": 1, "b": 2}, "combiner": "count"`           | `[2.0]`      |
    |                   | `"value_map": {"c": 1}, "default_value": "9"`                  | `[9.0]`      |
    |                   | `"default_value": "9"`                                         | `[9.0]`      |
    | `null`            |                                                                | `[0.0]`      |
    |                   | `"boundaries": [1]`                                            | `[]`         |

    Combiners are those of lookup_feature.

    Ours: tokens that value_map lacks are left out; without it a text that is no number makes the cell
    missing; sums are doubles, rounded once to value_type; the normalizer's formula is double for numbers that
    were text, float32 for others and for those of value_map. Source: docs/reference/features.md.
    """

    single_input: ClassVar[bool] = True

    expression: str
    value_map: tuple[tuple[str, float], ...] | None = None
    combiner: str = "sum"
    value_type: str = "float"
    value_dim: int = 1

    @property
    def discrete(self) -> bool:
        return False

    def inputs(self) -> tuple[Reference, ...]:
        return (Reference.parse(self.expression),)

    def kernel(self, *, sequence: bool) -> Kernel:
        return CombineKernel(self.separator, self.value_map, self.combiner)
