"""A cell is one row of one column: when it is missing, how it is cut, and numbers as text and back.

| Python value        | cell                                             |
|---------------------|--------------------------------------------------|
| None                | null                                             |
| str, int, float     | a scalar                                         |
| list                | an array; a list of lists is a sequence of them  |
| tuple of pairs      | a map, in the order in which it was sent         |
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

Scalar = str | int | float
Cell = Scalar | list["Cell"] | tuple[tuple[Scalar, Scalar], ...] | None

VALUE_SEPARATOR = "\x1d"

_NUMBER = re.compile(r"[ \t]*([+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|inf|nan))[ \t]*")
_INTEGER = re.compile(r"[ \t]*([+-]?[0-9]+)[ \t]*")


class UnspecifiedError(Exception):
    """The specification does not say what happens here."""


@dataclass(frozen=True)
class Numbers:
    """What a numeric operator yields; `text` tells that the numbers were parsed from text, as doubles."""

    values: list[int | float]
    text: bool


def is_missing(cell: Cell) -> bool:
    """Null, the empty string, an empty array or an empty map; nothing else (2.1)."""
    return cell is None or cell in ("", [], ())


def number_to_text(number: int | float) -> str:
    """Plain decimal for integers, at most six significant digits for the rest (2.3)."""
    if isinstance(number, int):
        return str(number)
    return "0" if number == 0 else f"{number:.6g}"


def text_to_number(text: str) -> float | None:
    """Parse blanks, sign, decimal or exponent form; None when the text is no number (2.4)."""
    match = _NUMBER.fullmatch(text)
    return None if match is None else float(match[1])


def text_to_integer(text: str) -> int | None:
    """Parse a decimal integer of any size; None when the text is none (5.2, num_buckets)."""
    match = _INTEGER.fullmatch(text)
    return None if match is None else int(match[1])


def float32(number: int | float) -> np.float32:
    """Round once to float32; what is too large becomes infinite."""
    with np.errstate(over="ignore"):
        if isinstance(number, int):
            return np.float32(np.int64(number))
        return np.float32(number)


def split_values(text: str, separator: str) -> list[str]:
    """Cut at every \\x1d and at every separator; empty pieces are dropped (2.2)."""
    pieces = text.replace(separator, VALUE_SEPARATOR).split(VALUE_SEPARATOR)
    return [piece for piece in pieces if piece]


def tokens(cell: Cell, separator: str) -> list[str]:
    """The multi-value text of a cell; a map gives its keys, an array is not split again (2.2, 6.1)."""
    if is_missing(cell):
        return []
    if isinstance(cell, str):
        return split_values(cell, separator)
    if isinstance(cell, tuple):
        return [text for key, _ in cell if (text := scalar_to_text(key))]
    if isinstance(cell, list):
        return [text for entry in cell if entry is not None and (text := scalar_to_text(entry))]
    return [scalar_to_text(cell)]


def numbers(cell: Cell, separator: str, most: int = 0) -> Numbers | None:
    """The numbers of a cell, the first `most` unless that is 0; None for missing and for no number (2.4)."""
    if isinstance(cell, tuple) or (isinstance(cell, list) and any(isinstance(entry, list) for entry in cell)):
        raise UnspecifiedError("a map, or a sequence of arrays, read as numbers")
    if not is_text(cell):
        entries = cell if isinstance(cell, list) else [cell]
        values = [entry for entry in entries if isinstance(entry, int | float)][: most or None]
        return Numbers(values, text=False) if values else None
    parsed = [text_to_number(token) for token in tokens(cell, separator)[: most or None]]
    known = [number for number in parsed if number is not None]
    if not known or len(known) < len(parsed):
        return None
    return Numbers(list(known), text=True)


def is_text(cell: Cell) -> bool:
    """Whether numbers in this cell would have to be parsed."""
    if isinstance(cell, list):
        return any(isinstance(entry, str) for entry in cell)
    return isinstance(cell, str)


def scalar_to_text(value: Cell) -> str:
    """Text as it is, a number in its shortest form of six digits."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return number_to_text(value)
    raise UnspecifiedError(f"{value!r} where one value is read")


def elements(cell: Cell, delimiter: str, limit: int) -> list[Cell]:
    """Split a sequence cell, keeping empty pieces, and keep the first `limit` (7.1)."""
    if is_missing(cell):
        return []
    if isinstance(cell, str):
        pieces: list[Cell] = list(cell.split(delimiter))
    elif isinstance(cell, list):
        pieces = cell
    elif isinstance(cell, int | float):  # a lone number is one element
        pieces = [cell]
    else:
        raise UnspecifiedError(f"{cell!r} read as a sequence")
    return pieces[:limit] if limit > 0 else pieces
