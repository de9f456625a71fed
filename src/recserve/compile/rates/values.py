"""What the walk carries instead of tensors: each is told as often as it changes.

    Dense  a tensor, told once where rows (or steps) repeat it: a user's row stands for all candidates
    Cat    parts one behind the other, each at its own rate: ids of several features, fields of an FM
    Form   a sum of columns at their own rates, which nobody has written side by side yet
    Fields a form's columns as fields of a width

`dense` and `full` make tensors of them again, as late as an operator wants one.
"""

from __future__ import annotations

import enum
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from recserve.engines.torch_arrays import torch
from recserve.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Sequence

Size = Any  # int, or torch.SymInt while the second graph is made


class NotUnderstood(BundleError):  # noqa: N818  it is an answer of the pass, and not a fault of the bundle
    """The pass has no rule for something, so that the original stays."""


class Rate(enum.IntFlag):
    """How often a value changes; a value of several has the join, `|`."""

    CONST = 0
    USER = 1
    ITEM = 2
    PAIR = 3


def same(a: Size, b: Size) -> bool:
    """Whether two sizes are equal in every call; false also where nobody can know."""
    if isinstance(a, int) and isinstance(b, int):
        return a == b
    symbolic: Any = torch.fx.experimental.symbolic_shapes
    return bool(symbolic.statically_known_true(a == b))


@dataclass(frozen=True, slots=True)
class Dense:
    """A tensor of which `base` is one block; along dimension d it is repeated `tiles[d]` times.

    Its size is base.size(d) * tiles[d], in the order of torch.Tensor.tile. `constant` is its number among the
    walk's constants, if it is one.
    """

    base: torch.Tensor
    rate: Rate
    tiles: tuple[Size, ...]
    constant: int | None = None

    @classmethod
    def of(cls, base: torch.Tensor, rate: Rate) -> Dense:
        """A tensor that is told as it is."""
        return cls(base, rate, (1,) * base.dim())

    @property
    def sizes(self) -> tuple[Size, ...]:
        """As the original model sees it."""
        return tuple(
            size * tiles if not _is_one(tiles) else size
            for size, tiles in zip(self.base.shape, self.tiles, strict=True)
        )

    @property
    def is_tiled(self) -> bool:
        """Whether anything is told once that the original repeats."""
        return not all(_is_one(tiles) for tiles in self.tiles)

    def untiled(self, *dims: int) -> Dense:
        """The same with those dimensions written out."""
        wanted = [d % self.base.dim() for d in dims if not _is_one(self.tiles[d])]
        if not wanted:
            return self
        if all(_is_one(self.base.size(d)) for d in wanted):
            base = self.base.expand([self.tiles[d] if d in wanted else -1 for d in range(self.base.dim())])
        else:
            base = self.base.repeat([self.tiles[d] if d in wanted else 1 for d in range(self.base.dim())])
        tiles = tuple(1 if d in wanted else tiles for d, tiles in enumerate(self.tiles))
        return Dense(base, self.rate, tiles)

    def with_base(self, base: torch.Tensor) -> Dense:
        """Another tensor of the same sizes that repeats likewise."""
        return Dense(base, self.rate, self.tiles)


@dataclass(frozen=True, slots=True)
class Cat:
    """Parts one behind the other along `dim`."""

    dim: int
    parts: tuple[Dense, ...]

    @property
    def sizes(self) -> tuple[Size, ...]:
        """As the original model sees it."""
        first = self.parts[0].sizes
        total = sum((part.sizes[self.dim] for part in self.parts[1:]), first[self.dim])
        return (*first[: self.dim], total, *first[self.dim + 1 :])

    @property
    def rate(self) -> Rate:
        """The join of the parts'."""
        return join(self.parts)


@dataclass(frozen=True, slots=True)
class Product:
    """left * right, not computed yet: they repeat along different dimensions."""

    left: Dense
    right: Dense

    @property
    def sizes(self) -> tuple[Size, ...]:
        """As the original model sees it."""
        return self.left.sizes

    @property
    def rate(self) -> Rate:
        """The join of the factors'."""
        return self.left.rate | self.right.rate

    def computed(self) -> Dense:
        """As one tensor, as large as both together make it."""
        (left, right), tiles = aligned([self.left, self.right])
        return Dense(left * right, self.rate, tiles)


