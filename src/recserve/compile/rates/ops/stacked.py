"""Products of the same columns, as experts and gates have them: one product with all weights.

W1 x, W2 x, W3 x   =   columns of   [W1; W2; W3] x
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recserve.compile.rates.ops.concatenation import as_form, cut
from recserve.compile.rates.ops.linear import multiplied
from recserve.compile.rates.ops.norm import LINEAR, Affine, affine
from recserve.compile.rates.values import Dense, Form, dense
from recserve.engines.torch_arrays import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recserve.compile.rates.values import Value
    from recserve.compile.rates.walk import Walk

#: What may be applied to all columns at once.
_ACTIVATIONS = frozenset(
    f"aten.{name}.default" for name in ("relu", "sigmoid", "tanh", "silu", "gelu", "leaky_relu", "elu")
)


def linear(walk: Walk, value: Any, weight: Any, bias: Any = None) -> Any:
    """`aten.linear` of columns that other ones read as well."""
    form = as_form(value)
    source = walk.node.args[0]
    readers = [node for node in source.users if str(node.target) == LINEAR and node.args[0] is source]
    if form is None or len(readers) < 2 or readers[0] is not walk.node:
        return NotImplemented
    found = [one for node in readers if (one := affine(walk, node)) is not None]
    if len(found) < 2 or found[0].node not in (walk.node, *walk.node.users):
        return NotImplemented
    # Those that go through the same function are neighbours: it is computed of all of them at once.
    found.sort(key=lambda one: str(_activation(one.node)))
    sizes = [int(one.weight.base.size(0)) for one in found]
    stacked = walk.fold(lambda *weights: torch.cat(weights), *(one.weight for one in found))
    together = dense(multiplied(walk, form, stacked, _biases(walk, found)))
    first = walk.node
    for columns, one, reader in zip(_cut(together, sizes), found, _linears(found, readers), strict=True):
        walk.compute_ahead(one.node, columns)
        if reader is not one.node:
            walk.compute_ahead(reader, columns)
    _activated(walk, found, sizes, together)
    return walk.taken(first)


def _linears(found: Sequence[Affine], readers: Sequence[Any]) -> list[Any]:
    """The linear node of each."""
    return [one.node if one.node in readers else one.node.args[0] for one in found]


def _biases(walk: Walk, found: Sequence[Affine]) -> Dense | None:
    given = [one.bias for one in found]
    if all(bias is None for bias in given):
        return None

    def compute(*numbers: torch.Tensor) -> torch.Tensor:
        left = list(numbers)
        weights = [left.pop(0) for _ in found]
        return torch.cat(
            [
                weight.new_zeros(weight.size(0)) if bias is None else left.pop(0)
                for weight, bias in zip(weights, given, strict=True)
            ]
        )

    return walk.fold(compute, *(one.weight for one in found), *(bias for bias in given if bias is not None))


def _cut(together: Value, sizes: Sequence[int]) -> list[Value]:
    ends = [sum(sizes[: k + 1]) for k in range(len(sizes))]
    return [cut(together, end - size, end) for end, size in zip(ends, sizes, strict=True)]


def _activation(node: Any) -> tuple[str, Any, Any] | None:
    """The function, and its arguments, that is all that reads a node."""
    (reader, *others) = [*node.users] or [None]
    if reader is None or others or str(reader.target) not in _ACTIVATIONS:
        return None
    return str(reader.target), reader.args[1:], reader.kwargs


def _activated(walk: Walk, found: Sequence[Affine], sizes: Sequence[int], together: Value) -> None:
    at = 0
    while at < len(found):
        function = _activation(found[at].node)
        end = at + 1
        while function is not None and end < len(found) and _activation(found[end].node) == function:
            end += 1
        if end - at > 1:
            columns = dense(cut(together, sum(sizes[:at]), sum(sizes[:end])))
            (reader,) = found[at].node.users
            result = columns.with_base(reader.target(columns.base, *reader.args[1:], **reader.kwargs))
            for part, one in zip(_cut(result, sizes[at:end]), found[at:end], strict=True):
                (reader,) = one.node.users
                walk.compute_ahead(reader, part)
        at = end


def stack(_: Walk, values: Sequence[Any], dim: int = 0) -> Any:
    """`aten.stack` of columns that lie side by side already: a view."""
    if len(values) < 2 or not all(isinstance(value, Form) and len(value.terms) == 1 for value in values):
        return NotImplemented
    terms = [value.terms[0] for value in values]
    atom = terms[0].atom
    if not isinstance(atom, Dense) or dim % (atom.base.dim() + 1) != atom.base.dim() - 1:
        return NotImplemented
    width = values[0].width
    for k, (value, term) in enumerate(zip(values, terms, strict=True)):
        whole = (term.start, term.width, value.width, term.coefficient) == (0, width, width, 1.0)
        if not whole or term.atom is not atom or term.offset != terms[0].offset + k * width:
            return NotImplemented
    base = atom.base.narrow(-1, terms[0].offset, len(values) * width).unflatten(-1, (len(values), width))
    return Dense(base, atom.rate, (*atom.tiles, 1))


OPS = {LINEAR: linear, "aten.stack.default": stack}
