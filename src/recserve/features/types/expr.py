"""expr_feature: a formula over numbers and vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from recserve._core import Expression, ExprKernel, Kernel, Normalizer
from recserve.errors import ConfigError
from recserve.features.types.feature_type import FeatureType, Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Expr(FeatureType):
    """A formula (`expression`) over `variables`, each named as its input is behind the side.

    | formula      | variables        | keys        | result                     |
    |--------------|------------------|-------------|----------------------------|
    | `a + b`      | a = 1, b = `2`   |             | 3.0                        |
    | `a + b`      | a = [1, 2], b=10 | value_dim 2 | 11.0 12.0                  |
    | `a > b`      | a = 1, b = 2     |             | 0.0                        |
    | `a + b`      | a missing        |             | (missing) -> default_value |

    Numeric columns give float32 values, text gives doubles; the formula is double, the result value_type.
    Ours: a normalizer, which the training side never writes here, has the result as a double.
    Source: docs/reference/features.md.
    """

    refused_buckets: ClassVar[tuple[str, ...]] = ("vocab_list", "vocab_dict", "vocab_file")

    expression: str
    variables: tuple[str, ...]
    value_type: str = "float"
    fill_missing: float = float("nan")

    def check(self) -> None:
        FeatureType.check(self)
        names = [reference.name for reference in self.inputs()]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ConfigError(f"variables {twice} are there twice")

    @property
    def discrete(self) -> bool:
        return False

    def inputs(self) -> tuple[Reference, ...]:
        return tuple(Reference.parse(text) for text in self.variables)

    @property
    def random(self) -> bool:
        return self._formula().uses_random or Normalizer.parse(self.normalizer).uses_random

    def kernel(self, *, sequence: bool) -> Kernel:
        return ExprKernel(self._formula(), self.separator, self.fill_missing)

    def _formula(self) -> Expression:
        return Expression.parse(self.expression, [reference.name for reference in self.inputs()])
