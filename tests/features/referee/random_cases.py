"""Random configs with the data of one request: `case(seed)`; everything that the specification allows."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from tests.features.referee.online import Request, Table
from tests.features.referee.random_columns import Columns
from tests.features.referee.random_features import Features, Source, Spec
from tests.features.referee.random_types import draw_type


@dataclass
class Case:
    """One request against one config and one item table; `files` lie beside fg.json."""

    fg: Spec
    table: Table
    request: Request
    files: dict[str, str] = field(default_factory=dict)
    absent: frozenset[str] = frozenset()  # columns that are null because they do not come at all
    farm_hash: bool = False
    splits: tuple[int, ...] = ()  # where the rows are cut into batches
    at_once: bool = False  # several threads generate at the same time


def case(seed: int) -> Case:
    """The case of a seed, always the same."""
    rng = random.Random(seed)
    int_keys = rng.random() < 0.3
    keys = [str(100 + at) if int_keys else f"i{at}" for at in range(rng.randint(0, 6))]
    # Now and then none, and now and then more than any block of rows that is computed at once.
    rows = rng.choices((0, rng.randint(1, 6), rng.randint(7, 150)), (2, 97, 1))[0]
    columns = Columns(rng, keys, rows)
    files: dict[str, str] = {}
    features: list[Spec] = []
    sources: list[Source] = []
    for _ in range(rng.randint(1, 5)):
        drawing = Features(rng, columns, files, sources, draw_type)
        features.append(drawing.group(int_keys) if rng.random() < 0.3 else drawing.feature())
    rng.shuffle(features)
    ids = [rng.choice([*keys, *keys, "7"]) for _ in range(rows)]
    item_features = columns.overrides(rng.choice((0.0, 0.0, 0.4)))
    item_types = {name: columns.types[name] for name in columns.items}
    request = Request(columns.user, columns.context, ids, item_features, columns.types)
    table = Table(keys, columns.items, item_types)
    fg: Spec = {"features": features, **({"reserves": ["x"]} if rng.random() < 0.1 else {})}
    farm_hash = rng.random() < 0.1
    splits = tuple(rng.randint(0, rows) for _ in range(rng.randint(1, 3)))
    return Case(fg, table, request, files, frozenset(columns.absent), farm_hash, splits, rng.random() < 0.1)
