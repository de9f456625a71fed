"""What a request asks and what an answer says, free of protobuf and HTTP.

bytes ──wire──▶ ScoreRequest ──processors──▶ ScoreResponse ──wire──▶ bytes
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from recserve.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from recserve.columns import Batch, Column


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """One user and the items to score for them."""

    user: Batch  # 1 row
    item_ids: Column  # strings, as many as were sent: `rows` of them, or none
    context: Batch  # `rows` rows each, or one that stands for all, in the order of item_ids
    item_features: Batch  # the same layout; what is sent here wins over what the store knows
    rows: int  # items to score: len(item_ids); without ids the length of the lists; without lists 1
    debug_level: int = 0
    neighbours: int = 0  # items to recall; 0 = as configured
    meta: Mapping[str, str] = field(default_factory=dict)
    #: (side, column, values that its type could not hold, entries that no item was for), where there are any
    oddities: Sequence[tuple[str, str, int, int]] = ()
    deadline: float | None = None  # time.monotonic() seconds after which nobody waits any more


@dataclass(frozen=True, slots=True)
class ScoreResponse:
    """Scores by output name, row k for item k."""

    item_ids: Column
    outputs: Mapping[str, NDArray[Any]]  # (rows,) or (rows, k) each
    pass_through: Mapping[str, str] = field(default_factory=dict)
    generate_features: Mapping[str, str] = field(
        default_factory=dict
    )  # item id -> FG outputs as text (debug)
    raw_features: Mapping[str, str] = field(default_factory=dict)  # item id -> FG inputs as text (debug)


@dataclass(frozen=True, slots=True)
class TensorRequest:
    """Tensors for a model without feature generation (fg_mode bypass), by position or by name."""

    inputs: Sequence[NDArray[Any] | None]  # None: a gap that the client left
    named_inputs: Mapping[str, NDArray[Any]]
    output_filter: Sequence[int] = ()  # positions of the outputs wanted; empty = all
    debug_level: int = 0
    deadline: float | None = None


@dataclass(frozen=True, slots=True)
class TensorResponse:
    """Tensors that a model answered, by position, by name or both."""

    outputs: Sequence[NDArray[Any]] = ()
    named_outputs: Mapping[str, NDArray[Any]] = field(default_factory=dict)


_NUMBER_OR_TEXT = "(int32|int64|float32|float64|string)"
_COLUMN_TYPE = re.compile(
    rf"{_NUMBER_OR_TEXT}|list<{_NUMBER_OR_TEXT}>|list<list<{_NUMBER_OR_TEXT}>>|map<(int32|int64|string),{_NUMBER_OR_TEXT}>"
)


@dataclass(frozen=True, slots=True)
class InputSchema:
    """The types of the columns that a request may bring, by side and name.

    `input_schema.json` of a bundle, for example:

        {"user": {"age": "int32", "tags": "list<string>"}, "item": {"prices": "map<string,float32>"}}

    A type is int32, int64, float32, float64 or string, or a list, a map (keys int32, int64 or string) or a
    list of lists of them. A column that the schema lacks takes the type of what is sent.
    """

    user: Mapping[str, str] = field(default_factory=dict)
    context: Mapping[str, str] = field(default_factory=dict)
    item: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for side in SIDES:
            for name, type_ in getattr(self, side).items():
                if not isinstance(type_, str) or not _COLUMN_TYPE.fullmatch(type_.replace(" ", "")):
                    raise BundleError(
                        f"input schema: {side} column '{name}' has the unknown type {type_!r}; known: int32, "
                        "int64, float32, float64, string, list<T>, map<K,V>, list<list<T>>"
                    )

    @classmethod
    def from_json(cls, text: str) -> InputSchema:
        """Read the text of an `input_schema.json`; a side that it lacks is empty."""
        try:
            sides = json.loads(text)
        except ValueError as e:
            raise BundleError(f"input schema: not JSON: {e}") from e
        if not isinstance(sides, dict) or not all(isinstance(types, dict) for types in sides.values()):
            raise BundleError("input schema: an object of objects is wanted: side -> column -> type")
        if unknown := sides.keys() - set(SIDES):
            raise BundleError(f"input schema: unknown sides {sorted(unknown)}; known: {', '.join(SIDES)}")
        return cls(**sides)

    @classmethod
    def load(cls, path: Path) -> InputSchema:
        """Read an `input_schema.json`; errors name the file."""
        try:
            return cls.from_json(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, BundleError) as e:
            raise BundleError(f"{path}: {e}") from e

    def to_json(self) -> str:
        """Write what `from_json` reads."""
        return json.dumps({side: dict(getattr(self, side)) for side in SIDES}, indent=2, ensure_ascii=False)


SIDES = ("user", "context", "item")
