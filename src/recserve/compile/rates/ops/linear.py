"""Products of matrices: columns of each rate against their part of the weight, a row of the user once.

W [u | i | p] + b  =  (W_u u + b)  +  W_[i p] [i | p]
                      once            for each candidate
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from recserve.compile.rates.ops.concatenation import as_form, simplified
from recserve.compile.rates.values import (
    Atom,
    Dense,
    Form,
    Multiplied,
    NotUnderstood,
    Rate,
    Term,
    concatenated,
    dense,
    is_one,
    same,
)
from recserve.engines.torch_arrays import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recserve.compile.rates.walk import Walk

#: Columns of a tensor of which fewer are read are cut out before they are multiplied.
_MOST_UNREAD = 0.25


@dataclass(slots=True)
class _Read:
    """Columns that several terms read of one atom."""

    atom: Atom
    terms: list[Term] = field(default_factory=list)

    @property
    def first(self) -> int:
        return min(term.offset for term in self.terms)

    @property
    def last(self) -> int:
        return max(term.offset + term.width for term in self.terms)


def linear(walk: Walk, value: Any, weight: Any, bias: Any = None) -> Any:
    """`aten.linear` with a constant weight."""
    form = as_form(value)
    if form is None or not walk.is_weight(weight):
        return NotImplemented
    if bias is not None and not walk.is_weight(bias):
        return NotImplemented
    return multiplied(walk, form, weight, bias)


def addmm(walk: Walk, bias: Any, value: Any, weight: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """`aten.addmm` with a constant weight, which lies the other way."""
    form = as_form(value)
    if form is None or not (walk.is_weight(weight) and walk.is_weight(bias)) or (beta, alpha) != (1, 1):
        return NotImplemented
    return multiplied(walk, form, walk.fold(_turned, weight), bias)


def mm(walk: Walk, value: Any, weight: Any) -> Any:
    """`aten.mm` and `aten.matmul` with a constant weight of two dimensions."""
    form = as_form(value)
    if form is None or not walk.is_weight(weight) or weight.base.dim() != 2:
        return NotImplemented
    return multiplied(walk, form, walk.fold(_turned, weight), None)


def _turned(weight: torch.Tensor) -> torch.Tensor:
    return weight.t().contiguous()


def multiplied(walk: Walk, form: Form, weight: Dense, bias: Dense | None) -> Form | Dense:
    """A form, whose terms are the products at each rate."""
    out = int(weight.base.size(0))
    plain = 2.0 * _number(walk, math.prod(form.sizes[:-1])) * form.width * out
    groups = _groups(walk, _reads(form))
    if len(groups) > 1 and not walk.keeps(form) and walk.once(lambda: _work(walk, groups) * out >= plain):
        # Terms of several atoms at the same columns can be more to multiply than their sum is.
        groups = [[_Read(dense(form), [Term(0, form.width, dense(form))])]]
    counted: dict[Rate, float] = {}
    terms: list[Term] = []
    bias_at = min(range(len(groups)), key=lambda k: _order(groups[k]))
    for k, group in enumerate(groups):
        waits = len(groups) > 1 and k != bias_at
        product, flops = _product(walk, group, weight, bias if k == bias_at else None, waits=waits)
        counted[product.rate] = counted.get(product.rate, 0.0) + flops
        terms.append(Term(0, out, product))
    walk.count(plain, counted, f"{len(groups)} parts" if len(groups) > 1 else "")
    return simplified(Form(tuple(terms), out))  # type: ignore[return-value]


def _work(walk: Walk, groups: Sequence[Sequence[_Read]]) -> float:
    """Floating point operations for each column of the product, all groups together."""
    return sum(
        2.0 * _number(walk, math.prod(dense(read.atom).base.shape[:-1])) * (read.last - read.first)
        for group in groups
        for read in group
    )


def _reads(form: Form) -> list[_Read]:
    """What is read of each atom; a tensor of which few columns are read is cut into those that are."""
    found: dict[int, _Read] = {}
    for term in form.terms:
        atom = term.atom
        key = id(atom.base) if isinstance(atom, Dense) else id(atom)
        found.setdefault(key, _Read(atom)).terms.append(term)
    return [part for read in found.values() for part in _dense_parts(read)]


def _dense_parts(read: _Read) -> list[_Read]:
    """Ranges of columns of which nearly all are read."""
    parts: list[_Read] = []
    for term in sorted(read.terms, key=lambda one: one.offset):
        last = parts[-1] if parts else None
        if last is not None:
            start, end = last.first, max(last.last, term.offset + term.width)
            unread = end - start - _covered([*last.terms, term])
            if unread <= _MOST_UNREAD * (end - start):
                last.terms.append(term)
                continue
        parts.append(_Read(read.atom, [term]))
    return parts


def _covered(terms: Sequence[Term]) -> int:
    end, covered = -1, 0
    for term in sorted(terms, key=lambda one: one.offset):
        start, last = max(term.offset, end), term.offset + term.width
        if last > start:
            covered, end = covered + last - start, last
    return covered


def _groups(walk: Walk, reads: Sequence[_Read]) -> list[list[_Read]]:
    """Reads that are multiplied together: their atoms repeat alike."""
    groups: list[tuple[Dense, list[_Read]]] = []
    for read in reads:
        atom = dense(read.atom)
        mine = _Read(atom, read.terms)
        for first, group in groups:
            if _together(first, atom) and not walk.apart(first, atom):
                group.append(mine)
                break
        else:
            groups.append((atom, [mine]))
    return [group for _, group in groups]


def _together(first: Dense, second: Dense) -> bool:
    return all(
        same(a, b) and same(c, d)
        for a, b, c, d in zip(
            first.tiles[:-1], second.tiles[:-1], first.base.shape[:-1], second.base.shape[:-1], strict=True
        )
    )


def _order(group: Sequence[_Read]) -> tuple[int, int]:
    """The cheapest first: what repeats most, then what changes least."""
    atom = group[0].atom
    assert isinstance(atom, Dense)
    rate = Rate.CONST
    for read in group:
        rate |= read.atom.rate
    return (-sum(not is_one(tiles) for tiles in atom.tiles), int(rate))


def _product(
    walk: Walk, group: Sequence[_Read], weight: Dense, bias: Dense | None, *, waits: bool
) -> tuple[Dense | Multiplied, float]:
    """One product of a group's columns, side by side, and their weights; `waits` for what it is added to."""
    columns: list[Dense] = []
    for read in group:
        atom = dense(read.atom)
        base = atom.base
        if (read.first, read.last) != (0, base.size(-1)):
            base = base.narrow(-1, read.first, read.last - read.first)
        columns.append(atom.with_base(base))
    dims = columns[0].base.dim()
    side_by_side = columns[0] if len(columns) == 1 else concatenated(columns, dims - 1)
    plan = [
        (
            read.last - read.first,
            [(t.offset - read.first, t.start, t.width, t.coefficient) for t in read.terms],
        )
        for read in group
    ]
    identity = [(int(weight.base.size(1)), [(0, 0, int(weight.base.size(1)), 1.0)])]
    folded = weight if plan == identity else walk.fold(lambda numbers: _folded(numbers, plan), weight)
    if folded.base.dim() != 2:
        raise NotUnderstood("a weight has not two dimensions")
    width = sum(width for width, _ in plan)
    flops = 2.0 * _number(walk, math.prod(side_by_side.base.shape[:-1])) * width * int(weight.base.size(0))
    if waits and not walk.keeps(side_by_side):
        return Multiplied(side_by_side, folded.base, compiled=not walk.options.interpreted), flops
    base = torch.nn.functional.linear(side_by_side.base, folded.base, None if bias is None else bias.base)
    return Dense(base, side_by_side.rate, side_by_side.tiles), flops


