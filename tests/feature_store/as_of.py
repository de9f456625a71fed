"""What a training set has to be, in plain Python: for each label a look through all rows there are."""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]


def as_of(rows: list[Row], key: Any, moment: int, *, ttl: float = 0) -> Row | None:
    """The last row of the key that was true at `moment`; rows have `key` and `time`, in seconds."""
    found = None
    for row in rows:
        if row["key"] != key or row["time"] is None or key is None or row["time"] > moment:
            continue
        if found is None or row["time"] >= found["time"]:
            found = row
    if found is not None and ttl and found["time"] < moment - ttl:
        return None
    return found


def sequence_as_of(
    rows: list[Row],
    key: Any,
    moment: int,
    *,
    events: set[str],
    length: int,
    over: dict[str, float],
    unique_by: tuple[str, ...] = ("item", "event"),
    ttl: float = 0,
) -> list[Row]:
    """The newest behaviours strictly before `moment`, newest first, each (item, event) once."""
    before = [
        row
        for row in rows
        if row["key"] == key and row["time"] is not None and row["time"] < moment and row["item"] is not None
        if not events or row["event"] in events
        if row["event"] not in over or (row["seconds"] is not None and row["seconds"] > over[row["event"]])
    ]
    before.sort(key=_order, reverse=True)
    seen, newest = set(), []
    for row in before:
        same = tuple(row[name] for name in unique_by)
        if same not in seen:
            seen.add(same)
            newest.append(row)
    return [row for row in newest[:length] if not ttl or row["time"] >= moment - ttl]


def _order(row: Row) -> tuple[Any, ...]:
    values = [row[name] for name in ("item", "event", "seconds", "category")]
    return (row["time"], *((value is not None, 0 if value is None else value) for value in values))
