"""Normalisation with what training left behind: a scale and a shift of columns, which weights can take over.

batch_norm(W x + b)  =  (s W) x + (s b + t)         W (batch_norm(x)) + b  =  (W s) x + (W t + b)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recserve.compile.rates.ops.concatenation import as_form, simplified
from recserve.compile.rates.ops.linear import multiplied
from recserve.compile.rates.values import Cat, Dense, Form, Term, dense
from recserve.engines.torch_arrays import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from recserve.compile.rates.walk import Walk

LINEAR = "aten.linear.default"
_BATCH_NORM = "aten.batch_norm.default"


@dataclass(frozen=True, slots=True)
class Affine:
    """A product with a constant weight; `node` has its result."""

    node: Any
    weight: Dense
    bias: Dense | None


def affine(walk: Walk, node: Any) -> Affine | None:
    """A linear node and the normalisation that is all that reads it; None without constant weights."""
    source, weight, bias = (*node.args, None)[:3] if not node.kwargs else (None, None, None)
    if source is None:
        return None
    known = walk.known(weight)
    if not walk.is_weight(known) or known.base.dim() != 2:
        return None
    shift = None if bias is None else walk.known(bias)
    if bias is not None and not walk.is_weight(shift):
        return None
    (reader, *others) = [*node.users] or [None]
    if reader is None or others or str(reader.target) != _BATCH_NORM or reader.args[0] is not node:
        return Affine(node, known, shift)
    columns = _columns(walk, [walk.known(one) for one in reader.args[1:5]], *reader.args[5:8])
    if columns is None or len(node.meta["val"].shape) != 2:
        return Affine(node, known, shift)
    scaled = walk.fold(lambda w, s: (w.double() * s[0].double()[:, None]).to(w.dtype), known, columns)
    if shift is None:
        moved = walk.fold(lambda w, s: s[1].to(w.dtype), known, columns)
    else:
        moved = walk.fold(
            lambda b, s: (b.double() * s[0].double() + s[1].double()).to(b.dtype), shift, columns
        )
    return Affine(reader, scaled, moved)


def _columns(walk: Walk, numbers: Sequence[Any], training: bool, _: Any, eps: float) -> Dense | None:
    """Scale and shift of each column, one above the other."""
    weight, bias, mean, variance = numbers
    if training or not (walk.is_weight(mean) and walk.is_weight(variance)):
        return None
    if any(one is not None and not walk.is_weight(one) for one in (weight, bias)):
        return None
    given = [one for one in (weight, bias) if one is not None]

    def compute(mean: torch.Tensor, variance: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        left = list(others)
        scale = (variance.double() + eps).rsqrt()
        scale = scale if weight is None else scale * left.pop(0).double()
        shift = -mean.double() * scale
        shift = shift if bias is None else shift + left.pop(0).double()
        return torch.stack([scale, shift])

    return walk.fold(compute, mean, variance, *given)


def linear(walk: Walk, value: Any, weight: Any, bias: Any = None) -> Any:
    """`aten.linear` that only a normalisation reads: its weight has the scale, its bias the shift."""
    form = as_form(value)
    found = None if form is None else affine(walk, walk.node)
    if form is None or found is None or found.node is walk.node:
        return NotImplemented
    result = multiplied(walk, form, found.weight, found.bias)
    walk.compute_ahead(found.node, result)
    return result


def batch_norm(walk: Walk, value: Any, *arguments: Any) -> Any:
    """`aten.batch_norm` with the statistics of training, over columns."""
    columns = _columns(walk, arguments[:4], *arguments[4:7])
    if columns is None or isinstance(value, Cat):
        return NotImplemented
    form = as_form(value)
    if form is None or len(form.sizes) != 2:
        return _whole(walk, value, columns)
    (reader, *others) = [*walk.node.users] or [None]
    if not others and reader is not None and str(reader.target) == LINEAR and reader.args[0] is walk.node:
        found = affine(walk, reader)
        if found is not None:
            folded = walk.fold(lambda w, s: (w.double() * s[0].double()).to(w.dtype), found.weight, columns)
            moved = [one for one in (found.bias,) if one is not None]
            shift = walk.fold(_shifted, found.weight, columns, *moved)
            result = multiplied(walk, form, folded, shift)
            walk.compute_ahead(reader, result)
            if found.node is not reader:
                walk.compute_ahead(found.node, result)
            return result
    return _by_term(walk, form, columns) if _side_by_side(form) else _whole(walk, value, columns)


def _shifted(weight: torch.Tensor, columns: torch.Tensor, *bias: torch.Tensor) -> torch.Tensor:
    total = weight.double() @ columns[1].double()
    return (total + bias[0].double() if bias else total).to(weight.dtype)


def _side_by_side(form: Form) -> bool:
    """Whether each column is of one term."""
    terms = sorted(form.terms, key=lambda term: term.start)
    edges = [0, *(term.end for term in terms)]
    return [term.start for term in terms] == edges[:-1] and edges[-1] == form.width


def _by_term(walk: Walk, form: Form, columns: Dense) -> Form | Dense:
    """Each atom's columns as often as they change."""
    terms = []
    for term in form.terms:
        atom = dense(term.atom).untiled(-1)
        base = atom.base
        if (term.offset, term.width) != (0, base.size(-1)):
            base = base.narrow(-1, term.offset, term.width)
        scale = walk.fold(_part(0, term.start, term.end, term.coefficient, base.dtype), columns)
        shift = walk.fold(_part(1, term.start, term.end, 1.0, base.dtype), columns)
        scaled = torch.addcmul(shift.base, base, scale.base)
        terms.append(Term(term.start, term.width, atom.with_base(scaled)))
    return simplified(Form(tuple(terms), form.width))  # type: ignore[return-value]


def _part(row: int, start: int, end: int, factor: float, dtype: torch.dtype) -> Callable[..., torch.Tensor]:
    return lambda columns: (columns[row, start:end].double() * factor).to(dtype).contiguous()


def _whole(walk: Walk, value: Any, columns: Dense) -> Dense:
    found = dense(value).untiled(1)
    shape = [-1] + [1] * (found.base.dim() - 2)
    scale, shift = (
        walk.fold(lambda numbers, row=row: numbers[row].to(found.base.dtype).reshape(shape), columns)
        for row in (0, 1)
    )
    return found.with_base(torch.addcmul(shift.base, found.base, scale.base))


def layer_norm(
    _: Walk, value: Any, shape: Sequence[int], weight: Any = None, bias: Any = None, *arguments: Any
) -> Any:
    """`aten.layer_norm`: rows that repeat are normalised once."""
    return _along_last(torch.nn.functional.layer_norm, value, shape, (weight, bias), arguments[:1])


def rms_norm(_: Walk, value: Any, shape: Sequence[int], weight: Any = None, eps: Any = None) -> Any:
    """`aten.rms_norm` likewise."""
    return _along_last(torch.nn.functional.rms_norm, value, shape, (weight,), (eps,))


def _along_last(
    operation: Any, value: Any, shape: Sequence[int], weights: Sequence[Any], arguments: Sequence[Any]
) -> Any:
    found = dense(value)
    dims = found.base.dim()
    found = found.untiled(*range(dims - len(shape), dims))
    given = [None if one is None else dense(one).untiled(*range(len(shape))).base for one in weights]
    return found.with_base(operation(found.base, list(shape), *given, *arguments))


OPS = {
    LINEAR: linear,
    _BATCH_NORM: batch_norm,
    "aten.layer_norm.default": layer_norm,
    "aten.rms_norm.default": rms_norm,
}
