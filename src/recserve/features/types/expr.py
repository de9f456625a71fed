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

    | a        | b     | keys                                              | result         |
    |----------|-------|---------------------------------------------------|----------------|
    | `1`      | `"2"` | `"expression": "a + b"`                           | `[3.0]`        |
    |          |       | `"expression": "a > b"`                           | `[0.0]`        |
    |          |       | `"expression": "sqrt(a - b)"`                     | `["nan"]`      |
    |          |       | `"expression": "a / b", "value_type": "int64"`    | `[0]`          |
    |          |       | `"expression": "a * 10", "hash_bucket_size": 100` | `[39]`         |
    | `[1, 2]` | `10`  | `"expression": "a + b"`                           | `[11.0]`       |
    |          |       | `"expression": "a + b", "value_dim": 2`           | `[11.0, 12.0]` |
    |          |       | `"expression": "a + b", "boundaries": [12]`       | `[0, 1]`       |
    |          |       | `"expression": "reduce_sum(a) + b"`               | `[13.0]`       |
    | `null`   |       | `"expression": "a + b", "default_value": "9"`     | `[9.0]`        |

    Numeric columns give float32 values, text gives doubles; the formula is double, the result value_type.
    vocab_list, vocab_dict and vocab_file cannot be used.

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
