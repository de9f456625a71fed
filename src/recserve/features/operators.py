"""What custom_feature can compute: one record per operator, found in OPERATORS by `operator_name`.

    custom_feature ──operator_name──▶ Operator.parse(keys) ──kernel──▶ as any other feature type

The original loads an operator from `operator_lib_file`, a shared library; here the name alone decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from recserve._core import EditDistanceKernel, Expression, ExprKernel, Kernel
from recserve.errors import ConfigError
from recserve.features.keys import read_fields

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recserve.features.assets import Assets


class Operator(Protocol):
    """The operator of one custom_feature: a frozen record of the keys that are its own.

    Records are compared and hashed: two that are equal compute the same.
    """

    #: Every input is a sequence, cut by the feature's own sequence_delim, and one element stands for all.
    cuts_every_input: ClassVar[bool] = False
    #: Computed by Python code over whole columns.
    python_step: ClassVar[bool] = False

    @classmethod
    def parse(cls, keys: Mapping[str, Any], names: tuple[str, ...], assets: Assets) -> Self:
        """Read the whole feature object; `names` are its inputs, without their sides, in order."""
        ...

    def discrete(self, value_type: str) -> bool:
        """Results are tokens rather than numbers, under a value_type of the feature."""
        return value_type == "string"

    @property
    def random(self) -> bool:
        """Two evaluations may differ."""
        return False

    def kernel(self, *, separator: str) -> Kernel:
        """Build the kernel; its inputs are those of `names`."""
        ...


@dataclass(frozen=True, kw_only=True)
class EditDistance(Operator):
    """How many insertions, deletions and substitutions turn one text into the other.

    Texts are not cut into values. `encoding`: characters (utf-8) or bytes (latin) are counted.
    """

    encoding: str = "latin"

    @classmethod
    def parse(cls, keys: Mapping[str, Any], names: tuple[str, ...], assets: Assets) -> Self:
        if len(names) != 2:
            raise ConfigError(f"expression has {len(names)} inputs; EditDistance takes two")
        operator = cls(**read_fields(cls, keys))
        if operator.encoding.lower() not in ("utf-8", "latin"):
            raise ConfigError(f"unknown encoding '{operator.encoding}'; known: utf-8, latin")
        return operator

    def kernel(self, *, separator: str) -> Kernel:
        return EditDistanceKernel(self.encoding.lower() == "utf-8")


@dataclass(frozen=True, kw_only=True)
class SeqExpr(Operator):
    """A formula over the elements of sequences; a missing one makes its element missing.

    `spherical_distance` takes lng1, lat1, lng2, lat2 in degrees, whatever they are called, and gives km.
    """

    cuts_every_input: ClassVar[bool] = True

    formula: str
    names: tuple[str, ...]

    @classmethod
    def parse(cls, keys: Mapping[str, Any], names: tuple[str, ...], assets: Assets) -> Self:
        formula = read_fields(cls, keys, but=("names",))["formula"]
        if formula.strip() == "spherical_distance":
            if len(names) != 4:
                raise ConfigError(
                    f"expression has {len(names)} inputs; spherical_distance takes lng1, lat1, lng2, lat2"
                )
            return cls(
                formula="sphere_dist(lng1, lat1, lng2, lat2)", names=("lng1", "lat1", "lng2", "lat2")
            )
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ConfigError(f"inputs {twice} are there twice")
        return cls(formula=formula, names=names)

    @property
    def random(self) -> bool:
        return self._formula().uses_random

    def kernel(self, *, separator: str) -> Kernel:
        return ExprKernel(self._formula(), separator, float("nan"))

    def _formula(self) -> Expression:
        return Expression.parse(self.formula, list(self.names))


#: `operator_name` in fg.json → its record.
OPERATORS: dict[str, type[Operator]] = {
    "EditDistance": EditDistance,
    "SeqExpr": SeqExpr,
}
