"""Where the values of each row begin and end, as torch alone computes it from lengths: their running sum.

    ends     lengths.cumsum(0)                                        l0, l0 + l1, …
    starts   ends - lengths                                        0, l0, …
    offsets  cat([zeros(1), ends])                                 0, l0, l0 + l1, …

A sum that runs over repeated lengths repeats nowhere. So it waits for what reads it: a look-up of the values
between offsets is computed once, where lengths and values repeat alike. All other readers get it written out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recserve.compile.rates.ops import jagged, lookups
from recserve.compile.rates.ops.jagged import Offsets, offsets_of
from recserve.compile.rates.values import Dense, Rate, full, is_the_end, same
from recserve.engines.torch_arrays import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from recserve.compile.rates.walk import Walk


@dataclass(frozen=True, slots=True)
class Running:
    """Ends or starts of rows of values, not summed up yet."""

    lengths: Dense  # (rows,)
    are_ends: bool

    @property
    def sizes(self) -> tuple[Any, ...]:
        """As the original model sees it."""
        return self.lengths.sizes

    @property
    def rate(self) -> Rate:
        """That of the lengths."""
        return self.lengths.rate

    def written(self) -> Dense:
        """As the original model sees it."""
        lengths = full(self.lengths)
        ends = lengths.cumsum(0)
        return Dense.of(ends if self.are_ends else ends - lengths, self.rate)


def cumsum(_: Walk, value: Any, dim: int, **named: Any) -> Any:
    """`aten.cumsum` of lengths that repeat."""
    is_flat = isinstance(value, Dense) and value.base.dim() == 1 and value.is_tiled
    if not is_flat or value.base.is_floating_point() or named.get("dtype") not in (None, torch.int64):
        return NotImplemented
    return Running(value, are_ends=True)


def sub(_: Walk, left: Any, right: Any, alpha: Any = 1) -> Any:
    """`aten.sub`: ends without their lengths are starts."""
    waits = isinstance(left, Running) and left.are_ends and isinstance(right, Dense) and alpha == 1
    if not waits or right.base is not left.lengths.base or not same(right.tiles[0], left.lengths.tiles[0]):
        return NotImplemented
    return Running(left.lengths, are_ends=False)


def cat(walk: Walk, parts: Sequence[Any], dim: int = 0) -> Any:
    """`aten.cat` of a zero and ends, or all of them but the last."""
    if len(parts) != 2 or not isinstance(parts[0], Dense) or not isinstance(parts[1], Running | _ButTheLast):
        return NotImplemented
    zero, ends = parts
    if zero.rate != Rate.CONST or not same(zero.sizes[0], 1) or not walk.once(lambda: not zero.base.any()):
        return NotImplemented
    if isinstance(ends, _ButTheLast):
        return Running(ends.lengths, are_ends=False)
    return Offsets(ends.lengths) if ends.are_ends else NotImplemented


def pad(_: Walk, value: Any, padding: Sequence[int], *arguments: Any, **named: Any) -> Any:
    """`aten.pad`, `aten.constant_pad_nd` of ends with a zero before them."""
    zeros = all(one in ("constant", None, 0) for one in (*arguments, *named.values()))
    if not isinstance(value, Running) or not value.are_ends or list(padding) != [1, 0] or not zeros:
        return NotImplemented
    return Offsets(value.lengths)


@dataclass(frozen=True, slots=True)
class _ButTheLast:
    """Ends without the last."""

    lengths: Dense

    @property
    def sizes(self) -> tuple[Any, ...]:
        """As the original model sees it."""
        return (self.lengths.sizes[0] - 1,)

    @property
    def rate(self) -> Rate:
        """That of the lengths."""
        return self.lengths.rate

    def written(self) -> Dense:
        """As the original model sees it."""
        return Dense.of(full(self.lengths).cumsum(0)[:-1], self.rate)


def slice_(_: Walk, value: Any, dim: int = 0, start: Any = None, end: Any = None, step: Any = 1) -> Any:
    """`aten.slice` of offsets without the first or the last, and of ends without the last."""
    if not isinstance(value, Offsets | Running) or step != 1:
        return NotImplemented
    lengths = value.lengths
    if not isinstance(lengths, Dense) or lengths.base.dim() != 1:
        return NotImplemented
    whole = is_the_end(end, value.sizes[0])
    but_the_last = not whole and same(end if isinstance(end, int) and end < 0 else end - value.sizes[0], -1)
    if whole and start in (None, 0):
        return value
    if isinstance(value, Offsets):
        if whole and start == 1:
            return Running(lengths, are_ends=True)
        return Running(lengths, are_ends=False) if but_the_last and not start else NotImplemented
    return _ButTheLast(lengths) if but_the_last and not start and value.are_ends else NotImplemented


def embedding_bag(walk: Walk, weight: Any, indices: Any, offsets: Any, *arguments: Any) -> Any:
    """`aten.embedding_bag` of rows that are told by where they begin: the last one ends with the values."""
    if not isinstance(offsets, Running) or offsets.are_ends:
        return NotImplemented
    given = [*arguments, *(False, 0, False, None, False, None)[len(arguments) :]]
    given[4] = True
    return lookups.embedding_bag(walk, weight, indices, Offsets(offsets.lengths), *given)


OPS: dict[str, Callable[..., Any]] = {
    "aten.cumsum.default": cumsum,
    "aten.sub.Tensor": sub,
    "aten.cat.default": cat,
    "aten.pad.default": pad,
    "aten.constant_pad_nd.default": pad,
    "aten.slice.Tensor": slice_,
    "aten.embedding_bag.padding_idx": embedding_bag,
    "aten.embedding_bag.default": embedding_bag,
}


def written(name: str, arguments: Any) -> Any:
    """Arguments of an operator that has no rule for what waits."""
    reads_offsets = name in jagged.OPS or name in lookups.OPS

    def told(one: Any) -> Any:
        if isinstance(one, Running | _ButTheLast):
            return one.written()
        if isinstance(one, Offsets) and not reads_offsets:
            return Dense.of(offsets_of(one), one.rate)
        return one

    return torch.utils._pytree.tree_map(told, arguments)
