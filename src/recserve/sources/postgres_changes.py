"""Newer rows by a column that grows: which ones, in which order, and where to go on.

    timekeys     ……………|—— overlap ——|M|………………▶         M: the greatest timekey that was told
                      read again if    read
                      somebody wrote them since

What a transaction wrote that took its timekey early and committed late lies in the overlap. To read that
again would tell rows twice, and cost most when least happens; so there only those rows are told that were
written by a transaction which was not over when the cursor was made: PostgreSQL knows of every row (`xmin`).
Where nothing does, in views and in databases that only talk like PostgreSQL, the overlap is read and rows are
left out that were told before, as long as they are few enough to remember.

Ours: the cursor is what the database said, never a clock of ours. A null or infinite timekey is never newer
than anything: such rows come with full refreshes only, as deletions do. An integer's unit is unknown: it is
compared, and its overlap is 1. A date's is a day at least.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from recserve.errors import DataError
from recserve.sources.postgres_types import TIMEKEYS
from recserve.sources.sql import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recserve.sources.postgres_types import TableColumn

#: What is selected and, behind it: whether the timekey is above M, the oldest transaction that is not over,
#: timekey and key as texts.
Row = tuple[Any, ...]

_HALF = 1 << 31  # transaction numbers of rows are compared on a circle of 2^32
_OLDEST = "pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())::text::int8"
_REMEMBERED_ROWS = 50_000
#: An overlap that takes longer to reread is not reread at every poll, but for this share of the time.
_LONG_SECONDS = 0.5
_REREAD_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Place:
    """A cursor. Its text is JSON, so that it can be read by people, too."""

    timekey: str | None  # the greatest that was told; None: none yet
    transaction: int | None = None  # all below were over: what they wrote has been told
    at: tuple[str, str] | None = None  # timekey and key of the last row of a part; more are waiting
    next_transaction: int | None = None  # what `transaction` becomes when no more are waiting

    def text(self) -> str:
        """The cursor's text."""
        return json.dumps({name: value for name, value in asdict(self).items() if value is not None})

    @classmethod
    def parse(cls, text: str, where: str) -> Place:
        """Read a cursor's text. Raises DataError if it is none."""
        try:
            values = json.loads(text)
            place = cls(**{"timekey": None, **values})
            place = replace(place, at=tuple(place.at) if place.at is not None else None)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            place = None
        if place is None or not place._is_sound():
            raise DataError(f"{where}: cursor {text!r} is not one of this table; read the table as a whole")
        return place

    def _is_sound(self) -> bool:
        numbers = (self.transaction, self.next_transaction)
        texts = (self.timekey, *(self.at or ("", "")))
        return (
            all(number is None or isinstance(number, int) for number in numbers)
            and all(text is None or isinstance(text, str) for text in texts)
            and (self.at is None or len(self.at) == 2)
        )

    @property
    def seconds(self) -> float | None:
        """The timekey in seconds since 1970, if it is a time."""
        if self.timekey is None or self.timekey.lstrip("-").isdecimal():
            return None
        try:
            moment = datetime.fromisoformat(self.timekey)
        except ValueError:  # before the year 1 or after 9999
            return None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


