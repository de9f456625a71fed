"""What a request asks and what an answer says, free of protobuf and HTTP.

bytes ──wire──▶ ScoreRequest ──processors──▶ ScoreResponse ──wire──▶ bytes
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
    deadline: float | None = None  # time.monotonic() seconds after which nobody waits any more


@dataclass(frozen=True, slots=True)
class ScoreResponse:
    """Scores by output name, row k for item k."""

    item_ids: Column
    outputs: Mapping[str, NDArray[Any]]  # (rows,) or (rows, k) each
    pass_through: Mapping[str, str] = field(default_factory=dict)


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
