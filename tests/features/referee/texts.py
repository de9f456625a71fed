"""Types that make new texts: regex_replace_feature (6.12), text_normalizer (6.8) and slice_feature (6.14)."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any

from tests.features.referee.cells import UnspecifiedError, tokens
from tests.features.referee.outcome import Cells, Outcome, Token, prefixed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.features.referee.config import Feature


def run_slice(feature: Feature, cells: Cells) -> Outcome:
    """The tokens from `start` to `end`, every `step`th."""
    spec = feature.spec
    found = tokens(cells["value"], feature.separator)
    chosen = found[int(spec.get("start", 0)) : spec.get("end") : int(spec.get("step", 1))]
    return prefixed(feature, [Token(text, text) for text in chosen])


def run_regex_replace(feature: Feature, cells: Cells) -> Outcome:
    """Every token with its matches replaced; one of which nothing is left is dropped."""
    replace = replacing(feature.spec)
    texts = [replace(text) for text in tokens(cells["value"], feature.separator)]
    return prefixed(feature, [Token(text, text) for text in texts if text])


def replacing(spec: Mapping[str, Any]) -> Callable[[str], str]:
    """What replaces the matches of `regex_pattern`; several patterns are alternatives in one pass.

    Patterns are RE2's, whose \\w, \\d and \\b are those of ASCII. Python reads those of the tests as RE2
    does, but for matches of the empty text.
    """
    patterns = spec["regex_pattern"]
    joined = patterns if isinstance(patterns, str) else "|".join(f"(?:{pattern})" for pattern in patterns)
    compiled = re.compile(joined, re.ASCII | (re.IGNORECASE if spec.get("icase", False) else re.ASCII))
    replacement, count = str(spec["replacement"]), 0 if spec.get("replace_all", True) else 1
    if compiled.match("") is not None:
        raise UnspecifiedError("a pattern that matches the empty text")

    def written(match: re.Match[str]) -> str:
        return re.sub(r"\\([0-9])", lambda place: match[int(place[1])] or "", replacement)

    return lambda text: compiled.sub(written, text, count)


LOWER_TO_UPPER, UPPER_TO_LOWER, FULL_TO_HALF, TO_SIMPLIFIED, FILTER, SPLIT = 2, 4, 8, 16, 32, 512
DEFAULT_STEPS = LOWER_TO_UPPER | FULL_TO_HALF | TO_SIMPLIFIED | FILTER

# Of the traditional characters that the tests write, the simplified ones.
SIMPLIFIED = str.maketrans("國漢學愛龍車門書馬體", "国汉学爱龙车门书马体")


def run_text_normalizer(feature: Feature, cells: Cells) -> Outcome:
    """The text after the steps that `parameter` names: width, case, traditional, filter, spaces, split."""
    cell = cells["value"]
    if not isinstance(cell, str):
        if cell is None:
            return None
        raise UnspecifiedError("normalizing what is no text")
    text = normalized(feature.spec, cell)
    return prefixed(feature, [Token(text, text)]) if text else None


def normalized(spec: Mapping[str, Any], text: str) -> str:
    """Run the steps; a text longer than `max_length` stays as it is."""
    steps = int(spec.get("parameter", DEFAULT_STEPS))
    if "max_length" in spec and len(text) > int(spec["max_length"]):
        return text
    if steps & FULL_TO_HALF:
        text = "".join(map(_half_width, text))
    if steps & LOWER_TO_UPPER and steps & UPPER_TO_LOWER:
        raise UnspecifiedError("both cases")
    text = text.upper() if steps & LOWER_TO_UPPER else text.lower() if steps & UPPER_TO_LOWER else text
    if steps & TO_SIMPLIFIED:
        text = text.translate(SIMPLIFIED)
    if steps & FILTER:
        text = "".join(letter for letter in text if unicodedata.category(letter)[0] not in "PS")
    if spec.get("remove_space", False):
        text = re.sub(r"\s", "", text)
    return _with_spaces(text) if steps & SPLIT else text


def _half_width(letter: str) -> str:
    if letter == "\u3000":
        return " "
    return chr(ord(letter) - 0xFEE0) if "\uff01" <= letter <= "\uff5e" else letter


def _with_spaces(text: str) -> str:
    """A space between a Chinese character and what stands beside it, unless that is a space."""
    return re.sub("(?<=[\u4e00-\u9fff])(?=\\S)|(?<=\\S)(?=[\u4e00-\u9fff])", " ", text)
