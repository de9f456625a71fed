"""The stream of a table in Redis: where a reader is, and whether it can go on from there."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

    from recserve.source import Cursor

BEGINNING: Cursor = "0-0"  # before all that a stream ever told


@dataclass(frozen=True, slots=True)
class Stream:
    """What a stream remembers, as the ids of entries: `milliseconds-number`."""

    first: Cursor | None  # the oldest entry that it still has
    last: Cursor  # the newest that it ever had

    @classmethod
    def of(cls, answer: dict[str, Any] | None) -> Stream:
        """Read the answer of XINFO STREAM; None: there is no stream."""
        if answer is None:
            return cls(None, BEGINNING)
        entry = answer["first-entry"]
        return cls(entry[0].decode() if entry else None, answer["last-generated-id"].decode())

    def knows(self, cursor: Cursor) -> bool:
        """Whether every change behind the cursor is still there.

        That is sure when an entry at or before it is: the oldest are trimmed first. A cursor ahead of all is
        one of a server that lost its data.
        """
        if self.first is None:
            return _order(cursor) == _order(self.last)
        return _order(self.first) <= _order(cursor) <= _order(self.last)

    def lost(self, cursor: Cursor) -> bool:
        """Whether the stream was longer when it gave the cursor."""
        return _order(self.last) < _order(cursor)


def is_cursor(text: str) -> bool:
    """Whether a text has the form of an entry's id."""
    return re.fullmatch(r"[0-9]{1,20}-[0-9]{1,20}", text) is not None


def _order(cursor: Cursor) -> tuple[int, int]:
    milliseconds, number = cursor.split("-")
    return int(milliseconds), int(number)


@dataclass(frozen=True, slots=True)
class RedisMoment:
    """Where each table's stream was when its snapshot or its cursor was first asked for.

    Redis shows no view of one moment: a snapshot holds what rows were while it ran, and the changes since
    its cursor bring them all to one state. Its own context manager: nothing is held at the server.
    """

    origin: str
    cursors: dict[str, Cursor] = field(default_factory=dict)

    def __enter__(self) -> RedisMoment:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to let go of."""