@dataclass(frozen=True, slots=True)
class Timeline:
    """How a table is asked for newer rows."""

    key: TableColumn
    timekey: TableColumn
    table_name: str  # as columns are qualified: ORDER BY takes a bare name for one that is selected
    source: str  # of rows: the table and the operator's condition
    overlap_seconds: float
    page_rows: int
    knows_writers: bool  # rows say which transaction wrote them

    @property
    def newest(self) -> str:
        """A statement for the greatest timekey, as text, and the oldest transaction at the same moment."""
        return f"SELECT (SELECT max({self._name})::text FROM {self._finite}), {self._oldest}"

    def newer(self, place: Place, expressions: Sequence[str], *, reread: bool) -> tuple[str, list[Any]]:
        """A statement for the rows behind a place, in order, one more than a page has.

        Behind the expressions stand four that are ours, see `Row`.
        """
        cast, overlap = TIMEKEYS[self.timekey.type_name]
        parameters: list[Any] = []

        def parameter(value: Any, type_name: str) -> str:
            parameters.append(value)
            return f"${len(parameters)}::{type_name}"

        is_newer, conditions = "true", ["true"]
        if place.timekey is not None:
            greatest = parameter(place.timekey, cast)
            seconds = parameter(self.overlap_seconds, "float8")
            is_newer = f"{self._name} > {greatest}"
            conditions = [f"{self._name} >= {greatest} - {overlap.replace('$2', seconds)}"]
            if not reread:
                conditions = [is_newer, f"{seconds} >= 0"]
            elif place.transaction is not None:
                # Rows keep their number when it is of no more use, so very old ones may look new: they are
                # told again, no harm. So is everything where the cursor itself is that old, or from before
                # the database was restored.
                then = parameter(place.transaction, "int8")
                is_new = f"(({self.table_name}.xmin::text::int8 - {then}) & 4294967295) < {_HALF}"
                strange = f"(SELECT {_OLDEST}) - {then} NOT BETWEEN 0 AND {_HALF - 1}"
                conditions.append(f"({is_newer} OR {is_new} OR {strange})")
        if place.at is not None:
            key_type = "int8" if self._key_is_number else "text"
            at, key = parameter(place.at[0], cast), parameter(place.at[1], key_type)
            conditions += [f"{self._name} >= {at}", f"({self._name}, {self._key}) > ({at}, {key})"]
        ours = [is_newer, f"(SELECT {self._oldest})", f"{self._name}::text", f"{self._key}::text"]
        statement = (
            f"SELECT {', '.join([*expressions, *ours])} "
            f"FROM {self._finite} AND {' AND '.join(conditions)} "
            f"ORDER BY {self._name}, {self._key} LIMIT {self.page_rows + 1}"
        )
        return statement, parameters

    @property
    def _oldest(self) -> str:
        return _OLDEST if self.knows_writers else "NULL::int8"

    @property
    def _name(self) -> str:
        return f"{self.table_name}.{quoted(self.timekey.name)}"

    @property
    def _key_is_number(self) -> bool:
        return self.key.type_name in {"int2", "int4", "int8", "oid"}

    @property
    def _key(self) -> str:
        """The key in an order that does not depend on the server's language."""
        name = f"{self.table_name}.{quoted(self.key.name)}"
        return f"{name}::int8" if self._key_is_number else f'{name}::text COLLATE "C"'

    @property
    def _finite(self) -> str:
        finite = f"{self._name} IS NOT NULL"
        if self.timekey.type_name in {"timestamp", "timestamptz", "date"}:
            finite = f"isfinite({self._name})"
        return f"{self.source} AND {finite}"


class Told:
    """What a follower remembers from one answer to the next: when to reread, and what it has told."""

    def __init__(self) -> None:
        self._reread_after = 0.0
        self._cursor = ""
        self._rows: frozenset[Row] = frozenset()

    def may_reread(self) -> bool:
        """Whether rereading has had its share of the time."""
        return time.monotonic() >= self._reread_after

    def reread_took(self, seconds: float) -> None:
        """Say how long rereading took."""
        pause = seconds * (1 / _REREAD_SHARE - 1) if seconds > _LONG_SECONDS else 0.0
        self._reread_after = time.monotonic() + pause

    def fresh(self, rows: list[Row], cursor: str) -> list[Row]:
        """The rows that were not told up to this cursor."""
        return [row for row in rows if row[-2:] not in self._rows] if cursor == self._cursor else rows

    def remember(self, rows: list[Row], *, cursor: str, before: str, whole: bool) -> None:
        """Remember what was told up to `cursor`; what is too much is forgotten, and told again.

        `whole`: the rows are all of the overlap, so what was told before is of no more use.
        """
        told = frozenset(row[-2:] for row in rows)
        if not whole and before == self._cursor:
            told |= self._rows
        self._cursor = cursor
        self._rows = told if len(told) <= _REMEMBERED_ROWS else frozenset()


def behind(place: Place, rows: Sequence[Row], *, more: bool, reread: bool) -> Place:
    """Where to go on after these rows, of which there is at least one."""
    is_newer, oldest, timekey, key = rows[-1][-4:]
    if place.at is not None:
        oldest = place.next_transaction
    elif not reread:  # what was not read again is still to be
        oldest = place.transaction
    if more:
        return replace(place, at=(timekey, key), next_transaction=oldest)
    return Place(timekey if is_newer else place.timekey, oldest)
