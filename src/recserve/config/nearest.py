"""Did you mean …? The nearest of the names that are known."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

#: Comparing one word with many takes time, and a list that long is not typed by hand.
_MOST_NAMES = 1_000


def nearest(word: str, known: Collection[str]) -> str:
    """The name that `word` was probably meant to be; empty if none is near."""
    if len(known) > _MOST_NAMES:
        return ""
    lower = {name.lower(): name for name in sorted(known)}
    found = difflib.get_close_matches(word.lower(), lower, n=1, cutoff=0.6)
    # A long name cut short is not similar, but clear where one name alone starts so.
    found = found or [name for name in lower if len(word) > 2 and name.startswith(word.lower())]
    return lower[found[0]] if len(found) == 1 else ""


def did_you_mean(word: str, known: Collection[str]) -> str:
    """What an error about `word` ends with: the nearest name, or nothing."""
    near = nearest(word, known)
    return f"; did you mean '{near}'?" if near else ""
