"""custom_feature: what an operator, chosen by its name, makes of the inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from recserve._core import Kernel, Normalizer
from recserve.errors import ConfigError
from recserve.features import operators
from recserve.features.bucketize import Buckets
from recserve.features.keys import canonical, read_fields
from recserve.features.types.feature_type import FeatureType, Reference

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recserve.features.assets import Assets


@dataclass(frozen=True, slots=True, kw_only=True)
class Custom(FeatureType):
    """What the operator `operator_name` makes of the inputs of `expression`; its keys stand beside the others.

    | a          | b           | keys                                                                                        | result                    |
    |------------|-------------|---------------------------------------------------------------------------------------------|---------------------------|
    | `"裙子"`     | `"连衣裙"`     | `"operator_name": "EditDistance", "encoding": "utf-8"`                                      | `[3.0]`                   |
    |            |             | `"operator_name": "EditDistance"`                                                           | `[8.0]`                   |
    | `"kitten"` | `"sitting"` | `"operator_name": "EditDistance", "boundaries": [1, 5]`                                     | `[1]`                     |
    |            |             | `"operator_name": "EditDistance", "value_type": "string"`                                   | `["3"]`                   |
    |            | `null`      | `"operator_name": "EditDistance", "default_value": "9"`                                     | `[9.0]`                   |
    | `"1;2;;4"` | `10`        | `"operator_name": "SeqExpr", "is_sequence": true, "default_value": "0", "formula": "a + b"` | `[11.0, 12.0, 0.0, 14.0]` |

    EditDistance: insertions, deletions and replacements of characters (utf-8) or bytes (latin, the default)
    that turn one text into the other. SeqExpr: a `formula` over the elements of its inputs, each cut at
    sequence_delim; one element stands for all; `spherical_distance` takes lng1, lat1, lng2, lat2 in degrees and
    gives km. operator_lib_file is not read.

    Ours: the texts of EditDistance are not cut; value_type absent is a number; SeqExpr makes sequences only.
    Source: docs/reference/features.md.
    """  # noqa: E501

    sequence_key: ClassVar[str] = "is_sequence"

    operator_name: str
    expression: tuple[str, ...]
    operator: operators.Operator
    value_dim: int = 1

    @classmethod
    def parse(cls, keys: Mapping[str, Any], assets: Assets) -> Self:
        keys = canonical(keys)
        fields = read_fields(cls, keys, but=("buckets", "operator"))
        names = tuple(Reference.parse(text).name for text in fields["expression"])
        found = operators.find(fields["operator_name"], str(keys.get("operator_lib_file", "")))
        operator = found.parse(keys, names, assets)
        return cls(buckets=Buckets.parse(keys, assets), operator=operator, **fields)

    @property
    def discrete(self) -> bool:
        return self.operator.discrete(self.value_type)

    @property
    def cuts_every_input(self) -> bool:
        return self.operator.cuts_every_input

    @property
    def python_step(self) -> bool:  # type: ignore[override]
        return self.operator.python_step

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
