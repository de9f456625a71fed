"""Rows of embedding tables: a joint lookup is cut, so that a user's ids are looked up once.

lookup [u1 i1 u2]  =  columns of  lookup [u1 u2] (one row)  and  lookup [i1] (a row per candidate)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recserve.compile.ids_in_range import ids_in_range as in_range_op
from recserve.compile.ids_in_range import spelled_out
from recserve.compile.rates.ops import jagged
from recserve.compile.rates.ops.concatenation import simplified
from recserve.compile.rates.ops.jagged import Offsets, offsets_of, rows_of, summed
from recserve.compile.rates.values import (
    Cat,
    Dense,
    Form,
    NotUnderstood,
    Rate,
    Term,
    dense,
    full,
    is_one,
    join,
    same,
)
from recserve.engines.torch_arrays import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recserve.compile.rates.walk import Walk

#: Positions of the arguments of fbgemm's quantised lookup.
_WEIGHTS, _PER_FEATURE, _D_OFFSETS, _TOTAL_D = (0, 1), (2, 3, 4), 5, 6
_INDICES, _OFFSETS, _POOLING, _INDEX_WEIGHTS = 12, 13, 14, 15
_NOT_POOLED = 2


@dataclass(frozen=True, slots=True)
class _Feature:
    """What one feature brings to a joint lookup."""

    position: int
    ids: Dense
    lengths: Dense
    weights: Dense | None

    @property
    def rate(self) -> Rate:
        """Of both."""
        return self.ids.rate | self.lengths.rate

    @property
    def repeats(self) -> Any:
        """How often its rows are repeated."""
        return self.lengths.tiles[0]


@dataclass(frozen=True, slots=True)
class CheckedIds:
    """Ids of several features that are to be checked, once they are joined by rate."""

    ids: Cat
    rows: Dense

    @property
    def sizes(self) -> tuple[Any, ...]:
        """As the original sees them."""
        return self.ids.sizes

    @property
    def rate(self) -> Rate:
        """That of the ids."""
        return self.ids.rate


def ids_in_range(walk: Walk, indices: Any, offsets: Any, rows: Any) -> Any:
    """`recserve.ids_in_range`."""
    if isinstance(indices, Cat):
        return CheckedIds(indices, rows)
    ids = dense(indices)
    if not ids.is_tiled:
        return Dense.of(_checked(walk, ids.base, offsets_of(offsets), rows), ids.rate)
    if int(rows.base.size(0)) != 1:
        return NotImplemented
    return _below(ids, rows.base)


def split(walk: Walk, value: Any, *arguments: Any) -> Any:
    """`aten.split` of checked ids: what reads some features of a joint list reads checked ones."""
    if not isinstance(value, CheckedIds):
        return NotImplemented
    return jagged.split(walk, _in_tables(walk, value), *arguments)


def slice_scatter(walk: Walk, value: Any, part: Any, *arguments: Any) -> Any:
    """`aten.slice_scatter` of checked ids, in the list that others read."""
    if not isinstance(part, CheckedIds):
        return NotImplemented
    return jagged.slice_scatter(walk, value, _in_tables(walk, part), *arguments)


def _in_tables(walk: Walk, value: CheckedIds) -> Cat:
    """The ids of each feature by themselves, checked."""
    parts = value.ids.parts
    limits: list[int] = walk.once(lambda: walk.real(value.rows).tolist())
    if len(limits) != len(parts):
        raise NotUnderstood(f"{walk.node.target}: ids of {len(parts)} parts for {len(limits)} features")
    return Cat(0, tuple(_below(part, limit) for part, limit in zip(parts, limits, strict=True)))


def _below(ids: Dense, limit: int | torch.Tensor) -> Dense:
    absent = (ids.base < -1) | (ids.base >= limit)
    return ids.with_base(torch.where(absent, torch.zeros_like(ids.base), ids.base))


def _checked(walk: Walk, ids: torch.Tensor, offsets: torch.Tensor, rows: Dense) -> torch.Tensor:
    check = in_range_op if walk.options.interpreted else spelled_out
    found: torch.Tensor = check(ids, offsets, rows.base)
    return found


def quantised(walk: Walk, *arguments: Any) -> Any:
    """`fbgemm.int_nbit_split_embedding_codegen_lookup_function`."""
    indices, offsets, weights = (arguments[k] for k in (_INDICES, _OFFSETS, _INDEX_WEIGHTS))
    rows = indices.rows if isinstance(indices, CheckedIds) else None
    indices = indices.ids if isinstance(indices, CheckedIds) else indices
    if arguments[_POOLING] == _NOT_POOLED:
        return _not_pooled(walk, arguments)
    if not isinstance(indices, Cat) and not dense(indices).is_tiled and not _repeats(offsets):
        return _called(arguments, indices.rate | offsets.rate)
    features = int(dense(arguments[_PER_FEATURE[0]]).base.size(0))
    ids = list(indices.parts) if isinstance(indices, Cat) else [dense(indices)]
    if len(ids) != features or not isinstance(offsets, Offsets):
        raise NotUnderstood(f"{walk.node.target}: ids of {len(ids)} parts for {features} features")
    lengths = rows_of(offsets.lengths, features)
    beside = [None] * features if weights is None else _parts(weights)
    joint = list(map(_Feature, range(features), ids, lengths, beside))
    widths: list[int] = walk.once(lambda: walk.real(arguments[_D_OFFSETS]).diff().tolist())
    starts = [sum(widths[:k]) for k in range(features)]
    terms: list[Term] = []
    for group in _alike(walk, joint):
        looked_up = _group(walk, arguments, group, limits=rows)
        at = 0
        for k in (feature.position for feature in group):
            terms.append(Term(starts[k], widths[k], looked_up, at))
            at += widths[k]
    return _in_order(Form(tuple(terms), sum(widths)))


def _in_order(form: Form) -> Any:
    """Neighbours that are neighbours in their atom too become one term."""
    terms: list[Term] = []
    for term in sorted(form.terms, key=lambda one: one.start):
        last = terms[-1] if terms else None
        if (
            last
            and last.atom is term.atom
            and (last.end, last.offset + last.width)
            == (
                term.start,
                term.offset,
            )
        ):
            terms[-1] = Term(last.start, last.width + term.width, last.atom, last.offset)
        else:
            terms.append(term)
    return simplified(Form(tuple(terms), form.width))


def _repeats(offsets: Any) -> bool:
    lengths = offsets.lengths if isinstance(offsets, Offsets) else offsets
    return isinstance(lengths, Cat) or dense(lengths).is_tiled


def _parts(value: Any) -> list[Any]:
    return list(value.parts) if isinstance(value, Cat) else [dense(value)]


def _alike(walk: Walk, joint: Sequence[_Feature]) -> list[list[_Feature]]:
    """Features whose rows repeat alike."""
    groups: list[list[_Feature]] = []
    for mine in joint:
        if not same(mine.repeats, mine.ids.tiles[0]):
            raise NotUnderstood("ids repeat otherwise than their lengths")
        for group in groups:
            first = group[0]
            rows = same(first.lengths.base.size(0), mine.lengths.base.size(0))
            if same(first.repeats, mine.repeats) and rows and not walk.apart(first, mine):
                group.append(mine)
                break
        else:
            groups.append([mine])
    return groups


def _group(
    walk: Walk,
    arguments: Sequence[Any],
    features: Sequence[_Feature],
    *,
    limits: Dense | None,
    width: int | None = None,
) -> Dense:
    """The lookup of some features, whose rows repeat alike; `width` of a row, if not of all side by side."""
    at = [feature.position for feature in features]
    chosen = list(arguments)
    for position in _PER_FEATURE:
        chosen[position] = walk.fold(lambda entries: entries[at].contiguous(), arguments[position])
    chosen[_D_OFFSETS] = walk.fold(lambda ends: _ends(ends, at), arguments[_D_OFFSETS])
    if width is None:
        width = walk.once(lambda: int(walk.real(chosen[_D_OFFSETS])[-1]))
    chosen[_TOTAL_D] = width
    rate = join([value for one in features for value in (one.ids, one.lengths)])
    chosen[_OFFSETS] = summed(_joined([one.lengths for one in features]))
    chosen[_INDICES] = _in_range(walk, features, chosen[_OFFSETS], limits)
    if features[0].weights is not None:
        chosen[_INDEX_WEIGHTS] = _joined([one.weights for one in features if one.weights is not None])
    return Dense(_called(chosen, rate).base, rate, (features[0].repeats, 1))


def _in_range(
    walk: Walk, features: Sequence[_Feature], offsets: torch.Tensor, limits: Dense | None
) -> torch.Tensor:
    """The ids of some features side by side, checked where there are limits."""
    ids = [feature.ids for feature in features]
    at = [feature.position for feature in features]
    if limits is None:
        return _joined(ids)
    if walk.options.interpreted:
        return _checked(walk, _joined(ids), offsets, walk.fold(lambda rows: rows[at].contiguous(), limits))
    # A compiler makes one pass of it, in which each id is compared with a number.
    numbers: list[int] = walk.once(lambda: walk.real(limits).tolist())
    return _joined([_below(one, numbers[k]) for one, k in zip(ids, at, strict=True)])


def _joined(values: Sequence[Dense]) -> torch.Tensor:
    return values[0].base if len(values) == 1 else torch.cat([value.base for value in values])


def _ends(ends: torch.Tensor, chosen: Sequence[int]) -> torch.Tensor:
    widths = ends.diff()[list(chosen)]
    return torch.cat([ends.new_zeros(1), widths.cumsum(0).to(ends.dtype)])


def _called(arguments: Sequence[Any], rate: Any) -> Dense:
    given = [
        offsets_of(one) if isinstance(one, Offsets) else full(one) if isinstance(one, Dense | Cat) else one
        for one in arguments
    ]
    found = torch.ops.fbgemm.int_nbit_split_embedding_codegen_lookup_function(*given)
    return Dense.of(found, rate)


def _not_pooled(walk: Walk, arguments: Sequence[Any]) -> Any:
    """A row of the table for each id."""
    indices, offsets = arguments[_INDICES], arguments[_OFFSETS]
    if isinstance(indices, Cat | CheckedIds):
        return _rows_of_several(walk, arguments)
    ids = dense(indices)
    if is_one(ids.tiles[0]):
        return _called(arguments, ids.rate)
    given = list(arguments)
    given[_INDICES] = Dense.of(ids.base, ids.rate)
    # Only the number of rows counts: the result has a row for each id.
    given[_OFFSETS] = Dense.of(torch.arange(ids.base.size(0) + 1, dtype=_dtype(offsets)), ids.rate)
    found = _called(given, ids.rate)
    return Dense(found.base, ids.rate, (ids.tiles[0], 1))


def _rows_of_several(walk: Walk, arguments: Sequence[Any]) -> Cat:
    """The rows of several features, each of which keeps its rate."""
    indices, offsets = arguments[_INDICES], arguments[_OFFSETS]
    features = int(dense(arguments[_PER_FEATURE[0]]).base.size(0))
    checked = isinstance(indices, CheckedIds)
    ids = (indices.ids if checked else indices).parts
    if len(ids) != features or not isinstance(offsets, Offsets):
        raise NotUnderstood(f"{walk.node.target}: ids of {len(ids)} parts for {features} features")
    lengths = rows_of(offsets.lengths, features)
    joint = list(map(_Feature, range(features), ids, lengths, [None] * features))
    limits = indices.rows if checked else None
    parts: dict[int, Dense] = {}
    for group in _alike(walk, joint):
        rows = _group(walk, arguments, group, limits=limits, width=arguments[_TOTAL_D])
        sizes = [feature.ids.base.size(0) for feature in group]
        found = [rows.base] if len(group) == 1 else torch.split(rows.base, sizes)
        parts |= {one.position: rows.with_base(part) for one, part in zip(group, found, strict=True)}
    return Cat(0, tuple(parts[k] for k in range(features)))


def _dtype(offsets: Any) -> torch.dtype:
    if not isinstance(offsets, Offsets):
        return dense(offsets).base.dtype
    lengths = offsets.lengths
    return (lengths.parts[0] if isinstance(lengths, Cat) else lengths).base.dtype


def embedding(walk: Walk, weight: Any, indices: Any, *arguments: Any) -> Any:
    """`aten.embedding`: for ids of every rate, part by part."""
    if isinstance(indices, Cat):
        return Cat(0, tuple(embedding(walk, weight, part, *arguments) for part in indices.parts))
    ids = dense(indices)
    base = torch.nn.functional.embedding(ids.base, full(weight))
    return Dense(base, ids.rate, (*ids.tiles, 1))


def embedding_bag(walk: Walk, weight: Any, indices: Any, offsets: Any, *arguments: Any) -> Any:
    """`aten.embedding_bag` of one feature: told once where ids and rows repeat alike."""
    scale, mode, sparse, weights, last, padding = (*arguments, *[None] * 6)[:6]
    if isinstance(indices, Cat | CheckedIds):
        return NotImplemented
    ids, beside = dense(indices), None if weights is None else dense(weights)
    lengths = dense(offsets.lengths) if isinstance(offsets, Offsets) else None
    once = bool(last) and lengths is not None and same(ids.tiles[0], lengths.tiles[0])
    if not once or (beside is not None and not same(beside.tiles[0], ids.tiles[0])):
        ids, lengths = ids.untiled(0), None
        beside = None if beside is None else beside.untiled(0)
    edges = offsets_of(offsets) if lengths is None else summed(lengths.base)
    base = torch.ops.aten.embedding_bag.padding_idx(
        full(weight),
        ids.base,
        edges,
        bool(scale),
        mode or 0,
        bool(sparse),
        None if beside is None else beside.base,
        bool(last),
        padding,
    )[0]
    return (Dense(base, ids.rate | offsets.rate, (1 if lengths is None else lengths.tiles[0], 1)),)


OPS: dict[str, Any] = {
    "recserve.ids_in_range.default": ids_in_range,
    "aten.slice_scatter.default": slice_scatter,
    "aten.split.sizes": split,
    "aten.split.Tensor": split,
    "aten.split_with_sizes.default": split,
    "fbgemm.int_nbit_split_embedding_codegen_lookup_function.default": quantised,
    "aten.embedding.default": embedding,
    "aten.embedding_bag.padding_idx": embedding_bag,
    "aten.embedding_bag.default": embedding_bag,
}
