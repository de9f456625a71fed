"""kv_dot_product (6.9) of two sides of keys and values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.features.referee.cells import (
    Cell,
    Numbers,
    UnspecifiedError,
    is_missing,
    scalar_to_text,
    text_to_number,
    tokens,
)

if TYPE_CHECKING:
    from tests.features.referee.config import Feature
    from tests.features.referee.outcome import Cells, Outcome


def run_kv_dot_product(feature: Feature, cells: Cells) -> Outcome:
    """The sum over the common keys, in the order of the query; 0 without any; nothing without a side."""
    query, document = (_values(feature, cells[side]) for side in ("query", "document"))
    if query is None or document is None:
        return None
    total = 0.0
    for key, value in query.items():
        if key in document:
            total += value * document[key]
    return Numbers([total], text=False)


def _values(feature: Feature, cell: Cell) -> dict[str, float] | None:
    """Key to value; a bare key has 1. None for a missing side, and for one with text that is no number."""
    if is_missing(cell):
        return None
    if isinstance(cell, tuple):
        pairs: list[tuple[str, float | None]] = [
            (scalar_to_text(key), text_to_number(value) if isinstance(value, str) else float(value))
            for key, value in cell
        ]
    else:
        delimiter = str(feature.spec.get("kv_delimiter", ":"))
        pairs = [_pair(token, delimiter) for token in tokens(cell, feature.separator)]
    known = {key: value for key, value in pairs if value is not None}  # of a repeated key the last counts
    return known if known and all(value is not None for _, value in pairs) else None


def _pair(token: str, delimiter: str) -> tuple[str, float | None]:
    """A key and its value, cut at the first delimiter."""
    if token.startswith(delimiter):
        raise UnspecifiedError(f"a value without a key: {token}")
    key, found, value = token.partition(delimiter)
    return key, text_to_number(value) if found else 1.0
