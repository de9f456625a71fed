"""bool_mask_feature: the values whose mask is true."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from recserve._core import BoolMaskKernel, Kernel
from recserve.errors import ConfigError
from recserve.features.types.feature_type import FeatureType, Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class BoolMask(FeatureType):
    """The tokens of the first input at whose places the second, the mask, is true.

    | value                  | mask                         | keys                                                              | result       |
    |------------------------|------------------------------|-------------------------------------------------------------------|--------------|
    """

    sequence_key: ClassVar[str] = "sequence_delim"
    shortens: ClassVar[bool] = True

    expression: tuple[str, ...]

    def check(self) -> None:
        if len(self.expression) != 2:
            raise ConfigError(f"expression has {len(self.expression)} inputs; it takes values and their mask")

    @property
    def discrete(self) -> bool:
        return True

    def inputs(self) -> tuple[Reference, ...]:
        return tuple(Reference.parse(text) for text in self.expression)

    def kernel(self, *, sequence: bool) -> Kernel:
        return BoolMaskKernel(self.separator, sequence)
