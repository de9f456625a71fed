"""Sequences of a user's newest behaviours: kept while behaviours pass by in time, told as texts.

    behaviours, oldest first ──add──▶ Recent ──texts──▶ click_seq = "i9;i7;i2", click_seq__ts = "3;60;900"
                                         └──packed──▶ the user's row in the online store

One piece of code for look-ups, for what is written to the online store and for training sets: what a model
is trained on is what it is served. Source: the feature store SDKs' sequence views; the `;` is theirs.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from recserve.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from recserve.feature_store.records import Sequence, View

Behaviour = tuple[int, tuple[Any, ...]]  # microseconds since 1970, the values of `behaviour_fields`

PACKED = "behaviours"  # the column of the online table, beside the key
NEWEST = "newest"  # and the time of the newest of them

_SECOND = 1_000_000


def behaviour_fields(view: View) -> tuple[str, ...]:
    """The fields of a behaviour that any sequence of the view needs, beside key and event time."""
    needed = {view.item, view.event, view.play_time, *view.distinct}
    for sequence in view.sequences.values():
        needed.update(sequence.columns)
    needed.discard(view.event_time)  # stands before the values
    return tuple(name for name in view.fields if name in needed)


def packed_schema(view: View, key_type: pa.DataType) -> pa.Schema:
    """The online table of a sequence view: one row per user."""
    return pa.schema([(view.key, key_type), (PACKED, pa.string()), (NEWEST, pa.timestamp("ms", "UTC"))])


def in_order(behaviour: Behaviour) -> tuple[Any, ...]:
    """A sort key. Ours: of equal times the item decides, then the event, then all other fields.

    So what is newest does not depend on the order in which a table happens to be read.
    """
    moment, values = behaviour
    return (moment, *(_comparable(value) for value in values))


def _comparable(value: Any) -> tuple[int, Any]:
    if value is None:
        return (0, 0)
    return (2, 0) if isinstance(value, float) and math.isnan(value) else (1, value)


class Recent:
    """The newest behaviours of one user, as the sequences of a view want them.

    Holds no more than the sum of their lengths, however many behaviours are added.
    """

    def __init__(self, view: View) -> None:
        self._view = view
        self._lists = [_List(view, sequence) for sequence in view.sequences.values()]

    def clear(self) -> None:
        """Forget the user."""
        for one in self._lists:
            one.newest.clear()

    def add(self, behaviour: Behaviour) -> None:
        """Take the next behaviour; they come in the order of `in_order`."""
        for one in self._lists:
            one.add(behaviour)

    def behaviours(self) -> list[Behaviour]:
        """All that any sequence has, oldest first: adding them to an empty one gives the same again."""
        kept = {id(b): b for one in self._lists for b in one.newest.values()}
        return sorted(kept.values(), key=in_order)

    def packed(self) -> str:
        """The behaviours as the online store keeps them."""
        behaviours = self.behaviours()
        rows = [[moment, *values] for moment, values in behaviours]
        return json.dumps(
            {"fields": behaviour_fields(self._view), "rows": rows}, ensure_ascii=False, separators=(",", ":")
        )

    def texts(self, named: Mapping[str, str], now: int) -> dict[str, str]:
        """The columns of sequences, called by `named` (sequence -> name); `now` is in microseconds.

        An empty sequence is an empty text, which is missing.
        """
        found: dict[str, str] = {}
        for one in self._lists:
            if one.sequence.name in named:
                found |= one.texts(named[one.sequence.name], now)
        return found


class _List:
    """One sequence; a dict keeps the order in which its keys were last added."""

    def __init__(self, view: View, sequence: Sequence) -> None:
        fields = behaviour_fields(view)
        self.sequence = sequence
        self.newest: dict[tuple[Any, ...], Behaviour] = {}
        self._events = frozenset(sequence.events)
        self._over = view.play_time_over
        self._item = fields.index(view.item)
        self._event = fields.index(view.event) if view.event else None
        self._play_time = fields.index(view.play_time) if view.play_time else None
        self._distinct = tuple(fields.index(name) for name in view.distinct if name in fields)
        self._by_time = view.event_time in view.distinct
        self._ttl = int(view.ttl_s * _SECOND)
        shown = [("item_id", view.item), *([("event", view.event)] if view.event else [])]
        shown += [(name, name) for name in sequence.columns]
        self._shown = [(part, fields.index(name), text_of(view.fields[name])) for part, name in shown]

    def add(self, behaviour: Behaviour) -> None:
        values = behaviour[1]
        if values[self._item] is None or not self._counts(values):
            return
        key = tuple(values[place] for place in self._distinct)
        if self._by_time:
            key = (*key, behaviour[0])
        self.newest.pop(key, None)
        self.newest[key] = behaviour
        if len(self.newest) > self.sequence.length:
            del self.newest[next(iter(self.newest))]

    def _counts(self, values: tuple[Any, ...]) -> bool:
        if self._event is None:
            return True
        event = str(values[self._event])
        if self._events and event not in self._events:
            return False
        if event not in self._over or self._play_time is None:
            return True
        played = values[self._play_time]
        return played is not None and played > self._over[event]

    def texts(self, name: str, now: int) -> dict[str, str]:
        newest = list(reversed(self.newest.values()))
        if self._ttl:
            newest = [behaviour for behaviour in newest if behaviour[0] >= now - self._ttl]
        found = {name: ""}
        for part, place, text in self._shown:
            pieces = [text(values[place]) for _, values in newest]
            for piece in pieces:
                if ";" in piece:
                    raise DataError(
                        f"sequence '{self.sequence.name}': {part} {piece!r} holds a ';', which parts the "
                        "elements; write it without"
                    )
            found[f"{name}__{part}"] = ";".join(pieces)
        found[name] = found[f"{name}__item_id"]
        seconds = [moment // _SECOND for moment, _ in newest]
        found[f"{name}__event_time"] = ";".join(map(str, seconds))
        found[f"{name}__ts"] = ";".join(str(max(now // _SECOND - then, 0)) for then in seconds)
        return found


def text_of(kind: str) -> Callable[[Any], str]:
    """How a value of a type is written into a sequence; null is an empty element, which is missing."""
    if kind == "float":  # its own digits, not those of the double that holds it
        return lambda value: "" if value is None else str(np.float32(value))
    if kind == "boolean":  # a number, as in columns of their own
        return lambda value: "" if value is None else str(int(value))
    return lambda value: "" if value is None else str(value)


def unpacked(view: View, text: str | None, where: str) -> list[Behaviour]:
    """The behaviours of a user's row in the online store, oldest first; a field that it lacks is null."""
    if not text:
        return []
    try:
        document = json.loads(text)
        place = {name: at + 1 for at, name in enumerate(document["fields"])}
        wanted = [place.get(name) for name in behaviour_fields(view)]
        return [
            (int(row[0]), tuple(None if at is None else row[at] for at in wanted)) for row in document["rows"]
        ]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise DataError(
            f"{where}: column '{PACKED}' is not what `recserve store sync` writes ({type(error).__name__}); "
            "sync the view again"
        ) from None


def merged(view: View, behaviours: Iterable[Behaviour]) -> Recent:
    """Keep the newest of behaviours in any order."""
    recent = Recent(view)
    for behaviour in sorted(behaviours, key=in_order):
        recent.add(behaviour)
    return recent
