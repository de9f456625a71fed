"""The manifest of a table that lies in files and changes: which of them count, and in which order.

    items/
      manifest.json            the only file that is ever replaced, by a rename
      base-000004.parquet      the table as it was after change 4
      delta-000005.parquet     change 5: complete rows, new or replacing
      deleted-000006.parquet   change 6: keys that are gone

    {"version": 1, "id": "9f0c52e1", "key": "item_id",
     "base": {"sequence": 4, "files": ["base-000004.parquet"]},
     "changes": [
       {"sequence": 5, "file": "delta-000005.parquet", "kind": "rows", "rows": 12, "time": 1.7e9},
       {"sequence": 6, "file": "deleted-000006.parquet", "kind": "deleted", "rows": 3, "time": 1.7e9}],
     "retired": [{"file": "base-000000.parquet", "time": 1.7e9}]}

A manifest is a moment of its table: no file that it names is ever changed. The cursor of a change feed is
"id:sequence". Changes up to the base's sequence may still be listed, for readers that follow; they are
numbered without gaps. Base files may be of any format. Retired files do not count any more, and lie there for
readers that began before `time` (seconds since 1970).

Ours: a deletion is a file of keys of its own, not a column, so files have exactly the table's columns.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from recserve.config.document import parse_json
from recserve.errors import ConfigError, DataError

if TYPE_CHECKING:
    from recserve.source import Cursor

MANIFEST = "manifest.json"
VERSION = 1

ChangeKind = Literal["rows", "deleted"]


@dataclass(frozen=True, slots=True)
class Change:
    """One file of rows that were written, or of keys that were deleted."""

    sequence: int
    file: str
    kind: ChangeKind
    rows: int
    time: float  # seconds since 1970


@dataclass(frozen=True, slots=True)
class Retired:
    """A file that does not count any more, and since when."""

    file: str
    time: float


@dataclass(frozen=True, slots=True)
class Manifest:
    """One state of a table."""

    id: str  # of the table: it stays, so that a cursor of another one is told
    key: str
    base_sequence: int
    base: tuple[str, ...]
    changes: tuple[Change, ...] = ()
    retired: tuple[Retired, ...] = ()

    @property
    def sequence(self) -> int:
        """The number of the last change."""
        return self.changes[-1].sequence if self.changes else self.base_sequence

    @property
    def cursor(self) -> Cursor:
        """Where changes after this state begin."""
        return f"{self.id}:{self.sequence}"

    @property
    def after_base(self) -> tuple[Change, ...]:
        """The changes that the base does not have."""
        return tuple(change for change in self.changes if change.sequence > self.base_sequence)

    @property
    def files(self) -> frozenset[str]:
        """All files that count."""
        return frozenset((*self.base, *(change.file for change in self.changes)))

    def since(self, cursor: Cursor, where: str) -> tuple[Change, ...]:
        """The changes behind a cursor. Raises DataError for one that is unknown, or older than the list."""
        table, _, number = cursor.partition(":")
        oldest = self.changes[0].sequence - 1 if self.changes else self.sequence
        if table != self.id or not number.isdecimal() or not oldest <= int(number) <= self.sequence:
            raise DataError(
                f"{where}: cursor '{cursor[:80]}' is not one of this table, or its changes are compacted; "
                "read the table as a whole"
            )
        return tuple(change for change in self.changes if change.sequence > int(number))

    def text(self) -> str:
        """The manifest as its file has it."""
        return json.dumps(
            {
                "version": VERSION,
                "id": self.id,
                "key": self.key,
                "base": {"sequence": self.base_sequence, "files": list(self.base)},
                "changes": [
                    {"sequence": c.sequence, "file": c.file, "kind": c.kind, "rows": c.rows, "time": c.time}
                    for c in self.changes
                ],
                "retired": [{"file": old.file, "time": old.time} for old in self.retired],
            },
            indent=1,
        )


def parse(text: str, where: str) -> Manifest:
    """Read a manifest. Raises DataError that names the entry which is wrong."""
    try:
        values = parse_json(text, where)
    except ConfigError as error:
        raise DataError(str(error)) from None
    if values.get("version") != VERSION:
        raise DataError(
            f"{where}: version is {values.get('version')!r}, this recserve reads {VERSION}; "
            "read it with the recserve that wrote it"
        )
    fields = _Fields(values, where)
    base = _Fields(fields.take("base", dict), f"{where}: base")
    manifest = Manifest(
        id=fields.take("id", str),
        key=fields.take("key", str),
        base_sequence=base.take("sequence", int),
        base=tuple(base.file(name) for name in base.take("files", list)),
        changes=tuple(_change(*at) for at in _each(fields.take("changes", list), f"{where}: changes")),
        retired=tuple(_retired(*at) for at in _each(values.get("retired", []), f"{where}: retired")),
    )
    if not manifest.base:
        raise DataError(f"{where}: base.files is empty; a table has a base, even one without rows")
    numbers = [change.sequence for change in manifest.changes]
    expected = list(range(numbers[0], numbers[0] + len(numbers))) if numbers else []
    if numbers != expected or (numbers and not numbers[0] - 1 <= manifest.base_sequence <= numbers[-1]):
        raise DataError(
            f"{where}: changes are numbered {numbers[:9]}, the base {manifest.base_sequence}; no gaps, please"
        )
    return manifest


def _each(entries: list[Any], where: str) -> list[tuple[Any, str]]:
    return [(entry, f"{where}[{number}]") for number, entry in enumerate(entries)]


def _retired(entry: Any, where: str) -> Retired:
    fields = _Fields(entry, where)
    return Retired(fields.file(fields.take("file", str)), float(fields.take("time", (int, float))))


def _change(entry: Any, where: str) -> Change:
    fields = _Fields(entry, where)
    kind = fields.take("kind", str)
    if kind not in ("rows", "deleted"):
        raise DataError(f"{where}.kind is '{kind}'; it is rows or deleted")
    return Change(
        sequence=fields.take("sequence", int),
        file=fields.file(fields.take("file", str)),
        kind="rows" if kind == "rows" else "deleted",
        rows=fields.take("rows", int),
        time=float(fields.take("time", (int, float))),
    )


class _Fields:
    """Entries of a JSON object, each of its type."""

    def __init__(self, values: Any, where: str) -> None:
        self._where = where
        if not isinstance(values, dict):
            raise DataError(f"{where} is {values!r}; it is an object")
        self._values = values

    def take(self, name: str, kind: type | tuple[type, ...]) -> Any:
        value = self._values.get(name)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise DataError(f"{self._where}: '{name}' is {value!r}; docs: recserve/sources/manifest.py")
        return value

    def file(self, name: Any) -> str:
        """A file of the folder itself: a manifest does not reach other places."""
        if not isinstance(name, str) or not name or "/" in name or "\\" in name or name in (".", ".."):
            raise DataError(f"{self._where}: {name!r} is not the name of a file in the folder")
        return name
