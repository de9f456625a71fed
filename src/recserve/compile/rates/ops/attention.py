"""Products of matrices that the request makes: what the user brings to them is one block for all rows.

rows of items  [B, h, d]  x  steps of the user  [1, d, L]   =   one product [B h, d] x [d, L]
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from recserve.compile.rates.values import Cat, Dense, aligned, dense, is_one, join, same
from recserve.engines.torch_arrays import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recserve.compile.rates.walk import Walk


def linear(walk: Walk, value: Any, weight: Any, bias: Any = None) -> Any:
    """`aten.linear` of steps one behind the other, each at its own rate: the user's once."""
    if not isinstance(value, Cat) or value.dim == len(value.sizes) - 1 or not walk.is_weight(weight):
        return NotImplemented
    if bias is not None and not walk.is_weight(bias):
        return NotImplemented
    parts = []
    for part in value.parts:
        found = part.untiled(-1)
        base = torch.nn.functional.linear(found.base, weight.base, None if bias is None else bias.base)
        parts.append(Dense(base, found.rate, found.tiles))
    _count(walk, math.prod(value.sizes), int(weight.base.size(0)), parts, int(weight.base.size(1)))
    return Cat(value.dim, tuple(parts))


def _count(walk: Walk, entries: Any, out: Any, parts: Sequence[Dense], summed: Any) -> None:
    """Floating point operations of parts, of which each entry sums `summed` products."""
    flops: dict[Any, float] = {}
    for part in parts:
        flops[part.rate] = flops.get(part.rate, 0.0) + 2.0 * _number(math.prod(part.base.shape)) * _number(
            summed
        )
    walk.count(2.0 * _number(entries) * _number(out), flops, f"{len(parts)} parts" if len(parts) > 1 else "")


def _number(size: Any) -> float:
    """A size of the example; of a symbol none, as nobody counts then."""
    return float(size) if isinstance(size, int) else 0.0


def matmul(walk: Walk, left: Any, right: Any) -> Any:
    """`aten.matmul` and `aten.bmm` of tensors that repeat, of any number of dimensions."""
    first, second = dense(left), dense(right)
    if min(first.base.dim(), second.base.dim()) < 2:
        return _vectors(first, second)
    found = _product(first, second)
    entries = math.prod(found.sizes)
    _count(walk, entries, first.sizes[-1], [found], first.sizes[-1])
    return found


def _vectors(first: Dense, second: Dense) -> Dense:
    """Where one of them has one dimension."""
    left, right = first.untiled(-1), second.untiled(-1, *([-2] if second.base.dim() > 1 else []))
    base = torch.matmul(left.base, right.base)
    if second.base.dim() == 1:
        return Dense(base, join([left, right]), left.tiles[:-1])
    return Dense(base, join([left, right]), (*right.tiles[:-2], *right.tiles[-1:]))


def _product(first: Dense, second: Dense) -> Dense:
    """Rows of the left and columns of the right stay told once, and so does a block of both."""
    first, second = first.untiled(-1), second.untiled(-2)
    (left, right), tiles = _blocks(first, second)
    found = (*tiles, first.tiles[-2], second.tiles[-1])
    return Dense(_one_matrix(left, right), join([first, second]), found)


def _blocks(first: Dense, second: Dense) -> tuple[list[torch.Tensor], tuple[Any, ...]]:
    """Bases whose leading dimensions torch broadcasts; their last two stay as they are."""
    heads = [Dense(one.base[..., :1, :1], one.rate, (*one.tiles[:-2], 1, 1)) for one in (first, second)]
    _, tiles = aligned(heads)
    bases = []
    for one in (first, second):
        missing = len(tiles) - one.base.dim()
        base, own = one.base[(None,) * missing], (1,) * missing + one.tiles
        # A block that the result does not repeat is written out, unless torch broadcasts it.
        wanted = [
            d
            for d in range(len(tiles) - 2)
            if not is_one(own[d]) and not is_one(base.size(d)) and not same(tiles[d], own[d])
        ]
        bases.append(Dense(base, one.rate, own).untiled(*wanted).base)
    return bases, tiles[:-2]


