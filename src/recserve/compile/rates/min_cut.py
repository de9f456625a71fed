"""The cheapest cut between two ends of a network: Edmonds and Karp's augmenting paths."""

from __future__ import annotations

from collections import defaultdict, deque
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

#: The capacity of an edge that no cut may go through.
WHOLE = 1 << 60


def behind_the_cut(
    edges: Iterable[tuple[Hashable, Hashable, int]], source: Hashable, sink: Hashable
) -> set[Hashable]:
    """The sink's side of a cut of least capacity; of several such cuts the one with the smallest side.

    An edge (from, to, capacity) counts when `from` is on the source's side and `to` on the sink's.
    """
    left: dict[Hashable, dict[Hashable, int]] = defaultdict(lambda: defaultdict(int))
    for start, end, capacity in edges:
        left[start][end] += capacity
        left[end][start] += 0
    while path := _shortest(left, source, sink):
        steps = list(pairwise(path))
        flow = min(left[start][end] for start, end in steps)
        for start, end in steps:
            left[start][end] -= flow
            left[end][start] += flow
    behind, waiting = {sink}, deque([sink])
    while waiting:
        end = waiting.popleft()
        for start in left[end]:
            if left[start][end] > 0 and start not in behind:
                behind.add(start)
                waiting.append(start)
    return behind


def _shortest(left: dict[Hashable, dict[Hashable, int]], source: Hashable, sink: Hashable) -> list[Hashable]:
    """A path along which something still fits; empty if there is none."""
    came_from: dict[Hashable, Hashable] = {source: source}
    waiting = deque([source])
    while waiting and sink not in came_from:
        start = waiting.popleft()
        for end, capacity in left[start].items():
            if capacity > 0 and end not in came_from:
                came_from[end] = start
                waiting.append(end)
    if sink not in came_from:
        return []
    path = [sink]
    while path[-1] != source:
        path.append(came_from[path[-1]])
    return path[::-1]
