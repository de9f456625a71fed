"""What all feature types share: the keys that all may have, read from fg.json into frozen records.

A type is a subclass whose fields are its fg.json keys (in snake case; `needDiscrete` is `need_discrete`) and
whose docstring is its table of cases. `native` work lies in the kernel that it names.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

from recserve._core import Bucketizer, Kernel, Normalizer, Rules
from recserve.config.nearest import did_you_mean
from recserve.errors import ConfigError
from recserve.features.bucketize import Buckets
from recserve.features.keys import canonical, read_fields, together

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recserve.features.assets import Assets

SIDES = ("user", "item", "context", "feature", "const")

#: value_type in lower case → what a value is before it is bucketized.
VALUE_TYPES = {
    "": "",
    "string": "string",
    "float": "float",
    "float32": "float",
    "double": "double",
    "float64": "double",
    **dict.fromkeys(("int", "int32", "int64", "integer", "bigint", "long"), "int"),
}
_NATIVE_TYPES = {
    "float": Bucketizer.ValueType.FLOAT32,
    "double": Bucketizer.ValueType.FLOAT64,
    "int": Bucketizer.ValueType.INT64,
}


@dataclass(frozen=True, slots=True)
class Reference:
    """One input, `side:name`."""

    side: str
    name: str

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Cut at the first colon; a constant may hold more of them."""
        side, colon, name = text.partition(":")
        if not colon or side not in SIDES or (not name and side != "const"):
            hint = did_you_mean(side, SIDES) if colon else ""
            raise ConfigError(f"input '{text:.60}' is not side:name; known sides: {', '.join(SIDES)}{hint}")
        return cls(side, name)

    def __str__(self) -> str:
        return f"{self.side}:{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureType(ABC):
    """One feature object of fg.json."""

    #: The type has one input, which is the sequence where the feature is one.
    single_input: ClassVar[bool] = False
    #: Computed by Python code over whole columns, for values that were not seen before (python_step.py).
    python_step: ClassVar[bool] = False
    #: The fg.json key that makes the type a sequence where it stands alone, beside its name `sequence_<type>`
    #: or, if it is `is_sequence`, instead of it.
    sequence_key: ClassVar[str] = ""
    #: A sequence may become shorter: its elements are not those of the group's other members.
    shortens: ClassVar[bool] = False
    #: A missing result without default_value is 0.0 before it is bucketized: there is always a value.
    zero_default: ClassVar[bool] = False
    #: Bucketizer keys that this type does not take.
    refused_buckets: ClassVar[tuple[str, ...]] = ()

    feature_name: str
    default_value: str = ""
    value_type: str = ""
    value_dim: int = 0
    separator: str = "\x1d"
    need_prefix: bool = False
    normalizer: str = ""
    stub_type: bool = False
    sequence_fields: tuple[str, ...] | None = None
    buckets: Buckets = field(default_factory=Buckets)

    def __post_init__(self) -> None:
        if self.value_type.lower() not in VALUE_TYPES:
            known = ", ".join(sorted(name for name in VALUE_TYPES if name))
            hint = did_you_mean(self.value_type, [name for name in VALUE_TYPES if name])
            raise ConfigError(f"unknown value_type '{self.value_type:.60}'; known: {known}{hint}")
        object.__setattr__(self, "value_type", VALUE_TYPES[self.value_type.lower()])
        if self.value_dim < 0:
            raise ConfigError(f"value_dim {self.value_dim} is negative")
        if len(self.separator.encode()) != 1:
            raise ConfigError(f"separator {self.separator!r} is not exactly one byte")
        if self.buckets.key in self.refused_buckets:
            raise ConfigError(f"{self.buckets.key} cannot be used here")
        self.check()

    def check(self) -> None:
        """Raise ConfigError, without the feature's name, for keys that do not go together."""
        if not self.discrete and self.value_type == "string":
            raise ConfigError(
                "value_type 'string' on a numeric feature; give float, double or an integer type"
            )

    @classmethod
    def parse(cls, keys: Mapping[str, Any], assets: Assets) -> Self:
        """Read the fields from a feature object; unknown keys are ignored, null is absent."""
        keys = canonical(keys)
        fields, buckets = together(
            lambda: read_fields(cls, keys, but=("buckets",)), lambda: Buckets.parse(keys, assets)
        )
        return cls(buckets=buckets, **fields)

    @property
    @abstractmethod
    def discrete(self) -> bool:
        """Results are tokens rather than numbers."""

    @abstractmethod
    def inputs(self) -> tuple[Reference, ...]:
        """What the kernel reads, in its order."""

    @abstractmethod
    def kernel(self, *, sequence: bool) -> Kernel:
        """Build the native kernel; for a `sequence` its rows are elements."""

    @property
    def bucketized(self) -> bool:
        """A bucketizer turns every value into an id."""
        return self.buckets.key != ""

    @property
    def sparse(self) -> bool:
        """Any number of ids or texts in a row, rather than `width` numbers."""
        return self.discrete or self.bucketized

    @property
    def width(self) -> int:
        """Numbers in a row, exactly; 0 = as many as there are (sparse)."""
        return 0 if self.sparse else max(1, self.value_dim)

    @property
    def is_weighted(self) -> bool:
        """Every value has a weight."""
        return False

    @property
    def cuts_every_input(self) -> bool:
        """Where the feature is a sequence every input is, and one element stands for all of its row."""
        return False

    @property
    def random(self) -> bool:
        """Two evaluations may differ (`rnd`)."""
        return Normalizer.parse("" if self.discrete else self.normalizer).uses_random

    @property
    def prefix(self) -> str:
        """What is put before each token."""
        return f"{self.feature_name}_" if self.need_prefix and self.discrete else ""

    def limit(self, *, sequence: bool) -> int:
        """Values of a row (of an element) at most; 0 = any number.

        An element of a sequence with value_dim 1 has one value, whatever the type: the model has no
        key_lengths for it.
        """
        return self.value_dim

    def absent_type(self) -> str:
        """The type that an input column has when nothing else tells."""
        return "string"

    def rules(self, *, sequence: bool, farm_hash: bool) -> Rules:
        """Build what happens to a result on its way to the column."""
        return Rules.make(
            discrete=self.discrete,
            value_type=_NATIVE_TYPES.get(self.value_type, Bucketizer.ValueType.FLOAT32),
            limit=1 if sequence and self.value_dim == 1 else self.limit(sequence=sequence),
            width=self.width,
            weighted=self.is_weighted,
            prefix=self.prefix,
            default_value=self.default_value or ("0" if self.zero_default else ""),
            default_count=self.value_dim,
            separator=self.separator,
            normalizer="" if self.discrete else self.normalizer,
            bucketizer=self.buckets.native(farm_hash=farm_hash),
        )
