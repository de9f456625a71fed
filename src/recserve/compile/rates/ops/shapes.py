"""Sizes, new and gone dimensions, repeats, transposes, and what is computed along a dimension."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from recserve.compile.rates.ops.concatenation import slice_
from recserve.compile.rates.values import Cat, Dense, Form, concatenated, dense, full, is_one, join, same
from recserve.engines.torch_arrays import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from recserve.compile.rates.values import Size
    from recserve.compile.rates.walk import Walk


def sym_size(_: Walk, value: Any, dim: int) -> Any:
    """`aten.sym_size`: as the original sees it."""
    return value.sizes[dim]


def numel(_: Walk, value: Any) -> Any:
    """`aten.sym_numel`."""
    return math.prod(value.sizes)


def item(_: Walk, value: Any) -> Any:
    """`aten.item`: a number of its own."""
    return full(value).item()


def tril(_: Walk, value: Any, diagonal: int = 0) -> Any:
    """`aten.tril`."""
    found = dense(value).untiled(-1, -2)
    return found.with_base(found.base.tril(diagonal))


def triu(_: Walk, value: Any, diagonal: int = 0) -> Any:
    """`aten.triu`."""
    found = dense(value).untiled(-1, -2)
    return found.with_base(found.base.triu(diagonal))


def unsqueeze(_: Walk, value: Any, dim: int) -> Any:
    """`aten.unsqueeze`."""
    found = dense(value)
    dim %= found.base.dim() + 1
    return Dense(found.base.unsqueeze(dim), found.rate, (*found.tiles[:dim], 1, *found.tiles[dim:]))


def squeeze(_: Walk, value: Any, dim: Any) -> Any:
    """`aten.squeeze` of dimensions that are 1 in every call."""
    found = dense(value)
    dims = [dim] if isinstance(dim, int) else list(dim)
    for d in sorted((d % found.base.dim() for d in dims), reverse=True):
        if same(found.sizes[d], 1):
            found = Dense(found.base.squeeze(d), found.rate, (*found.tiles[:d], *found.tiles[d + 1 :]))
    return found


def transpose(_: Walk, value: Any, first: int, second: int) -> Any:
    """`aten.transpose`."""
    found = dense(value)
    order = list(range(found.base.dim()))
    order[first], order[second] = order[second], order[first]
    return _permuted(found, order)


def permute(_: Walk, value: Any, order: Sequence[int]) -> Any:
    """`aten.permute`."""
    return _permuted(dense(value), [d % len(order) for d in order])


def t(_: Walk, value: Any) -> Any:
    """`aten.t`."""
    found = dense(value)
    return _permuted(found, list(range(found.base.dim()))[::-1])


def _permuted(value: Dense, order: Sequence[int]) -> Dense:
    return Dense(value.base.permute(list(order)), value.rate, tuple(value.tiles[d] for d in order))


def expand(_: Walk, value: Any, sizes: Sequence[Any], implicit: bool = False) -> Any:
    """`aten.expand`: what is one row is told once."""
    found = dense(value)
    missing = len(sizes) - found.base.dim()
    base = found.base[(None,) * missing] if missing else found.base
    tiles = [1] * missing + list(found.tiles)
    for d, size in enumerate(sizes):
        if isinstance(size, int) and size == -1:
            continue
        if is_one(base.size(d)) and is_one(tiles[d]):
            tiles[d] = size
    return Dense(base, found.rate, tuple(tiles))


def tile(_: Walk, value: Any, repeats: Sequence[Any]) -> Any:
    """`aten.tile` and `aten.repeat`."""
    found = dense(value)
    missing = max(0, len(repeats) - found.base.dim())
    base = found.base[(None,) * missing] if missing else found.base
    repeats = [1] * (base.dim() - len(repeats)) + list(repeats)
    tiles = [1] * missing + list(found.tiles)
    return Dense(
        base, found.rate, tuple(b if is_one(a) else a * b for a, b in zip(tiles, repeats, strict=True))
    )


def repeat_interleave(_: Walk, value: Any, repeats: Any, dim: Any = None, output_size: Any = None) -> Any:
    """`aten.repeat_interleave`: of one row, as a tile."""
    found = dense(value)
    if isinstance(repeats, Dense | Cat | Form):
        return NotImplemented
    if dim is None:
        found = found.untiled(*range(found.base.dim()))
        return Dense.of(found.base.repeat_interleave(repeats), found.rate)
    dim %= found.base.dim()
    before, behind = found.tiles[:dim], found.tiles[dim + 1 :]
    if is_one(found.base.size(dim)):
        times = repeats if is_one(found.tiles[dim]) else found.tiles[dim] * repeats
        return Dense(found.base, found.rate, (*before, times, *behind))
    # Each entry's copies stay beside it, so that a block repeats as before.
    return found.with_base(found.base.repeat_interleave(repeats, dim))


def view(_: Walk, value: Any, sizes: Sequence[Any]) -> Any:
    """`aten.view` and `aten.reshape`: groups of dimensions that hold as many entries before and after.

    A dimension that repeats has to stay as it is; one that is merged or cut is written out.
    """
    found = dense(value)
    wanted = resolved(found.sizes, sizes)
    if not found.is_tiled:
        return Dense.of(found.base.reshape(wanted), found.rate)
    groups = _groups(found.sizes, wanted)
    if groups is None:
        found = found.untiled(*range(found.base.dim()))
        return Dense.of(found.base.reshape(wanted), found.rate)
    shape: list[Any] = []
    tiles: list[Any] = []
    for before, after in groups:
        repeating = [d for d in before if not is_one(found.tiles[d])]
        others = [d for d in before if d not in repeating and not same(found.sizes[d], 1)]
        kept = [d for d in after if not same(wanted[d], 1)]
        if len(repeating) == 1 and not others and len(kept) == 1:  # ones may come and go around it
            for d in after:
                keeps = d == kept[0]
                shape.append(found.base.size(repeating[0]) if keeps else 1)
                tiles.append(found.tiles[repeating[0]] if keeps else 1)
            continue
        block = _block(found, before, [wanted[d] for d in after])
        if block is not None:
            shape += block
            tiles += [found.tiles[before[0]]] + [1] * (len(after) - 1)
            continue
        if repeating:
            found = found.untiled(*repeating)
        shape += [wanted[d] for d in after]
        tiles += [1] * len(after)
    return Dense(found.base.reshape(shape), found.rate, tuple(tiles))


def _block(value: Dense, before: Sequence[int], after: Sequence[Any]) -> list[Any] | None:
    """The shape of a block that repeats as a whole: users and what lies inside their rows, merged or cut."""
    if is_one(value.tiles[before[0]]) or not all(is_one(value.tiles[d]) for d in before[1:]):
        return None
    inside = [value.base.size(d) for d in before]
    rest = list(after[1:])
    while inside and rest and same(inside[-1], rest[-1]):
        del inside[-1], rest[-1]
    if not rest:
        return [math.prod(inside), *after[1:]]
    entries, cut = math.prod(inside), math.prod(rest)
    if isinstance(entries, int) and isinstance(cut, int) and cut and entries % cut == 0:
        return [entries // cut, *after[1:]]
    return [1, *after[1:]] if same(entries, cut) else None


def resolved(sizes: Sequence[Size], wanted: Sequence[Any]) -> list[Any]:
    """The sizes of a view, -1 among them found."""
    unknown = [d for d, size in enumerate(wanted) if isinstance(size, int) and size == -1]
    if not unknown:
        return list(wanted)
    known = math.prod(size for d, size in enumerate(wanted) if d not in unknown)
    # A dimension that is there before and after needs no division, which symbols would keep.
    rest = list(sizes)
    for size in (size for d, size in enumerate(wanted) if d not in unknown):
        for at, one in enumerate(rest):
            if same(one, size):
                del rest[at]
                known = known // size if isinstance(known, int) else known
                break
        else:
            break
    else:
        return [math.prod(rest) if d in unknown else size for d, size in enumerate(wanted)]
    total = math.prod(sizes)
    known = math.prod(size for d, size in enumerate(wanted) if d not in unknown)
    return [total // known if d in unknown else size for d, size in enumerate(wanted)]


def _groups(before: Sequence[Size], after: Sequence[Size]) -> list[tuple[list[int], list[int]]] | None:
    """Runs of dimensions of equal products; None where symbols leave that open."""
    groups: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(before) and j < len(after):
        first, second = [i], [j]
        a, b = before[i], after[j]
        i, j = i + 1, j + 1
        while not same(a, b):
            if isinstance(a, int) and isinstance(b, int):
                smaller = a < b
            else:  # a symbol of the other side has to come still
                smaller = isinstance(a, int) or (j >= len(after))
            if smaller and i < len(before):
                a, first, i = a * before[i], [*first, i], i + 1
            elif j < len(after):
                b, second, j = b * after[j], [*second, j], j + 1
            elif i < len(before):
                a, first, i = a * before[i], [*first, i], i + 1
            else:
                return None
        groups.append((first, second))
    rest_before, rest_after = list(range(i, len(before))), list(range(j, len(after)))
    if not groups:
        return None
    groups[-1][0].extend(rest_before)
    groups[-1][1].extend(rest_after)
    return groups


def _along(operation: Callable[..., Any], *, gone: bool) -> Callable[..., Any]:
    """A rule for what is computed along dimensions; `gone`: they are gone behind, unless kept.

    What repeats along them is written out, other dimensions stay told once.
    """

    def rule(_: Walk, value: Any, dim: Any = None, *arguments: Any, **named: Any) -> Any:
        found = dense(value)
        if dim is None:
            dims = list(range(found.base.dim()))
        else:
            dims = [d % found.base.dim() for d in ([dim] if isinstance(dim, int) else dim)]
            dims = dims or list(range(found.base.dim()))
        found = found.untiled(*dims)
        result = operation(found.base, *([] if dim is None else [dim]), *arguments, **named)
        kept = not gone or bool(arguments[0] if arguments else named.get("keepdim", False))
        tiles = found.tiles if kept else tuple(tl for d, tl in enumerate(found.tiles) if d not in dims)
        if isinstance(result, tuple):
            return tuple(Dense(one, found.rate, tiles) for one in result)
        return Dense(result, found.rate, tiles)

    return rule


def _total(operation: Any) -> Callable[..., Any]:
    """A sum or mean of all."""

    def rule(_: Walk, value: Any, **named: Any) -> Any:
        found = dense(value)
        return Dense.of(operation(full(found), **named), found.rate)

    return rule


def _of_all(operation: Any) -> Callable[..., Any]:
    """The largest or smallest of all: repeats change nothing."""

    def rule(_: Walk, value: Any) -> Any:
        found = dense(value)
        return Dense.of(operation(found.base), found.rate)

    return rule


def stack(walk: Walk, values: Sequence[Any], dim: int = 0) -> Any:
    """`aten.stack`."""
    found = [dense(value) for value in values]
    dim %= found[0].base.dim() + 1
    return concatenated([unsqueeze(walk, value, dim) for value in found], dim)


def cumsum(_: Walk, value: Any, dim: int, **named: Any) -> Any:
    """`aten.cumsum`."""
    found = dense(value).untiled(dim)
    return found.with_base(found.base.cumsum(dim, **named))


def index(_: Walk, value: Any, indices: Sequence[Any]) -> Any:
    """`aten.index`: rows of what does not repeat."""
    if isinstance(value, Cat) or len(indices) != 1 or indices[0] is None:
        return NotImplemented
    found, (at,) = dense(value).untiled(0), [dense(one) for one in indices]
    if at.base.dtype == torch.bool:  # how many rows are left depends on the values
        return NotImplemented
    return Dense(found.base[at.base], join([found, at]), (*at.tiles, *found.tiles[1:]))


def index_select(_: Walk, value: Any, dim: int, at: Any) -> Any:
    """`aten.index_select`."""
    found, indices = dense(value), dense(at)
    dim %= found.base.dim()
    found = found.untiled(dim)
    tiles = (*found.tiles[:dim], *indices.tiles, *found.tiles[dim + 1 :])
    return Dense(found.base.index_select(dim, indices.base), join([found, indices]), tiles)


def flatten(walk: Walk, value: Any, start: int = 0, end: int = -1) -> Any:
    """`aten.flatten`."""
    sizes = list(value.sizes)
    if not sizes:
        return view(walk, value, [1])
    start, end = start % len(sizes), end % len(sizes)
    return view(walk, value, [*sizes[:start], math.prod(sizes[start : end + 1]), *sizes[end + 1 :]])


def unflatten(walk: Walk, value: Any, dim: int, sizes: Sequence[Any]) -> Any:
    """`aten.unflatten`."""
    before = list(value.sizes)
    dim %= len(before)
    return view(walk, value, [*before[:dim], *resolved([before[dim]], sizes), *before[dim + 1 :]])


def narrow(walk: Walk, value: Any, dim: int, start: Any, length: Any) -> Any:
    """`aten.narrow`."""
    if isinstance(value, Cat) or (isinstance(start, int) and start < 0):
        return NotImplemented
    return slice_(walk, value, dim, start, start + length)


def pad(_: Walk, value: Any, padding: Sequence[Any], mode: str = "constant", fill: Any = None) -> Any:
    """`aten.pad` of anything: dimensions that are not padded stay told once."""
    found = dense(value)
    dims = found.base.dim()
    wanted = [
        dims - 1 - k
        for k in range(len(padding) // 2)
        if not (same(padding[2 * k], 0) and same(padding[2 * k + 1], 0))
    ]
    found = found.untiled(*wanted)
    return found.with_base(torch.nn.functional.pad(found.base, list(padding), mode, fill))


def gather(_: Walk, value: Any, dim: int, at: Any) -> Any:
    """`aten.gather`: rows that repeat in both stay told once."""
    found, indices = dense(value).untiled(dim), dense(at).untiled(dim)
    dims = found.base.dim()
    alike = [
        same(a, b) and same(c, d)
        for a, b, c, d in zip(found.tiles, indices.tiles, found.base.shape, indices.base.shape, strict=True)
    ]
    others = [d for d in range(dims) if d != dim % dims and not alike[d]]
    found, indices = found.untiled(*others), indices.untiled(*others)
    return Dense(found.base.gather(dim, indices.base), join([found, indices]), found.tiles)


def is_floating_point(_: Walk, value: Any) -> Any:
    """`aten.is_floating_point`."""
    first = value.parts[0] if isinstance(value, Cat) else dense(value)
    return first.base.is_floating_point()


_aten = torch.ops.aten
OPS: dict[str, Any] = {
    "aten.sym_size.int": sym_size,
    "aten.sym_numel.default": numel,
    "aten.item.default": item,
    "aten._local_scalar_dense.default": item,
    "aten.unsqueeze.default": unsqueeze,
    "aten.squeeze.dim": squeeze,
    "aten.squeeze.dims": squeeze,
    "aten.transpose.int": transpose,
    "aten.permute.default": permute,
    "aten.t.default": t,
    "aten.expand.default": expand,
    "aten.repeat.default": tile,
    "aten.tile.default": tile,
    "aten.repeat_interleave.self_int": repeat_interleave,
    "aten.view.default": view,
    "aten.reshape.default": view,
    "aten._unsafe_view.default": view,
    "aten.tril.default": tril,
    "aten.triu.default": triu,
    "aten.flatten.using_ints": flatten,
    "aten.unflatten.int": unflatten,
    "aten.narrow.default": narrow,
    "aten.pad.default": pad,
    "aten.constant_pad_nd.default": lambda walk, value, padding, fill=0: pad(walk, value, padding, fill=fill),
    "aten.gather.default": gather,
    "aten.is_floating_point.default": is_floating_point,
    "aten.stack.default": stack,
    "aten.cumsum.default": cumsum,
    "aten.index.Tensor": index,
    "aten.index_select.default": index_select,
    "aten.max.default": _of_all(_aten.max.default),
    "aten.min.default": _of_all(_aten.min.default),
    "aten.any.default": _of_all(_aten.any.default),
    "aten.all.default": _of_all(_aten.all.default),
    "aten.softmax.int": _along(_aten.softmax.int, gone=False),
    "aten._softmax.default": _along(_aten._softmax.default, gone=False),
    "aten.log_softmax.int": _along(_aten.log_softmax.int, gone=False),
    "aten.sum.dim_IntList": _along(_aten.sum.dim_IntList, gone=True),
    "aten.mean.dim": _along(_aten.mean.dim, gone=True),
    "aten.sum.default": _total(_aten.sum.default),
    "aten.mean.default": _total(_aten.mean.default),
    "aten.max.dim": _along(_aten.max.dim, gone=True),
    "aten.min.dim": _along(_aten.min.dim, gone=True),
    "aten.amax.default": _along(_aten.amax.default, gone=True),
    "aten.amin.default": _along(_aten.amin.default, gone=True),
    "aten.any.dim": _along(_aten.any.dim, gone=True),
    "aten.all.dim": _along(_aten.all.dim, gone=True),
    "aten.prod.dim_int": _along(_aten.prod.dim_int, gone=True),
    "aten.logsumexp.default": _along(_aten.logsumexp.default, gone=True),
    "aten.argmin.default": _along(_aten.argmin.default, gone=True),
    "aten.argmax.default": _along(_aten.argmax.default, gone=True),
}
