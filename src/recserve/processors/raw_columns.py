"""What features read for one request, as it was read: columns of user, context and items, joined.

    user ──────────────────────────┐
    context ───────────────────────┼──▶ name → array of one row, or one per item
    items: sent, else kept ────────┤
    clicked items: S__X, one row ──┘     names are those of the training table

Only debugging asks for it: scoring reads no raw column whose feature is finished in the item store.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from recserve.columns import to_arrow
from recserve.messages import SIDES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recserve.columns import Batch
    from recserve.features.plan import Plan
    from recserve.items.rows import Rows
    from recserve.messages import ScoreRequest


@dataclass(frozen=True, slots=True)
class Missing:
    """A column that has nothing for some rows."""

    side: str  # user, context, item; sequence: what clicked items have
    column: str
    count: int
    rows: int  # how many there could be: 1 for the user, the clicked items for a sequence


class RawColumns:
    """Reads the columns of a plan."""

    def __init__(self, plan: Plan) -> None:
        self._reads: dict[str, list[str]] = {side: [] for side in SIDES}
        clicked: dict[str, dict[str, str]] = defaultdict(dict)  # group → column → its joined name
        for feature in plan.features:
            for source in feature.inputs:
                if source.source == "group":
                    assert feature.feature.group is not None
                    clicked[feature.feature.group.name][source.name] = source.joined
                elif source.source in SIDES and source.name not in self._reads[source.source]:
                    self._reads[source.source].append(source.name)
        for key in plan.sequence_keys.values():
            if key.column not in self._reads["user"]:
                self._reads["user"].append(key.column)
        self._clicked = dict(clicked)
        self._members = [joined for columns in clicked.values() for joined in columns.values()]
        # Made once: the store remembers what it gathers by the identity of this mapping.
        self._keys = {
            group: replace(key, raw=frozenset(clicked[group]), finished=frozenset())
            for group, key in plan.sequence_keys.items()
        }
        sides = Counter(name for names in self._reads.values() for name in names)
        self._shown = {
            (side, name): name if sides[name] == 1 else f"{side}.{name}"
            for side, names in self._reads.items()
            for name in names
        }

    def read(self, rows: Rows, request: ScoreRequest) -> dict[str, pa.Array]:
        """All of them. A name that two sides have is shown with its side, as in `item.price`."""
        sequences = self._clicked_items(rows, request.user)
        return {
            **{
                self._shown[side, name]: array
                for side, found in self._by_side(rows, request).items()
                for name, array in found.items()
            },
            **{name: _as_one_row(elements) for name, elements in sequences.items()},
            **_present(request.user, self._members),
        }

    def items(self, rows: Rows, request: ScoreRequest) -> dict[str, pa.Array]:
        """Those of the item side: what the request sends, else what is kept."""
        sent = _present(request.item_features, self._reads["item"])
        if not len(request.item_ids):  # nothing is looked up
            return sent
        kept = rows.look_up(request.item_ids, [name for name in self._reads["item"] if name not in sent]).raw
        return {**_present(kept, self._reads["item"]), **sent}

    def missing(self, rows: Rows, request: ScoreRequest) -> list[Missing]:
        """What neither the request nor the items give."""
        found = []
        for side, columns in self._by_side(rows, request).items():
            of = 1 if side == "user" else request.rows
            kept = sorted(set(self._reads[side]) - rows.dropped)
            found += [Missing(side, name, _gaps(columns.get(name), of), of) for name in kept]
        for name, elements in self._clicked_items(rows, request.user).items():
            found.append(Missing("sequence", name, _gaps(elements, len(elements)), len(elements)))
        return [column for column in found if column.count]

    def unread(self, request: ScoreRequest) -> dict[str, list[str]]:
        """Columns that the request sends on a side where no feature reads them."""
        known = {side: set(names) for side, names in self._reads.items()}
        known["user"] |= set(self._members)
        sent = {"user": request.user, "context": request.context, "item": request.item_features}
        return {side: sorted(set(sent[side].names) - known[side]) for side in SIDES}

    def names(self, side: str) -> Sequence[str]:
        """The columns that features read there."""
        return self._reads[side]

    def _by_side(self, rows: Rows, request: ScoreRequest) -> dict[str, dict[str, pa.Array]]:
        return {
            "user": _present(request.user, self._reads["user"]),
            "context": _present(request.context, self._reads["context"]),
            "item": self.items(rows, request),
        }

    def _clicked_items(self, rows: Rows, user: Batch) -> dict[str, pa.Array]:
        """Sequence columns that the user does not bring, one row per clicked item."""
        return {
            joined: _repeated(to_arrow(raw[name]), raw.rows)
            for group, (raw, _) in rows.gather_lists(user, self._keys).items()
            for name, joined in self._clicked[group].items()
            if name in raw and joined not in user
        }


def _present(batch: Batch, names: Sequence[str]) -> dict[str, pa.Array]:
    return {name: to_arrow(batch[name]) for name in names if name in batch}


def _repeated(array: pa.Array, rows: int) -> pa.Array:
    """As many rows as there are, where one stands for all."""
    return array if len(array) == rows else array.take(pa.array([0] * rows, pa.int32()))


def _as_one_row(elements: pa.Array) -> pa.Array:
    """A list of them."""
    return pa.ListArray.from_arrays(pa.array([0, len(elements)], pa.int32()), elements)


def _gaps(array: pa.Array | None, rows: int) -> int:
    """Rows that are null, an empty text, an empty list or an empty map."""
    if array is None:
        return rows
    gone: int = array.null_count + int(pc.sum(_empty(array)).as_py() or 0)
    return gone if len(array) == rows else gone * rows


def _empty(array: pa.Array) -> pa.Array:
    """Whether a cell that is there has nothing in it."""
    if pa.types.is_string(array.type):  # as bytes: it may be no text
        return pc.equal(pc.binary_length(array.cast(pa.binary())), 0)
    if pa.types.is_map(array.type) or pa.types.is_list(array.type):
        ends = array.offsets.to_numpy()
        return pc.and_(array.is_valid(), pa.array(ends[1:] == ends[:-1]))
    return pa.array([False])
