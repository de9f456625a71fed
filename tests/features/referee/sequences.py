"""Sequences: one operator call per element, and at least one element."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.features.referee.cells import Cell, elements

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.features.referee.config import Feature, Input


def element_cells(
    feature: Feature, cells: Mapping[str, Cell], produced: Mapping[str, list[Cell]]
) -> list[dict[str, Cell]]:
    """The inputs of every element: element j of each sequence input, the whole cell of the others.

    `produced` holds, by argument, the elements of inputs that are results of sequence features. A shorter
    input continues as missing; without any element the list is empty.
    """

    def split(source: Input) -> list[Cell]:
        if source.argument in produced:
            found = produced[source.argument]
            return found[: feature.length] if feature.length > 0 else found
        return elements(cells[source.argument], feature.delimiter, feature.length)

    split_inputs = {source.argument: split(source) for source in feature.inputs if source.sequence}
    return [
        {
            source.argument: _element(split_inputs[source.argument], at)
            if source.sequence
            else cells[source.argument]
            for source in feature.inputs
        }
        for at in range(max(map(len, split_inputs.values())))
    ]


def _element(split: list[Cell], at: int) -> Cell:
    return split[at] if at < len(split) else None
