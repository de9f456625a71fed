"""What keeps the GIL is found out, and what gives it away is not."""

from __future__ import annotations

import hashlib

import pytest
from tests.gil import beside_others


def test_what_keeps_the_gil_is_found_out() -> None:
    with pytest.raises(AssertionError, match=r"other threads had to wait for \d+% of its time at once"):
        beside_others(lambda: sum(range(300_000)))


def test_what_gives_it_away_is_not() -> None:
    content = bytes(20_000_000)

    assert beside_others(lambda: hashlib.sha256(content).digest()) == hashlib.sha256(content).digest()
