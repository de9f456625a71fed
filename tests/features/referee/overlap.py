"""overlap_feature (6.7): what two lists of tokens have in common."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from tests.features.referee.cells import Numbers, tokens

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.features.referee.config import Feature
    from tests.features.referee.outcome import Cells, Outcome

Words = list[str]


def run_overlap(feature: Feature, cells: Cells) -> Outcome:
    """One number of the two lists; nothing when one of them is missing."""
    query, title = (tokens(cells[side], feature.separator) for side in ("query", "title"))
    if not query or not title:
        return None
    return Numbers([METHODS[feature.spec["method"]](query, title)], text=False)


def query_common_ratio(query: Words, title: Words) -> float:
    """The share of the query's tokens that occur in the title, each counted as often as it stands there."""
    return sum(token in title for token in query) / len(query)


def title_common_ratio(query: Words, title: Words) -> float:
    """The distinct common tokens in proportion to the length of the title."""
    return len(set(query) & set(title)) / len(title)


def index_of(query: Words, title: Words) -> float:
    """Where in the title the whole query starts first, or -1."""
    starts = range(len(title) - len(query) + 1)
    return float(next((at for at in starts if title[at : at + len(query)] == query), -1))


def proximity_min_cover(query: Words, title: Words) -> float:
    """The length of the shortest window of the title with all tokens of the query; 0 if there is none."""
    windows = ((first, last) for first in range(len(title)) for last in range(first, len(title)))
    covers = [last - first + 1 for first, last in windows if set(query) <= set(title[first : last + 1])]
    return float(min(covers, default=0))


def proximity(fold: Callable[[list[int]], float]) -> Callable[[Words, Words], float]:
    """Fold the smallest distance of every pair of distinct query tokens that both occur."""

    def run(query: Words, title: Words) -> float:
        occurring = sorted(set(query) & set(title))
        if occurring and len(set(query)) == 1:
            return 0.0
        places = {token: [at for at, other in enumerate(title) if other == token] for token in occurring}
        distances = [
            min(abs(at - other) for at in places[first] for other in places[second])
            for first, second in combinations(occurring, 2)
        ]
        return float(fold(distances)) if distances else float(len(title) + 1)

    return run


METHODS: dict[str, Callable[[Words, Words], float]] = {
    "query_common_ratio": query_common_ratio,
    "title_common_ratio": title_common_ratio,
    "is_contain": lambda query, title: float(index_of(query, title) >= 0),
    "is_equal": lambda query, title: float(query == title),
    "index_of": index_of,
    "proximity_min_cover": proximity_min_cover,
    "proximity_min_dist": proximity(min),
    "proximity_max_dist": proximity(max),
    "proximity_avg_dist": proximity(lambda distances: sum(distances) / len(distances)),
}
