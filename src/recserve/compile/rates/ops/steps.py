"""Steps of a sequence behind one another, of which some are the user's: told once, in attention too.

    steps           [ the user's: 1 × L × d | the candidate: rows × 1 × d ]
    keys, values    a layer of the steps, part by part
    query · keysᵀ   one product with the user's keys for all rows, and one number for the candidate itself

What is computed of each step by itself stays in parts. What goes along the steps is written out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recserve.compile.rates.ops import attention, concatenation, elementwise, norm, shapes
from recserve.compile.rates.values import Cat, Dense, Fields, Form, aligned, concatenated, dense, join, same
from recserve.engines.torch_arrays import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from recserve.compile.rates.values import Size
    from recserve.compile.rates.walk import Walk


def _is_steps(value: Any) -> bool:
    return isinstance(value, Cat) and len(value.sizes) > 2


def _from_end(steps: Cat) -> int:
    return steps.dim - len(steps.sizes)


def _together(parts: Iterable[Any], at: int) -> Cat:
    """Parts along a dimension, counted from the end."""
    found = tuple(map(dense, parts))
    return Cat(found[0].base.dim() + at, found)


def _sizes(steps: Cat) -> list[Size]:
    return [part.sizes[steps.dim] for part in steps.parts]


def _pieces(value: Any, at: int, sizes: Sequence[Size]) -> Sequence[Any]:
    """What of a value meets parts of these sizes; all of it where it is broadcast, or no tensor."""
    if not isinstance(value, Dense | Cat | Form | Fields):
        return [value] * len(sizes)
    if isinstance(value, Cat) and _from_end(value) == at:
        own = _sizes(value)
        if len(own) == len(sizes) and all(map(same, own, sizes)):
            return value.parts
    found = dense(value)
    if found.base.dim() < -at or same(found.sizes[at], 1):
        return [found] * len(sizes)
    found = found.untiled(at)
    return [found.with_base(base) for base in torch.split(found.base, list(sizes), at)]


def _each(rule: Callable[..., Any]) -> Callable[..., Any]:
    """A rule for what is computed entry by entry."""

    def by_part(walk: Walk, *arguments: Any, **named: Any) -> Any:
        steps = next((one for one in arguments if _is_steps(one)), None)
        if steps is None:
            return NotImplemented
        at = _from_end(steps)
        pieces = [_pieces(one, at, _sizes(steps)) for one in arguments]
        return _together((rule(walk, *given, **named) for given in zip(*pieces, strict=True)), at)

    return by_part


def _inside(rule: Callable[..., Any]) -> Callable[..., Any]:
    """A rule for what is computed along other dimensions, its second argument."""

    def by_part(walk: Walk, steps: Any, dim: Any = 0, *arguments: Any, **named: Any) -> Any:
        if not _is_steps(steps) or not isinstance(dim, int) or dim % len(steps.sizes) == steps.dim:
            return NotImplemented
        return _together(
            (rule(walk, part, dim, *arguments, **named) for part in steps.parts), _from_end(steps)
        )

    return by_part


def _normal(rule: Callable[..., Any]) -> Callable[..., Any]:
    """A rule for normalisations along the last dimensions."""

    def by_part(walk: Walk, steps: Any, shape: Sequence[int], *arguments: Any, **named: Any) -> Any:
        if not _is_steps(steps) or _from_end(steps) >= -len(shape):
            return NotImplemented
        found = (rule(walk, part, shape, *arguments, **named) for part in steps.parts)
        return _together(found, _from_end(steps))

    return by_part


def select(walk: Walk, steps: Any, dim: int, index: int) -> Any:
    """`aten.select` of another dimension, which is gone."""
    if not _is_steps(steps) or dim % len(steps.sizes) == steps.dim:
        return NotImplemented
    found = tuple(concatenation.select(walk, part, dim, index) for part in steps.parts)
    return Cat(steps.dim - (dim % len(steps.sizes) < steps.dim), found)


def split(walk: Walk, steps: Any, sizes: Any, dim: int = 0) -> Any:
    """`aten.split` of another dimension, as into queries, keys and values."""
    if not _is_steps(steps) or dim % len(steps.sizes) == steps.dim:
        return NotImplemented
    found = [concatenation.split(walk, part, sizes, dim) for part in steps.parts]
    if any(one is NotImplemented for one in found):
        return NotImplemented
    return tuple(_together(parts, _from_end(steps)) for parts in zip(*found, strict=True))


def chunk(walk: Walk, steps: Any, chunks: int, dim: int = 0) -> Any:
    """`aten.chunk` likewise."""
    if not _is_steps(steps):
        return NotImplemented
    total = steps.sizes[dim]
    return split(walk, steps, -(-total // chunks), dim) if isinstance(total, int) else NotImplemented


def transpose(walk: Walk, steps: Any, first: int, second: int) -> Any:
    """`aten.transpose`."""
    if not _is_steps(steps):
        return NotImplemented
    order = list(range(len(steps.sizes)))
    order[first], order[second] = order[second], order[first]
    return permute(walk, steps, order)


def permute(walk: Walk, steps: Any, order: Sequence[int]) -> Any:
    """`aten.permute`."""
    if not _is_steps(steps):
        return NotImplemented
    order = [d % len(order) for d in order]
    return Cat(order.index(steps.dim), tuple(shapes.permute(walk, part, order) for part in steps.parts))


def view(walk: Walk, steps: Any, sizes: Sequence[Any]) -> Any:
    """`aten.view` that leaves rows and steps as they are, as into heads."""
    if not _is_steps(steps):
        return NotImplemented
    kept, wanted = steps.dim + 1, shapes.resolved(steps.sizes, sizes)
    if not all(map(same, steps.sizes[:kept], wanted[:kept])):
        return NotImplemented
    parts = (shapes.view(walk, part, [*part.sizes[:kept], *wanted[kept:]]) for part in steps.parts)
    return Cat(steps.dim, tuple(map(dense, parts)))


def matmul(walk: Walk, left: Any, right: Any) -> Any:
    """`aten.matmul` and `aten.bmm` with keys, a column each, or with values, a row each."""
    if not _is_steps(right) or len(left.sizes) < 2:
        return NotImplemented
    if _from_end(right) == -1:
        found = [attention.matmul(walk, left, part) for part in right.parts]
        return concatenated(found, found[0].base.dim() - 1)
    if _from_end(right) == -2:
        columns = _pieces(left, -1, _sizes(right))
        return _sum([attention.matmul(walk, *pair) for pair in zip(columns, right.parts, strict=True)])
    return NotImplemented


def _sum(values: Sequence[Dense]) -> Dense:
    total, *others = values
    for other in others:
        (first, second), tiles = aligned([total, other])
        total = Dense(first + second, join([total, other]), tiles)
    return total


OPS: dict[str, Any] = {
    "aten.select.int": select,
    "aten.split.Tensor": split,
    "aten.split.sizes": split,
    "aten.split_with_sizes.default": split,
    "aten.chunk.default": chunk,
    "aten.transpose.int": transpose,
    "aten.permute.default": permute,
    "aten.view.default": view,
    "aten.reshape.default": view,
    "aten._unsafe_view.default": view,
    "aten.matmul.default": matmul,
    "aten.bmm.default": matmul,
    "aten.layer_norm.default": _normal(norm.layer_norm),
    "aten.rms_norm.default": _normal(norm.rms_norm),
    "aten.slice.Tensor": _inside(concatenation.slice_),
    "aten.softmax.int": _inside(shapes.OPS["aten.softmax.int"]),
    "aten._softmax.default": _inside(shapes.OPS["aten._softmax.default"]),
} | {name: _each(rule) for name, rule in elementwise.OF_SEVERAL.items()}
