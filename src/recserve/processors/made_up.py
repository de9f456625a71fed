"""Requests that are made up for a model: what it reads, right in form, and items that are there.

    plan ──made_up_rows──▶ values of user and context columns ┐
    item store ──a few ids──▶ candidates and clicked items    ┴──▶ ScoreRequest

They are for warming up. What the model makes of them means nothing; that they take the paths that real ones
take does: known items with features, maps with keys that are found, sequences of some length.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from recserve.columns import Batch, batch_from_arrow, column_from_arrow, to_arrow
from recserve.features.views.made_up import made_up_rows
from recserve.messages import ScoreRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from recserve.features.generator import Generator
    from recserve.items.store import ItemStore

#: Different values per column, and ids that are taken from the store.
_ROWS = 64
_IDS = 1024
#: Clicks of a made-up user in each sequence, at most.
_CLICKS = 20


class MadeUpRequests:
    """Makes requests of any size, the same for the same seed and the same ids."""

    def __init__(self, features: Generator, item_ids: Sequence[str], *, seed: int = 0) -> None:
        """`item_ids` are those of known items; without any, requests bring the item columns themselves."""
        self._features = features
        self._ids = pa.array(item_ids, pa.string())
        self._values = made_up_rows(features.plan, rows=_ROWS, seed=seed)
        self._random = np.random.default_rng(seed)

    def of(self, rows: int) -> ScoreRequest:
        """A request for so many items."""
        plan = self._features.plan
        return ScoreRequest(
            user=self._user(),
            item_ids=column_from_arrow(self._items(rows), "item_ids"),
            context=self._batch(plan.context_inputs, rows),
            item_features=Batch(rows) if len(self._ids) else self._batch(self._features.raw_columns, rows),
            rows=rows,
        )

    def _user(self) -> Batch:
        user = self._batch(self._features.plan.user_inputs, 1)
        clicked = {
            key.column: key.delimiter.join(self._items(min(key.length or _CLICKS, _CLICKS)).to_pylist())
            for key in self._features.sequence_keys.values()
        }
        whole = Batch(1)
        for name in user.names:
            if name not in clicked:
                whole.add(name, user[name])
        for name, ids in clicked.items():
            whole.add(name, column_from_arrow(pa.array([ids]), name))
        return whole

    def _items(self, count: int) -> pa.Array:
        if not len(self._ids):
            return pa.array([f"made-up {place}" for place in range(count)], pa.string())
        return self._ids.take(self._random.integers(0, len(self._ids), count))

    def _batch(self, names: Iterable[str], rows: int) -> Batch:
        present = [name for name in sorted(names) if name in self._values.column_names]
        if not present:
            return Batch(rows)
        return batch_from_arrow(self._values.select(present).take(self._random.integers(0, _ROWS, rows)))


def some_ids(items: ItemStore) -> list[str]:
    """Ids of a few items that the store has; none where keys are no text."""
    first = next(items.scan(set(), batch_rows=_IDS), None)
    if first is None:
        return []
    try:
        return [str(key) for key in to_arrow(first[0]).to_pylist()]
    except UnicodeDecodeError:
        return []
