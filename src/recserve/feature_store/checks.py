"""What has to be true of a view beyond the types of its keys; problems are noted with their places."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recserve.feature_store.types import TYPES

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from recserve.feature_store.document import Node
    from recserve.feature_store.reading import Place, Problems
    from recserve.feature_store.records import Sequence, View

TIMES = ("timestamp", "int64", "int32")
IDS = ("string", "int64", "int32")
_NUMBERS = ("int32", "int64", "float", "double")
_SCALARS = (*_NUMBERS, "string", "boolean", "timestamp")


def check_field(
    place: Place,
    where: str,
    name: str,
    *,
    fields: Mapping[str, str],
    kinds: Collection[str],
    problems: Problems,
) -> None:
    """A key that names a field of certain types."""
    if name not in fields:
        problems.unknown(place, f"{where}: there is no field", name, fields)
    elif fields[name] in TYPES and fields[name] not in kinds:
        problems.note(place, f"{where}: field '{name}' is {fields[name]}; it may be {', '.join(kinds)}")


def check_times(node: Node, where: str, view: View, problems: Problems) -> None:
    """An event time is a time, and what expires has one."""
    if view.event_time:
        place = node.value["event_time"].place
        check_field(
            place, f"{where}.event_time", view.event_time, fields=view.fields, kinds=TIMES, problems=problems
        )
    elif view.ttl_s:
        place = node.value["ttl"].place
        problems.note(place, f"{where}.ttl: without an 'event_time' nobody knows how old rows are")
    if view.timekey:
        place = node.value["timekey"].place
        check_field(
            place, f"{where}.timekey", view.timekey, fields=view.fields, kinds=TIMES, problems=problems
        )


def check_sequences(node: Node, where: str, view: View, problems: Problems) -> None:
    """A view of behaviours says what an item, an event and a time is, and which sequences it gives."""
    for key in ("item", "event_time", "sequences"):
        if not getattr(view, key) and key not in node.value:
            problems.note(node.place, f"{where}: a sequence view needs '{key}'")
    for key, kinds in (("item", IDS), ("event", IDS), ("play_time", _NUMBERS)):
        if name := getattr(view, key):
            check_field(
                node.value[key].place,
                f"{where}.{key}",
                name,
                fields=view.fields,
                kinds=kinds,
                problems=problems,
            )
    for name in view.unique_by:
        place = node.value["unique_by"].place
        check_field(place, f"{where}.unique_by", name, fields=view.fields, kinds=_SCALARS, problems=problems)
    for needed in ("event", "play_time"):
        if view.play_time_over and not getattr(view, needed):
            problems.note(node.keys["play_time_over"], f"{where}.play_time_over needs '{needed}'")
    for name in view.fields:
        if name != view.key and view.fields[name] in TYPES and view.fields[name] not in _SCALARS:
            place = node.value["fields"].value[name].place
            problems.note(place, f"{where}.fields.{name}: behaviours have plain values, no lists")
    taken: dict[str, str] = {}
    for sequence in view.sequences.values():
        place = node.value["sequences"].value[sequence.name].place
        _check_sequence(place, f"{where}.sequences.{sequence.name}", view, sequence, problems)
        other = taken.setdefault(sequence.offline, sequence.name)
        if other != sequence.name:
            problems.note(
                place, f"{where}.sequences.{sequence.name}: '{other}' is '{sequence.offline}' offline, too"
            )


def _check_sequence(place: Place, where: str, view: View, sequence: Sequence, problems: Problems) -> None:
    behaviour = [name for name in view.fields if name != view.key]
    for name in sequence.columns:
        if name not in behaviour:
            problems.unknown(place, f"{where}.columns: there is no field", name, behaviour)
        elif name in ("item_id", "event", "event_time", "ts", view.event_time):
            problems.note(place, f"{where}.columns: '{sequence.name}__{name}' is there without being asked")
    if sequence.events and not view.event:
        problems.note(place, f"{where}.events: the view does not say which field is the 'event'")
