"""combo_feature: every combination of the tokens of two or more inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from recserve._core import ComboKernel, Kernel
from recserve.errors import ConfigError
from recserve.features.types.feature_type import FeatureType, Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Combo(FeatureType):
    """Every combination of the tokens of two or more inputs, joined by `_`; the first input varies slowest.

    | user           | item         | keys                   | result                                 |
    |----------------|--------------|------------------------|----------------------------------------|
    | `["ua", "ub"]` | `"ia\\x1dib"` |                        | `["ua_ia", "ua_ib", "ub_ia", "ub_ib"]` |
    |                |              | `"value_dim": 1`       | `["ua_ia"]`                            |
    | `"ua"`         | `7`          | `"need_prefix": true`  | `["NAME_ua_7"]`                        |
    |                | `null`       |                        | `[]`                                   |
    |                |              | `"default_value": "x"` | `["x"]`                                |

    num_buckets and boundaries cannot be used. Source: docs/reference/features.md.
    """

    refused_buckets: ClassVar[tuple[str, ...]] = ("num_buckets", "boundaries")

    expression: tuple[str, ...]

    def check(self) -> None:
        if len(self.expression) < 2:
            raise ConfigError(f"expression has {len(self.expression)} inputs; a combo takes two or more")

    @property
    def discrete(self) -> bool:
        return True

    def inputs(self) -> tuple[Reference, ...]:
        return tuple(Reference.parse(text) for text in self.expression)

    def kernel(self, *, sequence: bool) -> Kernel:
        return ComboKernel(self.separator)
