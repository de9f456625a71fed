"""What custom_feature can compute: one record per operator, found in OPERATORS by `operator_name`.

    custom_feature ──operator_name──▶ Operator.parse(keys) ──kernel──▶ as any other feature type

The original loads an operator from `operator_lib_file`, a shared library; here the name alone decides, and
nothing that fg.json names is loaded. Users `register` operators of their own.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from importlib import metadata
from threading import Lock
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, TypeVar

from recserve._core import EditDistanceKernel, Expression, ExprKernel, Kernel
from recserve.errors import ConfigError
from recserve.features import python_step
from recserve.features.keys import read_fields
from recserve.features.texts.replacement import Replacement

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pyarrow as pa

    from recserve.features.assets import Assets

    #: Arrow arrays, one per input, to one of the same length.
    Run = Callable[..., pa.Array]
    #: The whole feature object to what computes it.
    Make = Callable[[Mapping[str, Any]], Run]

AnyMake = TypeVar("AnyMake", bound="Make")

#: Where installed packages name operators: `Name = "their.module:make"`.
ENTRY_POINTS = "recserve.features"


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
            return cls(formula="sphere_dist(lng1, lat1, lng2, lat2)", names=("lng1", "lat1", "lng2", "lat2"))
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


@dataclass(frozen=True, kw_only=True)
class RegexReplace(Operator):
    """The tokens of one input, rewritten as `regex_replace_feature` does."""

    python_step: ClassVar[bool] = True

    regex_pattern: str | tuple[str, ...]
    replacement: str = ""
    replace_all: bool = True
    icase: bool = False

    @classmethod
    def parse(cls, keys: Mapping[str, Any], names: tuple[str, ...], assets: Assets) -> Self:
        if len(names) != 1:
            raise ConfigError(f"expression has {len(names)} inputs; RegexReplace takes one")
        operator = cls(**read_fields(cls, keys))
        operator._replace()
        return operator

    def discrete(self, value_type: str) -> bool:
        return True

    def kernel(self, *, separator: str) -> Kernel:
        return python_step.kernel(self._replace(), python_step.Unit.TOKEN, separator=separator)

    def _replace(self) -> Replacement:
        return Replacement.of(
            self.regex_pattern, self.replacement, replace_all=self.replace_all, icase=self.icase
        )


@dataclass(frozen=True, kw_only=True)
class Registered(Operator):
    """An operator of a user's own: a Python function of the rows of all inputs."""

    python_step: ClassVar[bool] = True

    keys: str  # the feature object, as JSON
    run: Run = field(compare=False)

    @classmethod
    def parse(cls, keys: Mapping[str, Any], names: tuple[str, ...], assets: Assets) -> Self:
        name, text = keys["operator_name"], json.dumps(keys, sort_keys=True)
        try:
            run = _maker_of(name)(json.loads(text))
        except ConfigError:
            raise
        except Exception as e:
            raise ConfigError(f"operator '{name}' cannot be made: {type(e).__name__}: {e}") from e
        if not callable(run):
            raise ConfigError(f"operator '{name}' gave {type(run).__name__}, not a function of columns")
        return cls(keys=text, run=run if keys.get("is_op_thread_safe") else _one_at_a_time(run))

    def kernel(self, *, separator: str) -> Kernel:
        return python_step.kernel(self.run, python_step.Unit.CELLS)


def _one_at_a_time(run: Run) -> Run:
    lock = Lock()

    def locked(*columns: pa.Array) -> pa.Array:
        with lock:
            return run(*columns)

    return locked


#: `operator_name` in fg.json → its record.
OPERATORS: dict[str, type[Operator]] = {
    "EditDistance": EditDistance,
    "RegexReplace": RegexReplace,
    "SeqExpr": SeqExpr,
}

_makers: dict[str, Make] = {}


def register(name: str) -> Callable[[AnyMake], AnyMake]:
    """Make the decorated function the operator `name` of custom_feature, in this process.

    It is called once for each feature, with the whole feature object, and gives the function that computes
    it: from Arrow arrays, one per input with null for missing cells, to one of the same length, a value or a
    list of values per row. That one is called for rows that were not seen before, and has to be pure; with
    `is_op_thread_safe` true by several threads at once.

        @register("Initial")
        def initial(feature):
            return lambda names: pc.utf8_slice_codeunits(names, 0, feature.get("letters", 1))

    An installed package registers its own by an entry point of the group "recserve.features".
    """
    if name in OPERATORS:
        raise ConfigError(f"operator '{name}' is built in; register yours under another name")

    def remember(make: AnyMake) -> AnyMake:
        _makers[name] = make
        return make

    return remember


def find(name: str, library: str = "") -> type[Operator]:
    """Find an operator by its name; `library`, a shared library of the original, is only told of."""
    if name in OPERATORS:
        return OPERATORS[name]
    installed = metadata.entry_points(group=ENTRY_POINTS).names
    if name in _makers or name in installed:
        return Registered
    not_loaded = f"operator_lib_file '{library}' is never loaded; " if library else ""
    raise ConfigError(
        f"unknown operator_name '{name}'; known: {', '.join(sorted({*OPERATORS, *_makers, *installed}))}; "
        f"{not_loaded}register one of your own with recserve.features.operators.register, or by an entry "
        f"point of the group {ENTRY_POINTS}"
    )


def _maker_of(name: str) -> Make:
    if name in _makers:
        return _makers[name]
    (entry_point,) = metadata.entry_points(group=ENTRY_POINTS, name=name)
    make: Make = entry_point.load()
    return make
