"""Cross layers, x0 * (W x + b) + x: from the second layer on, all columns are of pairs.

What is added to columns of pairs is added up at once. As terms of a form, each would be multiplied by the
next weight once more, which is more work than the sum.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recserve.compile.rates.values import Dense, Form, Rate, aligned, dense, same

if TYPE_CHECKING:
    from recserve.compile.rates.walk import Walk


def add(_: Walk, left: Any, right: Any, *arguments: Any, **named: Any) -> Any:
    """`aten.add` of columns of pairs and of a form that was written before."""
    for pair, other in ((left, right), (right, left)):
        if not arguments and not named and _is_of_pairs(pair) and _was_written(other):
            if len(pair.sizes) != len(other.sizes) or not all(map(same, pair.sizes, other.sizes)):
                return NotImplemented
            (first, second), tiles = aligned([pair, dense(other)])
            return Dense(first + second, Rate.PAIR, tiles)
    return NotImplemented


def _is_of_pairs(value: Any) -> bool:
    return isinstance(value, Dense) and value.rate == Rate.PAIR and not value.is_tiled


def _was_written(value: Any) -> bool:
    return isinstance(value, Form) and bool(value.written)


OPS = {"aten.add.Tensor": add}
