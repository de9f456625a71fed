"""Rows of several values: lengths beside values, and what is cut, joined and padded by them.

Values and lengths of several features lie one behind the other (`Cat`), each at its own rate. A user's
values, told once, stand for as many repeats as there are rows.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recserve.compile.rates.ops.concatenation import select
from recserve.compile.rates.values import (
    Cat,
    Dense,
    NotUnderstood,
    Rate,
    dense,
    full,
    is_one,
    is_the_end,
    same,
)
from recserve.engines.torch_arrays import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from recserve.compile.rates.walk import Walk


#: Operators that lay lengths out otherwise, or sum them up, and cut none off.
_AS_GIVEN = (
    "aten.alias.", "aten.cat.", "aten.clone.", "aten.reshape.", "aten.segment_reduce.", "aten.select.",
    "aten.slice.", "aten.split", "aten.squeeze.", "aten.stack.", "aten.to.", "aten.unbind.",
    "aten.unsqueeze.", "aten.view.", "fbgemm.asynchronous_complete_cumsum.",
    "fbgemm.permute_2D_sparse_data.", str(operator.getitem),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Offsets:
    """Where rows begin, not summed up yet: 0, lengths[0], lengths[0] + lengths[1], …"""

    lengths: Dense | Cat

    @property
    def sizes(self) -> tuple[Any]:
        """As the original model sees it."""
        return (self.lengths.sizes[0] + 1,)

    @property
    def rate(self) -> Rate:
        """That of the lengths."""
        return self.lengths.rate


@dataclass(frozen=True, slots=True)
class Sums:
    """Running sums of the lengths of each feature, [F, B], or [F, B + 1] with a 0 before them."""

    lengths: Cat
    begins_with_zero: bool = False

    @property
    def sizes(self) -> tuple[Any, Any]:
        """As the original model sees them."""
        features, rows = self.lengths.sizes
        return (features, rows + 1 if self.begins_with_zero else rows)

    @property
    def rate(self) -> Rate:
        """That of the lengths."""
        return self.lengths.rate


def summed(lengths: torch.Tensor) -> torch.Tensor:
    """Offsets of lengths that are told as they are."""
    found: torch.Tensor = torch.ops.fbgemm.asynchronous_complete_cumsum(lengths)
    return found


def offsets_of(value: Any) -> torch.Tensor:
    """Offsets as the original sees them."""
    return summed(full(value.lengths)) if isinstance(value, Offsets) else full(value)


def complete_cumsum(_: Walk, lengths: Any) -> Any:
    """`fbgemm.asynchronous_complete_cumsum` of one dimension."""
    if len(lengths.sizes) != 1:
        return NotImplemented
    return Offsets(lengths)


def cumsum(_: Walk, value: Any, dim: int, **named: Any) -> Any:
    """`aten.cumsum` of the lengths of each feature."""
    if not isinstance(value, Cat) or value.dim != 0 or len(value.sizes) != 2 or dim not in (1, -1):
        return NotImplemented
    return Sums(value)


def sum_of_rows(_: Walk, value: Any, dim: Any, keep: bool = False, **named: Any) -> Any:
    """`aten.sum` of the lengths of each feature: how many values it has."""
    dims = [dim] if isinstance(dim, int) else list(dim)
    if (
        not isinstance(value, Cat)
        or value.dim != 0
        or len(value.sizes) != 2
        or dims not in ([1], [-1])
        or keep
    ):
        return NotImplemented
    parts = []
    for part in value.parts:
        total = part.base.sum(1, **named)
        parts.append(
            Dense(total if is_one(part.tiles[1]) else total * part.tiles[1], part.rate, part.tiles[:1])
        )
    return Cat(0, tuple(parts))


def rows_of(lengths: Dense | Cat, count: int) -> list[Dense]:
    """The lengths of each feature, [count, B] or [count * B] of them."""
    if isinstance(lengths, Cat):
        parts = [_flat(part) for part in lengths.parts]
        if len(parts) == count:
            return parts
        raise NotUnderstood(f"lengths of {len(parts)} features, where {count} are expected")
    if count == 1:
        return [_flat(lengths)]
    found = lengths.untiled(0)
    if found.base.dim() == 2:
        return [Dense(found.base[k], found.rate, (found.tiles[1],)) for k in range(count)]
    rows = found.base.reshape(count, -1)
    return [Dense.of(rows[k], found.rate) for k in range(count)]


def _flat(part: Dense) -> Dense:
    """A row of [1, B], or [B] itself."""
    if part.base.dim() == 1:
        return part
    return Dense(part.base.squeeze(0), part.rate, part.tiles[1:])


def permute_2d(
    walk: Walk, order: Any, lengths: Any, values: Any, weights: Any = None, *arguments: Any
) -> Any:
    """`fbgemm.permute_2D_sparse_data`: features in another order."""
    if not isinstance(values, Cat) and not (isinstance(lengths, Cat) or dense(values).is_tiled):
        found = torch.ops.fbgemm.permute_2D_sparse_data(
            full(order), full(lengths), full(values), None if weights is None else full(weights)
        )
        rate = lengths.rate | values.rate
        return tuple(None if one is None else Dense.of(one, rate) for one in found)
    positions = walk.once(lambda: walk.real(order).tolist())
    parts = values.parts if isinstance(values, Cat) else (dense(values),)
    rows = rows_of(lengths, int(lengths.sizes[0]))
    if len(parts) != len(rows):
        return NotImplemented
    beside = weights.parts if isinstance(weights, Cat) else None if weights is None else (dense(weights),)
    ordered = [_as_row(rows[k]) for k in positions]
    return (
        Cat(0, tuple(ordered)),
        Cat(0, tuple(parts[k] for k in positions)),
        None if beside is None else Cat(0, tuple(beside[k] for k in positions)),
    )


def _as_row(lengths: Dense) -> Dense:
    return Dense(lengths.base.unsqueeze(0), lengths.rate, (1, *lengths.tiles))


def view(_: Walk, value: Any, sizes: Sequence[Any]) -> Any:
    """`aten.view` of lengths: [F * B] as [F, B], and back."""
    if not isinstance(value, Cat) or value.dim != 0:
        return NotImplemented
    count = len(value.parts)
    if len(sizes) == 1:
        if all(part.base.dim() == 1 for part in value.parts):
            return value
        if all(part.base.dim() == 2 and is_one(part.sizes[0]) for part in value.parts):
            return Cat(0, tuple(_flat(part) for part in value.parts))
    if len(sizes) == 2 and value.parts[0].base.dim() == 1 and same(sizes[0], count):
        first = value.parts[0].sizes[0]
        if all(same(part.sizes[0], first) for part in value.parts):
            return Cat(0, tuple(_as_row(part) for part in value.parts))
    if len(sizes) == len(value.sizes):
        return value if all(same(a, b) for a, b in zip(sizes, value.sizes, strict=True)) else NotImplemented
    return NotImplemented


def cat(_: Walk, values: Sequence[Any], dim: int = 0) -> Any:
    """`aten.cat` along the dimension of parts that are joined already."""
    if len(values) == 2 and isinstance(values[1], Sums) and dim in (1, -1):
        zeros, sums = values
        before = isinstance(zeros, Dense) and zeros.rate == Rate.CONST and is_one(zeros.sizes[1])
        return Sums(sums.lengths, begins_with_zero=True) if before else NotImplemented
    joined = [value for value in values if isinstance(value, Cat)]
    if not joined or any(value.dim != dim % len(value.sizes) for value in joined):
        return NotImplemented
    parts: list[Dense] = []
    for value in values:
        parts += value.parts if isinstance(value, Cat) else [dense(value)]
    return Cat(joined[0].dim, tuple(parts))


def slice_(_: Walk, value: Any, dim: int = 0, *bounds: Any) -> Any:
    """`aten.slice` at the edges of parts."""
    place = slice_place(value, dim, *bounds)
    return NotImplemented if place is None else _some(value, *place)


def slice_place(value: Any, dim: int, *bounds: Any) -> tuple[int, int] | None:
    """The parts from a bound to another; None if these are no edges of parts."""
    if not isinstance(value, Cat) or dim != value.dim:
        return None
    start, end, step = (*bounds, None, None, None)[:3]
    if step not in (None, 1):
        return None
    start = 0 if start is None else start
    edges = _edges(value)
    first = next((k for k, edge in enumerate(edges) if same(edge, start)), None)
    if is_the_end(end, edges[-1]):
        last: int | None = len(value.parts)
    else:
        last = next((k for k, edge in enumerate(edges) if same(edge, end) and k >= (first or 0)), None)
    if first is None or last is None or last <= first:
        return None
    return first, last


def slice_scatter(_: Walk, value: Any, part: Any, dim: int = 0, *bounds: Any) -> Any:
    """`aten.slice_scatter`: some features' parts in place of others'."""
    if isinstance(value, Dense) and isinstance(part, Dense) and value.base.dim() == 1:
        whole, piece = value.untiled(0), part.untiled(0)
        return Dense.of(torch.slice_scatter(whole.base, piece.base, dim, *bounds), whole.rate | piece.rate)
    place = slice_place(value, dim, *bounds)
    if place is None or not isinstance(part, Cat | Dense):
        return NotImplemented
    first, last = place
    new = part.parts if isinstance(part, Cat) else (part,)
    if len(new) != last - first:
        return NotImplemented
    return Cat(0, (*value.parts[:first], *new, *value.parts[last:]))


def split(_: Walk, value: Any, sizes: Any, dim: int = 0) -> Any:
    """`aten.split` into parts, or several of them."""
    if not isinstance(value, Cat) or dim % len(value.sizes) != value.dim:
        return NotImplemented
    if isinstance(sizes, int):
        sizes = [sizes] * (len(value.parts) if sizes == 1 else 0)
    if len(sizes) == len(value.parts):
        return tuple(value.parts)  # sizes that are not those of the parts would fail in the original
    found, at = [], 0
    for size in sizes:
        count, total = 0, 0
        while at + count < len(value.parts) and not (count and same(total, size)):
            total = total + value.parts[at + count].sizes[value.dim]
            count += 1
        if not same(total, size):
            return NotImplemented
        found.append(_some(value, at, at + count))
        at += count
    return tuple(found) if at == len(value.parts) else NotImplemented


def _edges(value: Cat) -> list[Any]:
    edges: list[Any] = [0]
    for part in value.parts:
        edges.append(edges[-1] + part.sizes[value.dim])
    return edges


def _some(value: Cat, first: int, last: int) -> Any:
    return value.parts[first] if last - first == 1 else Cat(value.dim, value.parts[first:last])


def unbind(walk: Walk, value: Any, dim: int = 0) -> Any:
    """`aten.unbind` of [F, B]: a row each."""
    if isinstance(value, Sums) and value.begins_with_zero and dim == 0:
        return tuple(Offsets(row) for row in unbind(walk, value.lengths, 0))
    if not isinstance(value, Cat) or dim != value.dim or value.dim != 0:
        return NotImplemented
    if not all(is_one(part.sizes[0]) for part in value.parts):
        return NotImplemented
    return tuple(select(walk, part, 0, 0) for part in value.parts)


def select_(walk: Walk, value: Any, dim: int, index: int) -> Any:
    """`aten.select` of a row of [F, B]."""
    rows = unbind(walk, value, dim)
    return rows if rows is NotImplemented else rows[index]


def segment_reduce(_: Walk, data: Any, reduce: str, *, lengths: Any = None, **named: Any) -> Any:
    """`torch.segment_reduce` along the first dimension."""
    if lengths is None or isinstance(data, Cat) or isinstance(lengths, Cat):
        return NotImplemented
    values, counts = _repeating_alike(dense(data), dense(lengths))
    base = torch.segment_reduce(values.base, reduce, lengths=counts.base, **named)
    return Dense(base, values.rate | counts.rate, (*counts.tiles, *values.tiles[1:]))


def to_padded(walk: Walk, values: Any, offsets: Any, most: Sequence[Any], padding: float = 0.0) -> Any:
    """`fbgemm.jagged_to_padded_dense`: rows of steps, one step after another."""
    if len(offsets) != 1 or not isinstance(offsets[0], Offsets) or isinstance(values, Cat):
        return NotImplemented
    lengths = offsets[0].lengths
    found, counts = _repeating_alike(dense(values), dense(lengths))
    if _is_one_row(counts) and same(most[0], found.base.size(0)) and _is_given(walk.node.args[1][0]):
        base = found.base.unsqueeze(0)  # all there is, and nothing to pad
    else:
        base = torch.ops.fbgemm.jagged_to_padded_dense(found.base, [summed(counts.base)], most, padding)
    return Dense(base, found.rate | counts.rate, (*counts.tiles, 1, *found.tiles[1:]))


def longest(walk: Walk, _: Any) -> Any:
    """`aten.item` of the largest of a user's lengths, which are one: as many steps as there are values.

    So the number of steps is a size of an input, which compilers know, and no number that the graph computes.
    """
    largest = walk.node.args[0]
    if str(largest.target) != "aten.max.default" or not _is_given(largest.args[0]):
        return NotImplemented
    lengths = walk.known(largest.args[0])
    if not isinstance(lengths, Dense) or not _is_one_row(lengths):
        return NotImplemented
    padded = [node for node in walk.node.users if str(node.target) == "fbgemm.jagged_to_padded_dense.default"]
    for node in padded:
        values = walk.known(node.args[0])
        if isinstance(values, Dense) and _sums_of(node.args[1]) is largest.args[0]:
            return values.base.size(0)
    return NotImplemented


def _is_one_row(lengths: Dense) -> bool:
    """Whether it is the length of one row, however often that is repeated."""
    return lengths.base.dim() == 1 and is_one(lengths.base.size(0))


def _sums_of(offsets: Sequence[Any]) -> Any:
    """The node of the lengths that offsets were summed up of."""
    summed_up = "fbgemm.asynchronous_complete_cumsum.default"
    return offsets[0].args[0] if len(offsets) == 1 and str(offsets[0].target) == summed_up else None


def _is_given(node: Any) -> bool:
    """Whether lengths, or their offsets, are those of inputs, so that there is a value for each step."""
    waiting, seen = [node], {node}
    while waiting:
        one = waiting.pop()
        if one.op != "placeholder" and not str(one.target).startswith(_AS_GIVEN):
            return False
        before = [read for read in one.all_input_nodes if not isinstance(read.meta.get("val"), torch.SymInt)]
        waiting += [read for read in before if read not in seen]
        seen.update(before)
    return True


def _repeating_alike(values: Dense, lengths: Dense) -> tuple[Dense, Dense]:
    """Both told once, if both repeat as often; else both written out."""
    values = values.untiled(*range(1, values.base.dim()))
    if same(values.tiles[0], lengths.tiles[0]):
        return values, lengths
    return values.untiled(0), lengths.untiled(0)


def of_offsets(rule: Callable[[Walk, Any], Any]) -> Callable[..., Any]:
    """A rule for what is not summed up yet alone."""

    def asked(walk: Walk, value: Any, *arguments: Any, **named: Any) -> Any:
        return rule(walk, value) if isinstance(value, Offsets | Sums) else NotImplemented

    return asked


_as_it_is = of_offsets(lambda _, value: value)

OPS: dict[str, Any] = {
    "fbgemm.asynchronous_complete_cumsum.default": complete_cumsum,
    "fbgemm.permute_2D_sparse_data.default": permute_2d,
    "fbgemm.jagged_to_padded_dense.default": to_padded,
    "fbgemm.jagged_to_padded_dense_forward.default": to_padded,
    "aten._jagged_to_padded_dense_forward.default": to_padded,
    "aten.item.default": longest,
    "aten._local_scalar_dense.default": longest,
    "aten.segment_reduce.default": segment_reduce,
    "aten.view.default": view,
    "aten.reshape.default": view,
    "aten.cumsum.default": cumsum,
    "aten.sum.dim_IntList": sum_of_rows,
    "aten.cat.default": cat,
    "aten.slice.Tensor": slice_,
    "aten.slice_scatter.default": slice_scatter,
    "aten.split.sizes": split,
    "aten.split.Tensor": split,
    "aten.split_with_sizes.default": split,
    "aten.unbind.int": unbind,
    "aten.select.int": select_,
    "aten.to.dtype": _as_it_is,
    "aten.to.dtype_layout": _as_it_is,
    "aten.clone.default": _as_it_is,
}
