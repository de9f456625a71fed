"""In which order features are computed: each behind those that it reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence


def in_order(reads: Mapping[str, Sequence[str]], circle: Callable[[Sequence[str]], None]) -> tuple[str, ...]:
    """Names behind those that they read, otherwise in the order of `reads`.

    `circle` is told of each circle found, its first name repeated at its end; if it returns, the edge that
    closes the circle is passed over. Chains may be as long as they like: nothing recurses.
    """
    order: dict[str, None] = {}
    for first in reads:
        path: dict[str, Iterator[str]] = {} if first in order else {first: iter(reads[first])}
        while path:
            name, producers = next(reversed(path.items()))
            producer = next(producers, None)
            if producer is None:
                path.popitem()
                order[name] = None
            elif producer in path:
                names = list(path)
                circle([*names[names.index(producer) :], producer])
            elif producer not in order:
                path[producer] = iter(reads[producer])
    return tuple(order)
