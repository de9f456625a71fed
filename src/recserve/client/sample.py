"""Made-up requests for a model's columns: right in type, random in value, the same for the same seed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from recserve.client.request import build_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from recserve.messages import InputSchema, ScoreRequest

_LONGEST_LIST = 8


def sample_requests(
    schema: InputSchema,
    item_ids: Sequence[str],
    *,
    rows: int,
    count: int,
    seed: int = 0,
    clicked: Mapping[str, int] | None = None,
    beside_clicks: Mapping[str, tuple[str, int]] | None = None,
) -> Iterator[ScoreRequest]:
    """Make `count` requests of `rows` items each.

    Items are drawn from `item_ids`, whose features the server is taken to know; without any, ids are made up
    and the request brings the item columns itself. `clicked`: user columns that hold item ids, and how many.
    `beside_clicks`: user columns that say something of each click, with their delimiter and how many; a model
    takes the members of a sequence to be equally long.
    """
    random = np.random.default_rng(seed)
    for _ in range(count):
        user = {name: _value(random, type_) for name, type_ in schema.user.items()}
        for name, (delimiter, length) in (beside_clicks or {}).items():
            user[name] = delimiter.join(str(number) for number in random.integers(0, 1000, length))
        user |= {name: _ids(random, item_ids, length) for name, length in (clicked or {}).items()}
        yield build_request(
            user=user,
            item_ids=_ids(random, item_ids, rows),
            context=_columns(random, schema.context, rows),
            item_features={} if item_ids else _columns(random, schema.item, rows),
        )


def _ids(random: np.random.Generator, known: Sequence[str], count: int) -> list[str]:
    if known:
        return [known[place] for place in random.integers(0, len(known), count)]
    return [f"item_{place}" for place in random.integers(0, 1_000_000, count)]


def _columns(random: np.random.Generator, types: Mapping[str, str], rows: int) -> dict[str, list[Any]]:
    return {name: [_value(random, type_) for _ in range(rows)] for name, type_ in types.items()}


def _value(random: np.random.Generator, type_: str) -> Any:
    """A value of a type as `InputSchema` writes them."""
    parts = re.fullmatch(r"(list|map)<(.*)>", type_.replace(" ", ""))
    if parts is None:
        return _SCALARS[type_](random)
    length = int(random.integers(1, _LONGEST_LIST))
    if parts[1] == "list":
        return [_value(random, parts[2]) for _ in range(length)]
    key, value = parts[2].split(",")
    return {_value(random, key): _value(random, value) for _ in range(length)}


_SCALARS: dict[str, Callable[[np.random.Generator], Any]] = {
    "int32": lambda random: np.int32(random.integers(0, 1000)),
    "int64": lambda random: int(random.integers(0, 1000)),
    "float32": lambda random: np.float32(random.random()),
    "float64": lambda random: float(random.random()),
    "string": lambda random: str(random.integers(0, 1000)),
}