def _one_matrix(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """One product of matrices, where the right one is the same for all rows."""
    lead = right.shape[:-2]
    if left.dim() == right.dim() and all(is_one(size) for size in lead) and not is_one(left.size(0)):
        return torch.matmul(left, right.reshape(right.shape[-2:]))
    return torch.matmul(left, right)


def baddbmm(walk: Walk, bias: Any, left: Any, right: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """`aten.baddbmm`: scores and a mask."""
    product = matmul(walk, left, right)
    mask = dense(bias)
    (added, base), tiles = aligned([mask, product])
    base = base if alpha == 1 else base * alpha
    total = base if beta == 0 else torch.add(base, added, alpha=beta)
    return Dense(total, mask.rate | product.rate, tiles)


def scaled_dot_product_attention(
    walk: Walk, query: Any, key: Any, value: Any, *arguments: Any, **named: Any
) -> Any:
    """`aten.scaled_dot_product_attention`: queries that repeat are answered once."""
    mask, dropout, causal = (*arguments, *(None, 0.0, False)[len(arguments) :])[:3]
    mask, causal = named.get("attn_mask", mask), named.get("is_causal", causal)
    if dropout or named.get("enable_gqa"):
        return NotImplemented
    queries, keys, values = (dense(one) for one in (query, key, value))
    width = queries.base.size(-1)
    scale = named.get("scale")
    scale = 1.0 / math.sqrt(width) if scale is None else scale
    queries = queries.untiled(-1)
    keys = keys.untiled(-1)
    order = [*range(keys.base.dim() - 2), keys.base.dim() - 1, keys.base.dim() - 2]
    turned = Dense(keys.base.permute(order), keys.rate, tuple(keys.tiles[d] for d in order))
    scores = matmul(walk, queries.with_base(queries.base * scale), turned)
    if causal:
        scores = scores.untiled(-1, -2)
        kept = torch.ones(scores.base.shape[-2:], dtype=torch.bool).tril()
        scores = scores.with_base(scores.base.masked_fill(~kept, -math.inf))
    if mask is not None:
        given = dense(mask)
        (base, added), tiles = aligned([scores, given])
        masked = base.masked_fill(~added, -math.inf) if added.dtype == torch.bool else base + added
        scores = Dense(masked, scores.rate | given.rate, tiles)
    scores = scores.untiled(-1)
    return matmul(walk, scores.with_base(torch.softmax(scores.base, -1)), values)


def einsum(walk: Walk, equation: str, operands: Sequence[Any], **named: Any) -> Any:
    """`aten.einsum` of letters: those that all operands repeat, or have one of, stay told once."""
    inputs, arrow, output = equation.replace(" ", "").partition("->")
    letters = inputs.split(",")
    if "." in equation or not arrow or any(len(set(one)) != len(one) for one in letters):
        return NotImplemented
    values = [dense(one) for one in operands]
    tiles: dict[str, Any] = {}
    for letter in sorted(set(inputs) - {","}):
        at = [(k, one.index(letter)) for k, one in enumerate(letters) if letter in one]
        found = [(values[k].base.size(d), values[k].tiles[d]) for k, d in at]
        repeated = [times for _, times in found if not is_one(times)]
        alike = all(same(size, found[0][0]) and same(times, found[0][1]) for size, times in found)
        if repeated and letter in output and alike:
            tiles[letter] = repeated[0]
            continue
        tiles[letter] = 1
        for k, d in at:
            # torch.einsum broadcasts what is one row, unless it is all there is of a sum or of the result.
            broadcast = (
                letter in output
                and is_one(values[k].base.size(d))
                and any(not is_one(size) for size, _ in found)
            )
            values[k] = values[k] if broadcast else values[k].untiled(d)
    base = torch.einsum(equation, *(value.base for value in values))
    walk.count(0.0, {join(values): 0.0}, equation)
    return Dense(base, join(values), tuple(tiles[letter] for letter in output))


OPS = {
    "aten.linear.default": linear,
    "aten.matmul.default": matmul,
    "aten.bmm.default": matmul,
    "aten.mm.default": matmul,
    "aten.baddbmm.default": baddbmm,
    "aten.scaled_dot_product_attention.default": scaled_dot_product_attention,
    "aten.einsum.default": einsum,
}
