"""Regular expressions over whole columns, by RE2: it never backtracks, whatever the pattern."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from recserve.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_PATTERN_CHARACTERS = 16 * 1024


@dataclass(frozen=True, slots=True)
class Replacement:
    """Replaces what a pattern matches in each text: `\\1` is a group, `\\0` the whole match."""

    pattern: str
    replacement: str

    @classmethod
    def of(
        cls, patterns: str | Sequence[str], replacement: str, *, replace_all: bool = True, icase: bool = False
    ) -> Replacement:
        """Join patterns to alternatives of one pass; ConfigError for what RE2 does not take.

        Groups are counted through all patterns: in ["a(b)", "c(d)"] d is `\\2`.
        """
        patterns = [patterns] if isinstance(patterns, str) else patterns
        if not patterns or not all(patterns):
            raise ConfigError("regex_pattern is empty; give a pattern or a list of patterns")
        if sum(map(len, patterns)) > MAX_PATTERN_CHARACTERS:
            raise ConfigError(f"regex_pattern has over {MAX_PATTERN_CHARACTERS} characters")
        for pattern in patterns:
            _check("regex_pattern", pattern, pattern)
        joined = "|".join(f"(?{'i' * icase}:{pattern})" for pattern in patterns)
        _check("regex_pattern", ", ".join(patterns), joined)
        _check("replacement", replacement, joined, replacement)
        return cls(joined, replacement) if replace_all else cls(*_first_match(joined, replacement))

    def __call__(self, texts: pa.Array) -> pa.Array:
        """Replace in every text."""
        return pc.replace_substring_regex(texts, pattern=self.pattern, replacement=self.replacement)


def _first_match(pattern: str, replacement: str) -> tuple[str, str]:
    """Match from the start of the text, so that there is no second match: group 1 before it, group 2 itself.

    Arrow's own max_replacements matches what it found once more, alone, and then `^` and `\\b` fail. `\\C` is
    any byte: broken UTF-8 in front does not hide a match.
    """

    def shifted(found: re.Match[str]) -> str:
        if found[1] == "\\":
            return found[0]
        if int(found[1]) > 7:
            raise ConfigError(f"replacement '{replacement}': with replace_all false groups go up to \\7")
        return f"\\{int(found[1]) + 2}"

    return rf"\A(\C*?)({pattern})", r"\1" + re.sub(r"\\(\\|\d)", shifted, replacement)


def _check(key: str, shown: str, pattern: str, replacement: str = "") -> None:
    try:
        Replacement(pattern, replacement)(pa.array([""]))
    except pa.ArrowInvalid as e:
        raise ConfigError(f"{key} '{shown}' is not what RE2 takes: {str(e).partition(': ')[2]}") from e
