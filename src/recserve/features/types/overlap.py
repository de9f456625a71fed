"""overlap_feature: how much of a query is in a title."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from recserve._core import Kernel, OverlapKernel
from recserve.features.types.feature_type import FeatureType, Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap(FeatureType):
    """How much of the tokens of `query` is among those of `title`, by `method`.

    """

    zero_default: ClassVar[bool] = True

    query: str
    title: str
    method: str
    value_type: str = "float"
    value_dim: int = 1

    @property
    def discrete(self) -> bool:
        return False

    def inputs(self) -> tuple[Reference, ...]:
        return (Reference.parse(self.query), Reference.parse(self.title))

    def kernel(self, *, sequence: bool) -> Kernel:
        return OverlapKernel(self.separator, self.method)