@dataclass(frozen=True, slots=True)
class Multiplied:
    """columns · weightᵀ, not computed yet: what is added to it may be what the product adds itself to."""

    columns: Dense
    weight: torch.Tensor  # (out, in)
    compiled: bool = False  # a compiler makes one pass of all that is added, and what is done to the sum
    computed_once: list[Dense] = field(default_factory=list, compare=False)

    @property
    def base_sizes(self) -> tuple[Size, ...]:
        """Of the product, where it is told once."""
        return (*self.columns.base.shape[:-1], self.weight.size(0))

    @property
    def sizes(self) -> tuple[Size, ...]:
        """As the original model sees it."""
        return (*self.columns.sizes[:-1], self.weight.size(0))

    @property
    def tiles(self) -> tuple[Size, ...]:
        """How often the product is repeated."""
        return self.columns.tiles

    @property
    def rate(self) -> Rate:
        """That of the columns."""
        return self.columns.rate

    def computed(self) -> Dense:
        """As one tensor."""
        if not self.computed_once:
            # As one matrix: without a bias, torch would multiply step by step.
            flat = self.columns.base.reshape(-1, self.weight.size(1))
            base = torch.mm(flat, self.weight.t()).reshape(self.base_sizes)
            self.computed_once.append(self.columns.with_base(base))
        return self.computed_once[0]

    def with_bias(self, row: Dense) -> Dense:
        """The product and a row that is added to each of its own."""
        flat = self.columns.base.reshape(-1, self.weight.size(1))
        base = torch.addmm(row.base.reshape(-1), flat, self.weight.t()).reshape(self.base_sizes)
        tiles = aligned([row, self.columns])[1]
        return Dense(base, self.rate | row.rate, tiles)

    def added_to(self, addend: Dense) -> Dense | None:
        """The sum, in one pass over memory; None where the addend repeats otherwise than the product."""
        (base, like), tiles = aligned([addend, self.columns])
        if like is not self.columns.base or not all(map(same, tiles, self.tiles)):
            return None
        if base.dim() == 2 and _is_one(base.size(0)):
            # A row for all is a bias; of addmm, TorchScript would make two passes over memory.
            total = torch.nn.functional.linear(self.columns.base, self.weight, base.squeeze(0))
        elif base.dim() == 2:
            total = torch.addmm(base, self.columns.base, self.weight.t())
        else:
            out = self.weight.size(0)
            if not all(map(same, base.shape, self.base_sizes)):
                base = base.expand(self.base_sizes).clone(memory_format=torch.contiguous_format)
            flat = self.columns.base.reshape(-1, self.weight.size(1))
            total = torch.addmm(base.reshape(-1, out), flat, self.weight.t()).view(self.base_sizes)
        return Dense(total, self.rate | addend.rate, tiles)


@dataclass(frozen=True, slots=True)
class Term:
    """Columns offset … offset + width of an atom, times a number, at columns start … of the form."""

    start: int
    width: int
    atom: Atom
    offset: int = 0
    coefficient: float = 1.0

    @property
    def end(self) -> int:
        """Behind its last column in the form."""
        return self.start + self.width


Atom = Dense | Product | Multiplied


@dataclass(frozen=True, slots=True)
class Form:
    """A sum of terms over the last dimension, floats; columns that no term has are 0."""

    terms: tuple[Term, ...]
    width: int
    written: list[Dense] = field(default_factory=list, compare=False)  # once, however many read it

    @property
    def sizes(self) -> tuple[Size, ...]:
        """As the original model sees it."""
        return (*self.terms[0].atom.sizes[:-1], self.width)

    @property
    def rate(self) -> Rate:
        """The join of the terms'."""
        return join([term.atom for term in self.terms])


