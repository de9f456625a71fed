"""Rules for operators, a family a file; the first that knows the values at hand decides.

A rule is called with the walk and the node's arguments, values in place of nodes. It gives a value, or
NotImplemented, so that the next one is asked; NotUnderstood gives the whole rewrite up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recserve.compile.rates.ops import (
    attention,
    concatenation,
    cross,
    elementwise,
    fields,
    jagged,
    linear,
    lookups,
    norm,
    padded,
    shapes,
    stacked,
    steps,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_FAMILIES = (
    jagged.OPS,
    lookups.OPS,
    steps.OPS,
    stacked.OPS,
    norm.OPS,
    fields.OPS,
    cross.OPS,
    concatenation.OPS,
    linear.OPS,
    attention.OPS,
    padded.OPS,
    elementwise.OPS,
    shapes.OPS,
)


def _joined(families: tuple[Mapping[str, Any], ...]) -> dict[str, tuple[Callable[..., Any], ...]]:
    found: dict[str, tuple[Callable[..., Any], ...]] = {}
    for family in families:
        for name, rule in family.items():
            found[name] = (*found.get(name, ()), rule)
    return found


#: Operator → its rules, in the order in which they are asked.
OPS = _joined(_FAMILIES)
