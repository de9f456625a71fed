"""Columns side by side, cut, padded and added: nothing is computed, a form grows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recserve.compile.rates.values import (
    Cat,
    Dense,
    Form,
    Product,
    Rate,
    Term,
    aligned,
    concatenated,
    dense,
    is_one,
    is_the_end,
    same,
)
from recserve.engines.torch_arrays import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recserve.compile.rates.values import Value
    from recserve.compile.rates.walk import Walk


def as_form(value: Any) -> Form | None:
    """Columns of floats as terms; None for what has no fixed number of them."""
    if isinstance(value, Form):
        return value
    if not isinstance(value, Dense) or value.base.dim() < 2 or not value.base.is_floating_point():
        return None
    value = value.untiled(value.base.dim() - 1)
    width = value.base.size(-1)
    if not isinstance(width, int):
        return None
    return Form((Term(0, width, value),), width)


def cat(walk: Walk, parts: Sequence[Value], dim: int = 0) -> Any:
    """`aten.cat`."""
    if any(isinstance(part, Cat) for part in parts):
        return NotImplemented
    dims = len(parts[0].sizes)
    dim %= dims
    if dim == dims - 1:
        forms = [as_form(part) for part in parts]
        if all(form is not None for form in forms):
            return _beside(forms)  # type: ignore[arg-type]
    found = [dense(part) for part in parts]
    if len(found) == 1:
        return found[0]
    # Ids of features stay apart: what follows is mostly another order of them, which costs nothing so.
    apart = dims == 1 or any(walk.apart(found[0], part) for part in found)
    if _alike(found) and is_one(found[0].tiles[dim]) and not apart:
        return concatenated(found, dim)
    return Cat(dim, tuple(found))


def _alike(parts: Sequence[Dense]) -> bool:
    """Whether all repeat along the same dimensions: nothing is lost if they are written side by side."""
    first = parts[0]
    return all(same(a, b) for part in parts[1:] for a, b in zip(part.tiles, first.tiles, strict=True))


def _beside(forms: Sequence[Form]) -> Value:
    if len(forms) == 1:
        return forms[0]
    terms: list[Term] = []
    width = 0
    for form in forms:
        terms += [Term(width + t.start, t.width, t.atom, t.offset, t.coefficient) for t in form.terms]
        width += form.width
    found = Form(tuple(terms), width)
    # A user's columns are one row: written side by side they cost nothing, and are one atom from then on.
    return dense(found) if len(found.terms) > 1 and found.rate <= Rate.USER else found


def cut(value: Value, start: int, end: int) -> Value:
    """Columns start … end of the last dimension."""
    form = as_form(value)
    if form is None:
        found = dense(value).untiled(len(value.sizes) - 1)
        return found.with_base(found.base.narrow(-1, start, end - start))
    if (start, end) == (0, form.width):
        return value
    terms = []
    for term in form.terms:
        first, last = max(start, term.start), min(end, term.end)
        if first < last:
            offset = term.offset + first - term.start
            terms.append(Term(first - start, last - first, term.atom, offset, term.coefficient))
    if not terms:
        found = dense(form)
        return found.with_base(found.base.narrow(-1, start, end - start))
    return simplified(Form(tuple(terms), end - start))


def simplified(form: Form) -> Value:
    """An atom, if a form is nothing else."""
    if len(form.terms) == 1:
        (term,) = form.terms
        atom = term.atom
        whole = (term.start, term.offset, term.width, term.coefficient) == (0, 0, form.width, 1.0)
        if whole and isinstance(atom, Dense) and same(atom.base.size(-1), form.width):
            return atom
    return form


def split(walk: Walk, value: Value, sizes: Sequence[Any] | int, dim: int = 0) -> Any:
    """`aten.split`, `aten.split_with_sizes`."""
    if isinstance(value, Cat):
        return NotImplemented
    dims = len(value.sizes)
    dim %= dims
    total = value.sizes[dim]
    if isinstance(sizes, int):
        if not isinstance(total, int):
            return NotImplemented
        sizes = [min(sizes, total - at) for at in range(0, total, sizes)]
    if len(sizes) == 1:
        return (value,)
    if dim != dims - 1 or not all(isinstance(size, int) for size in sizes):
        found = dense(value).untiled(dim)
        return tuple(found.with_base(part) for part in torch.split(found.base, list(sizes), dim))
    ends = [sum(sizes[: k + 1]) for k in range(len(sizes))]
    return tuple(cut(value, end - size, end) for end, size in zip(ends, sizes, strict=True))


def chunk(walk: Walk, value: Value, chunks: int, dim: int = 0) -> Any:
    """`aten.chunk`."""
    total = value.sizes[dim]
    if not isinstance(total, int):
        return NotImplemented
    return split(walk, value, -(-total // chunks), dim)


def slice_(walk: Walk, value: Value, dim: int = 0, *bounds: Any) -> Any:
    """`aten.slice`."""
    start, end, step = (*bounds, None, None, None)[:3]
    if isinstance(value, Cat) or step not in (None, 1):
        return NotImplemented
    dims = len(value.sizes)
    dim %= dims
    total = value.sizes[dim]
    start = 0 if start is None else start
    to_the_end = is_the_end(end, total)
    if same(start, 0) and to_the_end:
        return value
    if dim == dims - 1 and isinstance(total, int) and isinstance(start, int):
        last = total if to_the_end else end
        if isinstance(last, int):
            start, last = (max(at + total, 0) if at < 0 else min(at, total) for at in (start, last))
            return cut(value, start, max(start, last))
    found = dense(value).untiled(dim)
    end = found.base.size(dim) if to_the_end else end
    return found.with_base(_sliced(found.base, dim, start, end))


def _sliced(base: Any, dim: int, start: Any, end: Any) -> Any:
    index: list[Any] = [slice(None)] * base.dim()
    index[dim] = slice(start, end)
    return base[tuple(index)]


def select(walk: Walk, value: Value, dim: int, index: int) -> Any:
    """`aten.select`: one entry of a dimension, which is gone."""
    dims = len(value.sizes)
    dim %= dims
    if isinstance(value, Cat):
        return NotImplemented
    found = dense(value)
    tiled = not same(found.tiles[dim], 1)
    if tiled and not same(found.base.size(dim), 1):
        found = found.untiled(dim)
    base = found.base.select(dim, 0 if tiled and same(found.base.size(dim), 1) else index)
    return Dense(base, found.rate, (*found.tiles[:dim], *found.tiles[dim + 1 :]))


def unbind(walk: Walk, value: Value, dim: int = 0) -> Any:
    """`aten.unbind`."""
    total = value.sizes[dim]
    if isinstance(value, Cat) or not isinstance(total, int):
        return NotImplemented
    return tuple(select(walk, value, dim, index) for index in range(total))


def pad(walk: Walk, value: Value, padding: Sequence[int], mode: str = "constant", fill: Any = None) -> Any:
    """`aten.pad` and `aten.constant_pad_nd` with zeros behind or before the columns."""
    form = as_form(value)
    zeros = mode == "constant" and fill in (None, 0, 0.0)
    if form is None or not zeros or len(padding) != 2 or not all(isinstance(p, int) for p in padding):
        return NotImplemented
    before, behind = padding
    if min(before, behind) < 0:
        return NotImplemented
    terms = tuple(Term(t.start + before, t.width, t.atom, t.offset, t.coefficient) for t in form.terms)
    return simplified(Form(terms, before + form.width + behind))


def add(walk: Walk, left: Any, right: Any, alpha: Any = 1) -> Any:
    """`aten.add` of columns that repeat differently."""
    return _added(walk, left, right, float(alpha))


def sub(walk: Walk, left: Any, right: Any, alpha: Any = 1) -> Any:
    """`aten.sub` likewise."""
    return _added(walk, left, right, -float(alpha))


def _added(walk: Walk, left: Any, right: Any, factor: float) -> Any:
    first, second = as_form(left), as_form(right)
    if first is None or second is None or first.width != second.width:
        return NotImplemented
    if len(first.sizes) != len(second.sizes):
        return NotImplemented
    if not all(same(a, b) for a, b in zip(first.sizes, second.sizes, strict=True)):
        return NotImplemented
    terms = list(first.terms)
    for term in second.terms:
        added = Term(term.start, term.width, term.atom, term.offset, factor * term.coefficient)
        if not _merged(walk, terms, added):
            terms.append(added)
    return simplified(Form(tuple(terms), first.width))


def _merged(walk: Walk, terms: list[Term], added: Term) -> bool:
    """Add to a term of the same columns that repeats as this one does: one tensor is less than two."""
    if not isinstance(added.atom, Dense):
        return False
    for k, term in enumerate(terms):
        if not isinstance(term.atom, Dense) or (term.start, term.width) != (added.start, added.width):
            continue
        if walk.apart(term.atom, added.atom):
            continue
        if term.atom is added.atom and term.offset == added.offset:
            terms[k] = Term(
                term.start, term.width, term.atom, term.offset, term.coefficient + added.coefficient
            )
            return True
        alike = all(same(a, b) for a, b in zip(term.atom.tiles, added.atom.tiles, strict=True))
        if alike:
            (left, right), tiles = aligned([_column_values(term), _column_values(added)])
            total = Dense(left + right, term.atom.rate | added.atom.rate, tiles)
            terms[k] = Term(term.start, term.width, total)
            return True
    return False


def _column_values(term: Term) -> Dense:
    atom = dense(term.atom)
    base = atom.base
    if (term.offset, term.width) != (0, base.size(-1)):
        base = base.narrow(-1, term.offset, term.width)
    return atom.with_base(base if term.coefficient == 1.0 else base * term.coefficient)


def mul(walk: Walk, left: Any, right: Any) -> Any:
    """`aten.mul` by a number, or of columns that repeat differently: a product that waits."""
    if isinstance(left, Form) and isinstance(right, int | float):
        return _scaled(left, float(right))
    if isinstance(right, Form) and isinstance(left, int | float):
        return _scaled(right, float(left))
    if as_form(left) is None or as_form(right) is None:
        return NotImplemented
    if len(left.sizes) != len(right.sizes) or not all(map(same, left.sizes, right.sizes)):
        return NotImplemented
    first, second = dense(left).untiled(-1), dense(right).untiled(-1)  # atoms have all their columns
    if all(same(a, b) for a, b in zip(first.tiles, second.tiles, strict=True)):
        return NotImplemented
    width = int(first.sizes[-1])
    return Form((Term(0, width, Product(first, second)),), width)


def _scaled(form: Form, factor: float) -> Form:
    terms = tuple(Term(t.start, t.width, t.atom, t.offset, factor * t.coefficient) for t in form.terms)
    return Form(terms, form.width)


def div(walk: Walk, left: Any, right: Any) -> Any:
    """`aten.div` by a number."""
    if isinstance(left, Form) and isinstance(right, int | float):
        return _scaled(left, 1.0 / float(right))
    return NotImplemented


OPS = {
    "aten.cat.default": cat,
    "aten.split.sizes": split,
    "aten.split.Tensor": split,
    "aten.split_with_sizes.default": split,
    "aten.chunk.default": chunk,
    "aten.slice.Tensor": slice_,
    "aten.select.int": select,
    "aten.unbind.int": unbind,
    "aten.pad.default": pad,
    "aten.constant_pad_nd.default": pad,
    "aten.add.Tensor": add,
    "aten.sub.Tensor": sub,
    "aten.mul.Tensor": mul,
    "aten.mul.Scalar": mul,
    "aten.div.Tensor": div,
    "aten.div.Scalar": div,
}
