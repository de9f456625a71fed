"""id_feature: the tokens of one input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from recserve._core import IdKernel, Kernel
from recserve.features.types.feature_type import FeatureType, Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Id(FeatureType):
    """The tokens of one input, as ids.

    | input              | keys              | tokens                      |
    |--------------------|-------------------|-----------------------------|
    | `a\\x1db`          |                   | a, b                        |
    | `a\\x1db`          | value_dim 1       | a                           |
    | 7                  |                   | 7 (num_buckets: the number) |
    | `abc`              | need_prefix       | NAME_abc                    |
    | `a:0.5\\x1db`      | weighted          | a, b with weights 0.5, 1    |
    | {a: 0.5}           | weighted          | a with weight 0.5           |
    | {a: 0.5}           |                   | a                           |
    | (missing)          |                   | default_value, as one token |

    Ours: a weighted token is cut at its last colon; a weight that is no number makes the cell missing;
    num_buckets reads the bare token, without prefix. Source: docs/reference/features.md.
    """

    single_input: ClassVar[bool] = True

    expression: str
    weighted: bool = False

    @property
    def discrete(self) -> bool:
        return True

    @property
    def is_weighted(self) -> bool:
        return self.weighted

    def inputs(self) -> tuple[Reference, ...]:
        return (Reference.parse(self.expression),)

    def kernel(self, *, sequence: bool) -> Kernel:
        return IdKernel(self.separator, self.weighted)
