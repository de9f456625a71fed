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

    | value             | mask               | keys                                                                                                  | result                       |
    |-------------------|--------------------|-------------------------------------------------------------------------------------------------------|------------------------------|
    | `["a", "b", "c"]` | `"true\\x1d0\\x1d1"` |                                                                                                       | `["a", "c"]`                 |
    |                   |                    | `"value_dim": 1`                                                                                      | `["a"]`                      |
    |                   |                    | `"vocab_list": ["a", "b", "c"]`                                                                       | `[0, 2]`                     |
    |                   | `[0, 1]`           | `"need_prefix": true`                                                                                 | `["NAME_b"]`                 |
    |                   | `[0, 0]`           | `"default_value": "x"`                                                                                | `["x"]`                      |
    |                   | `"no"`             | `"default_value": "x"`                                                                                | `["x"]`                      |
    |                   | `null`             |                                                                                                       | `[]`                         |
    | `"7"`             | `[1, 1]`           | `"num_buckets": 10`                                                                                   | `[7]`                        |
    | `"a;;c,d;e"`      | `"1;1;1;0"`        | `"sequence_delim": ";", "sequence_fields": ["value", "mask"], "separator": ",", "default_value": "x"` | `[["a"], ["x"], ["c", "d"]]` |

    A sequence shrinks to the elements whose mask is true, all values of each; without any it is one default
    element.

    Ours: masks are true, false (in any case) and numbers, of which 0 is false; anything else makes the mask
    missing; what is longer, values or mask, is dropped; an element without mask is left out.
    Source: docs/reference/features.md.
    """  # noqa: E501

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
