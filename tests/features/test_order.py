from __future__ import annotations

from typing import TYPE_CHECKING

from recserve.features.order import in_order

if TYPE_CHECKING:
    from collections.abc import Sequence


def test_names_stand_behind_those_that_they_read() -> None:
    found: list[Sequence[str]] = []

    order = in_order({"a": ["c", "b"], "b": ["d"], "c": ["d"], "d": [], "e": []}, found.append)

    assert order == ("d", "c", "b", "a", "e")
    assert found == []


def test_every_circle_is_told_of() -> None:
    found: list[Sequence[str]] = []

    order = in_order({"a": ["b"], "b": ["a"], "c": ["c"], "d": ["a"], "e": []}, found.append)

    assert found == [["a", "b", "a"], ["c", "c"]]
    assert sorted(order) == ["a", "b", "c", "d", "e"]
