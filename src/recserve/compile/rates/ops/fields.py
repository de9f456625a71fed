"""Fields of factorisation machines: sums over them are sums of each rate's, and so are sums of squares.

sum [u1 i1 u2 i2]  =  (u1 + u2)  +  (i1 + i2)
                      once          for each candidate
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from recserve.compile.rates.ops.concatenation import as_form
from recserve.compile.rates.ops.shapes import resolved
from recserve.compile.rates.values import Dense, Fields, Form, Term, aligned, dense, join, same
from recserve.engines.torch_arrays import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from recserve.compile.rates.walk import Walk


@dataclass(slots=True)
class _Range:
    """Columns of an atom that are read one behind the other, and as what."""

    atom: Dense
    start: int
    end: int
    coefficient: float
    terms: list[Term]

    @property
    def columns(self) -> torch.Tensor:
        """As a tensor."""
        base = self.atom.base
        if (self.start, self.end) == (0, base.size(-1)):
            return base
        return base.narrow(-1, self.start, self.end - self.start)


def _ranges(form: Form) -> list[_Range]:
    """What is read of each atom, in as few pieces as may be."""
    found: list[_Range] = []
    for term in sorted(form.terms, key=lambda one: one.offset):
        atom = dense(term.atom)
        for one in found:
            if (one.atom.base is atom.base, one.end, one.coefficient) == (
                True,
                term.offset,
                term.coefficient,
            ):
                one.end += term.width
                one.terms.append(term)
                break
        else:
            end = term.offset + term.width
            found.append(_Range(atom, term.offset, end, term.coefficient, [term]))
    return found


def view(_: Walk, value: Any, sizes: Sequence[Any]) -> Any:
    """`aten.view` of columns as fields of a width."""
    if not isinstance(value, Form):
        return NotImplemented
    wanted = resolved(value.sizes, sizes)
    lead = value.sizes[:-1]
    if len(wanted) != len(lead) + 2 or not all(map(same, wanted, lead)):
        return NotImplemented
    return _fields(value, wanted[-1])


def _fields(form: Form, width: Any) -> Any:
    if not isinstance(width, int) or width < 1 or form.width % width or len(form.terms) < 2:
        return NotImplemented
    if any(term.start % width or term.width % width for term in form.terms):
        return NotImplemented
    return Fields(form, width)


def stack(walk: Walk, values: Sequence[Any], dim: int = 0) -> Any:
    """`aten.stack` of columns that repeat differently."""
    forms = [as_form(value) for value in values]
    first = forms[0]
    if first is None or dim % (len(first.sizes) + 1) != len(first.sizes) - 1 or len(forms) < 2:
        return NotImplemented
    terms: list[Term] = []
    for form in forms:
        if form is None or form.width != first.width:
            return NotImplemented
        at = len(terms) and terms[-1].start // first.width * first.width + first.width
        terms += [Term(at + t.start, t.width, t.atom, t.offset, t.coefficient) for t in form.terms]
    atoms = [dense(term.atom) for term in terms]
    if all(same(a, b) for atom in atoms[1:] for a, b in zip(atom.tiles, atoms[0].tiles, strict=True)):
        return NotImplemented
    return _fields(Form(tuple(terms), first.width * len(forms)), first.width)


def total(walk: Walk, value: Any, dim: Any, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """`aten.sum` over fields, or over the columns of a form."""
    dims = [dim] if isinstance(dim, int) else list(dim or ())
    if dtype is not None or len(dims) != 1 or not isinstance(value, Fields | Form):
        return NotImplemented
    at, last = dims[0] % len(value.sizes), len(value.sizes) - 1
    if isinstance(value, Fields) and at == last - 1:
        found = _summed(value.form, lambda one: _over_fields(one.columns, value.width), value.width)
        result = dense(found) if keepdim or value.width == 1 else found
        return _with_one(result) if keepdim and isinstance(result, Dense) else result
    if isinstance(value, Form) and at == last and len(value.terms) > 1:
        result = dense(_summed(value, lambda one: one.columns.sum(-1, keepdim=True), 1))
        return result if keepdim else Dense(result.base.squeeze(-1), result.rate, result.tiles[:-1])
    return NotImplemented


def mean(walk: Walk, value: Any, dim: Any, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """`aten.mean` likewise."""
    found = total(walk, value, dim, keepdim, dtype=dtype)
    if found is NotImplemented:
        return found
    (at,) = [dim] if isinstance(dim, int) else dim
    result = dense(found)
    return result.with_base(result.base / value.sizes[at])


def _with_one(value: Dense) -> Dense:
    return Dense(value.base.unsqueeze(-2), value.rate, (*value.tiles[:-1], 1, value.tiles[-1]))


def _over_fields(columns: torch.Tensor, width: int) -> torch.Tensor:
    if columns.size(-1) == width:
        return columns
    return columns.reshape(*columns.shape[:-1], columns.size(-1) // width, width).sum(-2)


def _summed(form: Form, summed: Callable[[_Range], torch.Tensor], width: int) -> Form:
    """A sum of what each range adds up to; what repeats alike is one term."""
    totals: list[Dense] = []
    for one in _ranges(form):
        base = summed(one)
        part = one.atom.with_base(base if one.coefficient == 1.0 else base * one.coefficient)
        for k, other in enumerate(totals):
            if all(map(same, other.tiles, part.tiles)) and all(map(same, other.base.shape, part.base.shape)):
                (left, right), tiles = aligned([other, part])
                totals[k] = Dense(left + right, join([other, part]), tiles)
                break
        else:
            totals.append(part)
    return Form(tuple(Term(0, width, part) for part in totals), width)


def square(walk: Walk, value: Any, other: Any = 2, **named: Any) -> Any:
    """`aten.mul` of fields by themselves, `aten.pow` and `aten.square`: each entry as often as it changes."""
    if not isinstance(value, Fields) or named:
        return NotImplemented
    if other is not value and not (isinstance(other, int | float) and other == 2):
        return NotImplemented
    if walk.node.target not in _SQUARES and other is not value:
        return NotImplemented
    taken = sorted(value.form.terms, key=lambda term: term.start)
    if any(before.end > behind.start for before, behind in pairwise(taken)):
        return NotImplemented  # the square of a sum is not the sum of squares
    terms = []
    for one in _ranges(value.form):
        columns = one.atom.with_base(one.columns.square())
        factor = one.coefficient**2
        terms += [Term(t.start, t.width, columns, t.offset - one.start, factor) for t in one.terms]
    return Fields(Form(tuple(terms), value.form.width), value.width)


_SQUARES = frozenset({torch.ops.aten.pow.Tensor_Scalar, torch.ops.aten.square.default})

OPS = {
    "aten.view.default": view,
    "aten.reshape.default": view,
    "aten._unsafe_view.default": view,
    "aten.stack.default": stack,
    "aten.sum.dim_IntList": total,
    "aten.mean.dim": mean,
    "aten.mul.Tensor": square,
    "aten.pow.Tensor_Scalar": square,
    "aten.square.default": square,
}
