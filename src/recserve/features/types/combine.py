"""combine_feature: the numbers of one input, combined to one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from recserve._core import CombineKernel, Kernel
from recserve.features.types.feature_type import FeatureType, Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Combine(FeatureType):
    """The numbers of one input, or those that `value_map` has for its tokens, combined to one.

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
