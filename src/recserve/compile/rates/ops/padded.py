"""Steps of sequences, laid out as rows of equal length with what torch itself has for that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recserve.compile.rates.ops.jagged import Offsets
from recserve.compile.rates.values import Cat, Dense, aligned, dense, full, join, same
from recserve.engines.torch_arrays import torch

if TYPE_CHECKING:
    from recserve.compile.rates.walk import Walk


def masked_scatter(_: Walk, value: Any, mask: Any, source: Any) -> Any:
    """`aten.masked_scatter`: entries one after the other, where the mask lets them.

    Where mask and entries repeat alike, so does the result: as many entries as a block of the mask lets
    through are in a block of the source, or a row of the original would read another row's entries.
    """
    if isinstance(source, Cat | Offsets) or isinstance(value, Offsets) or isinstance(mask, Offsets):
        return NotImplemented
    into, where, entries = dense(value), dense(mask), dense(source)
    rate = join([into, where, entries])
    (base, allowed), tiles = aligned([into, where])
    once = entries.base.dim() == 1 and all(same(size, 1) for size in tiles[1:])
    if not once or not same(tiles[0], entries.tiles[0]):
        found = torch.masked_scatter(full(into), full(where), full(entries))
        return Dense.of(found, rate)
    return Dense(torch.masked_scatter(base, allowed, entries.base), rate, tiles)


OPS: dict[str, Any] = {"aten.masked_scatter.default": masked_scatter}