@dataclass(frozen=True, slots=True)
class Fields:
    """Columns of a form as fields of a width: (…, fields, width)."""

    form: Form
    width: int

    @property
    def sizes(self) -> tuple[Size, ...]:
        """As the original model sees it."""
        return (*self.form.sizes[:-1], self.form.width // self.width, self.width)

    @property
    def rate(self) -> Rate:
        """That of the columns."""
        return self.form.rate


Value = Dense | Cat | Form | Fields


def join(values: Sequence[Any]) -> Rate:
    """The rate of what is computed from all of them."""
    found = Rate.CONST
    for value in values:
        if isinstance(value, Dense | Cat | Form | Fields | Product | Multiplied):
            found |= value.rate
        elif isinstance(value, list | tuple):
            found |= join(value)
    return found


def aligned(values: Sequence[Dense]) -> tuple[list[torch.Tensor], tuple[Size, ...]]:
    """Bases that torch broadcasts against one another, and how often the result is repeated.

    What repeats in all stays told once; what repeats in some, and is one row there, is broadcast by torch.
    """
    dims = max(value.base.dim() for value in values)
    values = [_with_dims(value, dims) for value in values]
    tiles: list[Size] = []
    for d in range(dims):
        # Rows that are one are broadcast to whatever the others are.
        large = [value for value in values if not _is_one(value.base.size(d))]
        repeated = [value.tiles[d] for value in large or values if not _is_one(value.tiles[d])]
        first = (large or values)[0]
        if not repeated:
            tiles.append(1)
        elif not large or all(
            same(v.tiles[d], first.tiles[d]) and same(v.base.size(d), first.base.size(d)) for v in large
        ):
            tiles.append(repeated[0])
        else:
            values = [v if _is_one(v.base.size(d)) else v.untiled(d) for v in values]
            tiles.append(1)
    return [value.base for value in values], tuple(tiles)


def _with_dims(value: Dense, dims: int) -> Dense:
    missing = dims - value.base.dim()
    if not missing:
        return value
    return Dense(value.base[(None,) * missing], value.rate, (1,) * missing + value.tiles)


def dense(value: Value | Atom) -> Dense:
    """One tensor, that repeats as far as all of its parts do."""
    if isinstance(value, Dense):
        return value
    if isinstance(value, Product | Multiplied):
        return value.computed()
    if isinstance(value, Cat):
        return concatenated(value.parts, value.dim)
    if isinstance(value, Fields):
        found = dense(value.form).untiled(-1)
        base = found.base.reshape(*found.base.shape[:-1], value.form.width // value.width, value.width)
        return Dense(base, found.rate, (*found.tiles, 1))
    if not value.written:
        value.written.append(_written(value))
    return value.written[0]


def full(value: Value | Atom) -> torch.Tensor:
    """One tensor, as the original model sees it."""
    found = dense(value)
    return found.untiled(*range(found.base.dim())).base


def concatenated(parts: Sequence[Dense], dim: int) -> Dense:
    """Parts side by side; a dimension stays told once where all parts repeat along it."""
    if len(parts) == 1:
        return parts[0]
    dims = parts[0].base.dim()
    parts = [part.untiled(dim) for part in parts]
    for d in range(dims):
        if d == dim:
            continue
        first = parts[0]
        if not all(
            same(part.tiles[d], first.tiles[d]) and same(part.base.size(d), first.base.size(d))
            for part in parts
        ):
            parts = [part.untiled(d) for part in parts]
    return Dense(torch.cat([part.base for part in parts], dim), join(parts), parts[0].tiles)


def _written(form: Form) -> Dense:
    """A form's columns: between two edges of terms, the sum of those that are there."""
    edges = sorted({0, form.width, *(t.start for t in form.terms), *(t.end for t in form.terms)})
    pieces: list[Dense] = []
    for start, end in itertools.pairwise(edges):
        here = [term for term in form.terms if term.start <= start and end <= term.end]
        pieces.append(_sum(form, here, start, end))
    return concatenated(pieces, len(form.sizes) - 1)


def _sum(form: Form, terms: Sequence[Term], start: int, end: int) -> Dense:
    if not terms:
        atom = dense(form.terms[0].atom)
        base = atom.base.new_zeros((1,) * (atom.base.dim() - 1) + (end - start,))
        tiles = (*form.sizes[:-1], 1)
        return Dense(base, Rate.CONST, tuple(tiles))
    product = _last(terms, start, end) if len(terms) > 1 else None
    found = [_columns(term, start, end) for term in terms if term.atom is not product]
    found.sort(key=lambda value: sum(not _is_one(tiles) for tiles in value.tiles), reverse=True)
    if product is None:
        return _added(found)
    if product.compiled:
        # What is one row is its bias. The product comes first: else the sum of the others would be as large
        # a tensor, written to be read once.
        rows = [value for value in found if _is_one_row(value)]
        others = [value for value in found if not _is_one_row(value)]
        return _added([product.with_bias(_added(rows)) if rows else product.computed(), *others])
    total = _added(found)
    return product.added_to(total) or _added([product.computed(), total])


def _is_one_row(value: Dense) -> bool:
    """Whether one row is all that it is, however often it is repeated; of all columns."""
    return all(map(_is_one, value.base.shape[:-1])) and _is_one(value.tiles[-1])


def _added(values: Sequence[Dense]) -> Dense:
    """The sum, one after another: what repeats most is the least to add up, and comes first."""
    total = values[0]
    for other in values[1:]:
        (left, right), tiles = aligned([total, other])
        total = Dense(left + right, total.rate | other.rate, tiles)
    return total


def _last(terms: Sequence[Term], start: int, end: int) -> Multiplied | None:
    """The largest product that was not computed yet: all others are added up first."""
    waiting = [
        term.atom
        for term in terms
        if isinstance(term.atom, Multiplied)
        and not term.atom.computed_once
        and (term.start, term.end, term.offset, term.coefficient) == (start, end, 0, 1.0)
        and same(term.atom.weight.size(0), term.width)
    ]
    return min(waiting, key=_rows_told_once, default=None)


def _rows_told_once(product: Multiplied) -> int:
    """How many dimensions of it stand for several rows, or are one."""
    sizes = product.columns.base.shape[:-1]
    return sum(_is_one(size) or not _is_one(t) for size, t in zip(sizes, product.tiles, strict=False))


def _columns(term: Term, start: int, end: int) -> Dense:
    atom = dense(term.atom).untiled(-1)
    width = atom.base.size(-1)
    at = term.offset + start - term.start
    base = atom.base if (at, end - start) == (0, width) else atom.base.narrow(-1, at, end - start)
    return atom.with_base(base if term.coefficient == 1.0 else base * term.coefficient)


def is_the_end(end: Any, total: Size) -> bool:
    """Whether a slice that ends there goes to the end of a dimension; "to the end" is written as 2⁶³ - 1."""
    return end is None or (isinstance(end, int) and end >= 2**62) or same(end, total)


def is_one(size: Size) -> bool:
    """Whether a size is 1 in every call."""
    return _is_one(size)


def _is_one(size: Size) -> bool:
    return isinstance(size, int) and size == 1
