"""custom_feature: what an operator, chosen by its name, makes of the inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from recserve._core import Kernel, Normalizer
from recserve.errors import ConfigError
from recserve.features.keys import canonical, read_fields
from recserve.features.bucketize import Buckets
from recserve.features.operators import OPERATORS, Operator
from recserve.features.types.feature_type import FeatureType, Reference

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recserve.features.assets import Assets


@dataclass(frozen=True, slots=True, kw_only=True)
class Custom(FeatureType):
    """What the operator `operator_name` makes of the inputs of `expression`; its keys stand beside the others.

    Source: docs/reference/features.md.
    """

    sequence_key: ClassVar[str] = "is_sequence"

    operator_name: str
    expression: tuple[str, ...]
    operator: Operator
    value_dim: int = 1

    @classmethod
    def parse(cls, keys: Mapping[str, Any], assets: Assets) -> Self:
        keys = canonical(keys)
        fields = read_fields(cls, keys, but=("buckets", "operator"))
        name = fields["operator_name"]
        if name not in OPERATORS:
            raise ConfigError(f"unknown operator_name '{name}'; known: {', '.join(OPERATORS)}")
        names = tuple(Reference.parse(text).name for text in fields["expression"])
        operator = OPERATORS[name].parse(keys, names, assets)
        return cls(buckets=Buckets.parse(keys, assets), operator=operator, **fields)

    @property
    def discrete(self) -> bool:
        return self.operator.discrete(self.value_type)

    @property
    def cuts_every_input(self) -> bool:
        return self.operator.cuts_every_input

    @property
    def random(self) -> bool:
        normalizer = Normalizer.parse("" if self.discrete else self.normalizer)
        return self.operator.random or normalizer.uses_random

    def inputs(self) -> tuple[Reference, ...]:
        return tuple(Reference.parse(text) for text in self.expression)

    def kernel(self, *, sequence: bool) -> Kernel:
        if self.cuts_every_input and not sequence:
            raise ConfigError(f"{self.operator_name} makes sequences; give is_sequence true")
        return self.operator.kernel(separator=self.separator)
