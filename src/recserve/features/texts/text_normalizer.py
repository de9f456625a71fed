"""Texts written one way: width, case, script, special characters, blanks (the steps of text_normalizer).

Unicode's tables are Python's own; traditional to simplified Chinese is OpenCC's t2s.
"""

from __future__ import annotations

import sys
import unicodedata
from functools import cache
from typing import TYPE_CHECKING

import pyarrow as pa

from recserve.errors import ConfigError
from recserve.features.python_step import texts_of

if TYPE_CHECKING:
    from collections.abc import Callable

#: The bits of `parameter`.
UPPER, LOWER, HALF_WIDTH, SIMPLIFIED, FILTER, SPLIT = 2, 4, 8, 16, 32, 512
_KNOWN = (UPPER, LOWER, HALF_WIDTH, SIMPLIFIED, FILTER, SPLIT)


def check_parameter(parameter: int) -> None:
    """Raise ConfigError for bits that mean nothing here: to leave a step out would change the features."""
    known = sum(_KNOWN)
    if parameter < 0 or parameter & ~known:
        raise ConfigError(f"parameter {parameter} is not a sum of {', '.join(map(str, _KNOWN))}")
    if parameter & UPPER and parameter & LOWER:
        raise ConfigError(f"parameter {parameter} asks for upper case (2) and for lower case (4)")


class TextNormalizer:
    """Applies the steps that `parameter` names, in the order below; a longer text passes through unchanged.

    `max_length` counts characters; 0: no limit. FILTER drops `stop_characters`; empty: all of Unicode's
    punctuation and symbols.
    """

    def __init__(
        self, parameter: int, *, remove_space: bool = False, max_length: int = 0, stop_characters: str = ""
    ) -> None:
        self._max_length = max_length
        steps: list[tuple[int | bool, Callable[[], Callable[[str], str]]]] = [
            (parameter & HALF_WIDTH, lambda: _half_width),
            (parameter & UPPER, lambda: str.upper),
            (parameter & LOWER, lambda: str.lower),
            (parameter & SIMPLIFIED, _simplified),
            (parameter & FILTER, lambda: _filter(stop_characters)),
            (remove_space, lambda: _without_space),
            (parameter & SPLIT, lambda: _split_chinese),
        ]
        self._steps = [make() for wanted, make in steps if wanted]

    def __call__(self, texts: pa.Array) -> pa.Array:
        """Normalize every text of a column."""
        return pa.array([self.normalize(text) for text in texts_of(texts)], pa.string())

    def normalize(self, text: str) -> str:
        """Normalize one text."""
        if 0 < self._max_length < len(text):
            return text
        for step in self._steps:
            text = step(text)
        return text


def _half_width(text: str) -> str:
    return text.translate(_half_width_table())


@cache
def _half_width_table() -> dict[int, str]:
    """What Unicode decomposes as wide: U+FF01 to U+FF60, U+FFE0 to U+FFE6 and the ideographic space."""
    decomposed = ((code, unicodedata.decomposition(chr(code))) for code in range(sys.maxunicode + 1))
    return {code: chr(int(to[7:], 16)) for code, to in decomposed if to.startswith("<wide> ")}


@cache
def _simplified() -> Callable[[str], str]:
    try:
        import opencc
    except ImportError as e:
        raise ConfigError(
            "parameter 16 (traditional to simplified Chinese, part of the default) needs OpenCC, which is "
            "not installed: pip install 'recserve[text]'"
        ) from e
    convert: Callable[[str], str] = opencc.OpenCC("t2s").convert
    return convert


def _filter(stop_characters: str) -> Callable[[str], str]:
    if stop_characters:
        table = dict.fromkeys(map(ord, stop_characters))
        return lambda text: text.translate(table)
    return lambda text: "".join(c for c in text if unicodedata.category(c)[0] not in "PS")


def _without_space(text: str) -> str:
    return "".join(text.split())


def _split_chinese(text: str) -> str:
    """Put a blank between a Chinese character and what stands beside it."""
    pieces = []
    before = " "
    for character in text:
        apart = _is_chinese(character) or _is_chinese(before)
        if apart and not before.isspace() and not character.isspace():
            pieces.append(" ")
        pieces.append(character)
        before = character
    return "".join(pieces)


def _is_chinese(character: str) -> bool:
    return unicodedata.name(character, "").startswith(
        ("CJK UNIFIED IDEOGRAPH", "CJK COMPATIBILITY IDEOGRAPH")
    )
