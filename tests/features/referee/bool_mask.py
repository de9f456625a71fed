"""bool_mask_feature (6.10): the values whose mask is true."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.features.referee.cells import Cell, is_missing, text_to_number, tokens
from tests.features.referee.outcome import Cells, Outcome, Token, prefixed

if TYPE_CHECKING:
    from tests.features.referee.config import Feature

VALUES, MASK = "0", "1"  # the arguments, by their places in `expression`
WORDS = {"true": True, "false": False}


def run_bool_mask(feature: Feature, cells: Cells) -> Outcome:
    """Keep values[i] where mask[i] is true; what is longer than the other is dropped.

    An element of a sequence has been kept or left out before, so that its values all count.
    """
    values = tokens(cells[VALUES], feature.separator)
    if not feature.sequence:
        mask = truths(cells[MASK], feature.separator)
        if mask is None:
            return None
        values = [value for value, kept in zip(values, mask, strict=False) if kept]
    return prefixed(feature, [Token(value, value) for value in values])


def truths(cell: Cell, separator: str) -> list[bool] | None:
    """The truth of every token of a mask: a word, or a number that is not 0; None for anything else (2.4)."""
    if is_missing(cell):
        return None
    result = []
    for token in tokens(cell, separator):
        number = text_to_number(token)
        if number is None and token.lower() not in WORDS:
            return None
        result.append(WORDS[token.lower()] if number is None else number != 0)
    return result
