from __future__ import annotations

from itertools import chain, combinations

import numpy as np
import pytest

from recserve.compile.rates.min_cut import WHOLE, behind_the_cut

Edges = list[tuple[int, int, int]]


def capacity(edges: Edges, behind: set[int]) -> int:
    return sum(c for start, end, c in edges if start not in behind and end in behind)


def every_cut(nodes: int) -> list[set[int]]:
    """Sides of the last node that lack the first."""
    inner = range(1, nodes - 1)
    chosen = chain.from_iterable(combinations(inner, count) for count in range(nodes - 1))
    return [{nodes - 1, *some} for some in chosen]


@pytest.mark.parametrize("seed", range(20))
def test_no_other_cut_is_cheaper_and_none_as_cheap_is_smaller(seed: int) -> None:
    random, nodes = np.random.default_rng(seed), 7
    edges = [
        (start, end, int(random.integers(0, 9)))
        for start in range(nodes)
        for end in range(nodes)
        if start != end and random.random() < 0.5
    ]

    result = behind_the_cut(edges, 0, nodes - 1)

    cheapest = min(every_cut(nodes), key=lambda behind: (capacity(edges, behind), len(behind)))
    assert result == cheapest


def test_what_is_whole_is_not_cut() -> None:
    edges = [("start", "a", 1), ("start", "b", WHOLE), ("a", "b", WHOLE), ("b", "end", 5)]

    assert behind_the_cut(edges, "start", "end") == {"end"}
