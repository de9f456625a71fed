"""Sequences: one operator call per element, and at least one element."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.features.referee.bool_mask import MASK, VALUES, truths
from tests.features.referee.cells import Cell, UnspecifiedError, elements

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.features.referee.config import Feature, Input


def element_cells(
    feature: Feature, cells: Mapping[str, Cell], produced: Mapping[str, list[Cell]]
) -> list[dict[str, Cell]]:
    """The inputs of every element: element j of each sequence input, the whole cell of the others.

    `produced` holds, by argument, the elements of inputs that are results of sequence features. A shorter
    input continues as missing (7.1), but for the operator SeqExpr, where one element stands for all (6.13);
    a masked element is left out (6.10). Without any element the list is empty.
    """

    def split(source: Input) -> list[Cell]:
        if source.argument in produced:
            found = produced[source.argument]
            return found[: feature.length] if feature.length > 0 else found
        return elements(cells[source.argument], feature.delimiter, feature.length)

    split_inputs = {source.argument: split(source) for source in feature.inputs if is_split(feature, source)}
    size = max(map(len, split_inputs.values()))
    if feature.type == "bool_mask_feature" and VALUES in split_inputs:
        size = len(split_inputs[VALUES])  # more mask than values is ignored (6.10)
    if feature.splits_all:
        split_inputs = {
            argument: found * size if len(found) == 1 else found for argument, found in split_inputs.items()
        }
    found = [
        {
            source.argument: _element(split_inputs[source.argument], at)
            if source.argument in split_inputs
            else cells[source.argument]
            for source in feature.inputs
        }
        for at in range(size)
    ]
    if feature.type != "bool_mask_feature":
        return found
    for mask in split_inputs.get(MASK, ()):
        _kept(feature, mask)  # whether it is needed or not, it has one value
    return [element for element in found if _kept(feature, element[MASK])]


def is_split(feature: Feature, source: Input) -> bool:
    """Whether an input is cut into elements."""
    return source.sequence or feature.splits_all


def _kept(feature: Feature, cell: Cell) -> bool:
    """Whether the mask of an element is true; a missing one is not."""
    mask = truths(cell, feature.separator)
    if mask is not None and len(mask) > 1:
        raise UnspecifiedError("several mask values for one element")
    return bool(mask and mask[0])


def _element(split: list[Cell], at: int) -> Cell:
    return split[at] if at < len(split) else None