def _folded(
    weight: torch.Tensor, plan: Sequence[tuple[int, Sequence[tuple[int, int, int, float]]]]
) -> torch.Tensor:
    """The weight of columns as they lie now: what several terms read of a column is added up, in double."""
    wide = weight.double()
    parts = []
    for width, terms in plan:
        part = wide.new_zeros(weight.size(0), width)
        for offset, start, count, coefficient in terms:
            part[:, offset : offset + count] += coefficient * wide[:, start : start + count]
        parts.append(part)
    return torch.cat(parts, 1).to(weight.dtype).contiguous()


def matmul(walk: Walk, left: Any, right: Any) -> Any:
    """`aten.matmul` and `aten.bmm` of rows and a user's matrix: one product for all rows."""
    if walk.is_weight(right):
        return mm(walk, left, right)
    first, second = dense(left), dense(right)
    dims = first.base.dim()
    if dims != 3 or second.base.dim() != 3 or not same(first.sizes[0], second.sizes[0]):
        return NotImplemented
    first, second = first.untiled(1, 2), second.untiled(1, 2)
    rate = first.rate | second.rate
    plain = 2.0 * _number(walk, math.prod(first.sizes)) * _number(walk, second.sizes[-1])
    once = not is_one(second.tiles[0]) and is_one(second.base.size(0))
    if once and not is_one(first.tiles[0]) and is_one(first.base.size(0)):
        found = Dense(torch.matmul(first.base, second.base), rate, first.tiles)
    elif once:
        first = first.untiled(0)
        rows, steps = first.base.size(0), first.base.size(1)
        flat = first.base.reshape(rows * steps, first.base.size(2))
        product = torch.mm(flat, second.base.squeeze(0))
        found = Dense.of(product.reshape(rows, steps, second.base.size(2)), rate)
    else:
        first, second = first.untiled(0), second.untiled(0)
        found = Dense.of(torch.matmul(first.base, second.base), rate)
    flops = 2.0 * _number(walk, math.prod(found.base.shape)) * _number(walk, first.base.size(2))
    walk.count(plain, {rate: flops})
    return found


def _number(_: Walk, size: Any) -> float:
    """A size of the example; of a symbol none, as nobody counts then."""
    return float(size) if isinstance(size, int) else 0.0


OPS = {
    "aten.linear.default": linear,
    "aten.addmm.default": addmm,
    "aten.mm.default": mm,
    "aten.matmul.default": matmul,
    "aten.bmm.default": matmul,
}
