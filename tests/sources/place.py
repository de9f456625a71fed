"""Where the tables of one kind of source lie in a test, and what the kind can."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeVar

import pyarrow as pa
import pytest

from recserve.errors import DataError
from recserve.source import change_feed, point_reads, profiled, sink

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from contextlib import AbstractContextManager

    from recserve.source import ChangeFeed, Changes, Moment, PointReads, Profiled, Sink, Source

Trait = Literal[
    # The abilities of `recserve.source`.
    "changes",
    "profile",
    "get",
    "write",
    # What else kinds differ in.
    "order",  # a table has an order and may hold a key several times
    "null keys",  # a table may hold a row without key
    "row count",  # `rows` is exact
    "deletes",  # `changes` tells deletions
    "once",  # `changes` does not tell again what the cursor is behind
    "waits",  # `changes` can wait for the first change
    "pages",  # `changes` splits long answers: `Place.page_rows`
    "moments",  # what is written while a moment is held is not seen at it
]

Test = TypeVar("Test", bound="Callable[..., None]")


class Place(Protocol):
    """An empty place for tables, made by the fixture `place` for every test.

    `upsert` and `delete` are what somebody else does to a table; a kind that has neither "changes" nor
    "moments" nor "write" is never asked for them.
    """

    def make(self, table: pa.Table, key: str, name: str = "items") -> Source:
        """Write a table and open it. The table may lack the key column: then opening or `schema` fails."""

    def absent(self, key: str) -> Source:
        """Open a table that is not there, named `no_such_table` in some way."""

    def upsert(self, source: Source, rows: pa.Table) -> None:
        """Write complete rows into the table, visible to all when this returns."""

    def delete(self, source: Source, keys: pa.Array) -> None:
        """Take rows away."""


def needs(*traits: Trait) -> Callable[[Test], Test]:
    """A test for those kinds only that have these traits; for others it is not collected."""

    def marked(test: Test) -> Test:
        setattr(test, "needs", frozenset(traits))  # noqa: B010
        return test

    return marked


class Expected:
    """What a kind of source says of itself, and how results are compared under that."""

    can: ClassVar[frozenset[Trait]] = frozenset()
    lacks_types: ClassVar[frozenset[str]] = frozenset()  # of TYPES: a table cannot have such a column
    reads_as: ClassVar[Mapping[str, pa.DataType]] = {}  # of TYPES: columns that come back as another type
    lacks_keys: ClassVar[frozenset[str]] = frozenset()  # of KEYS
    own_columns: ClassVar[frozenset[str]] = frozenset()  # that `Place.make` adds to every table
    many_rows: ClassVar[int] = 200_000  # a table that does not come in one batch
    page_rows: ClassVar[int] = 0  # with "pages": so many changed rows are more than one answer
    secret: ClassVar[str] = ""  # a password that the place is opened with

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name in dir(cls):
            if not getattr(getattr(cls, name), "needs", frozenset()) <= cls.can:
                setattr(cls, name, None)  # pytest collects functions only

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Ask for the types and keys that the kind has."""
        for fixture, table, lacks in [
            ("type_name", TYPES, self.lacks_types),
            ("key_kind", KEYS, self.lacks_keys),
        ]:
            if fixture in metafunc.fixturenames:
                metafunc.parametrize(fixture, [name for name in table if name not in lacks])

    def read(
        self, source: Source, columns: Collection[str] | None = None, *, at: Moment | None = None
    ) -> pa.Table:
        """A snapshot as one table, without the columns that the place added."""
        return self.table(source, list(source.snapshot(columns, at=at)))

    def table(self, source: Source, batches: list[pa.RecordBatch]) -> pa.Table:
        result = pa.Table.from_batches(batches) if batches else source.schema().empty_table()
        return result.drop_columns([name for name in result.schema.names if name in self.own_columns])

    def check_equal(self, result: pa.Table, expected: pa.Table, key: str) -> None:
        """Compare rows and types; in the order of keys where tables have none."""
        result, expected = (t.select(sorted(t.schema.names)) for t in (result, expected))
        if "order" not in self.can:
            result, expected = result.sort_by(key), expected.sort_by(key)
        assert result.schema.equals(expected.schema), f"{result.schema}\n\n{expected.schema}"
        assert result.to_pylist() == expected.to_pylist()

    def refused(self, match: str, error: type[Exception] = DataError) -> AbstractContextManager[Any]:
        """Expect an error that says so, without the secret."""
        return _Refused(match, error, self.secret)

    def follow(
        self, feed: ChangeFeed, cursor: str, columns: Collection[str] | None = None
    ) -> Iterator[Changes]:
        """All answers up to now."""
        more = True
        while more:
            answer = feed.changes(cursor, columns)
            assert not answer.more or answer.cursor != cursor, "more is promised, and the cursor stays"
            cursor, more = answer.cursor, answer.more
            yield answer


class _Refused:
    def __init__(self, match: str, error: type[Exception], secret: str) -> None:
        self._raises, self._secret = pytest.raises(error, match=match), secret

    def __enter__(self) -> None:
        self._info = self._raises.__enter__()

    def __exit__(self, *error: Any) -> bool:
        held = bool(self._raises.__exit__(*error))
        if held and self._secret:
            assert self._secret not in str(self._info.value)
        return held


Rows = dict[Any, dict[str, Any]]


def by_key(table: pa.Table, key: str) -> Rows:
    """The rows that a reader ends with: of equal keys the later one."""
    return {row[key]: row for row in table.to_pylist()}


def applied(rows: Rows, changes: Changes, key: str, own: Collection[str] = ()) -> Rows:
    """The rows after the changes."""
    result = dict(rows)
    for batch in changes.upserts:
        for row in batch.to_pylist():
            result[row[key]] = {name: value for name, value in row.items() if name not in own}
    for gone in changes.deleted.to_pylist() if changes.deleted is not None else []:
        result.pop(gone, None)
    return result


def as_feed(source: Source) -> ChangeFeed:
    feed = change_feed(source)
    assert feed is not None
    return feed


def as_sink(source: Source) -> Sink:
    found = sink(source)
    assert found is not None
    return found


def as_point_reads(source: Source) -> PointReads:
    found = point_reads(source)
    assert found is not None
    return found


def as_profiled(source: Source) -> Profiled:
    found = profiled(source)
    assert found is not None
    return found


#: Keys and what they may be: each has three different values.
KEYS: dict[str, pa.Array] = {
    "text": pa.array(["a", "Ärger 'x' \"y\" \\ ;--", "007"]),
    "int64": pa.array([7, -(2**63), 2**63 - 1], pa.int64()),
    "int32": pa.array([7, -(2**31), 2**31 - 1], pa.int32()),
}

#: Columns of every type that features are made of: four rows, the last one null.
TYPES: dict[str, pa.Array] = {
    "int32": pa.array([0, -(2**31), 2**31 - 1, None], pa.int32()),
    "int64": pa.array([0, -(2**63), 2**63 - 1, None], pa.int64()),
    "float32": pa.array([0.1, -0.0, float("nan"), None], pa.float32()),
    "float64": pa.array([0.1, 5e-324, float("-inf"), None], pa.float64()),
    "bool": pa.array([True, False, True, None]),
    "string": pa.array(["", "ä 'q' \"q\" \\N \t\n,;", "x" * 100_000, None]),
    "binary": pa.array([b"", b"\xff\xfe\x01", b"plain", None]),
    "timestamp": pa.array([0, 1, 1_700_000_000_123_456, None], pa.timestamp("us", "UTC")),
    "list<int32>": pa.array([[1, 2], [], [-3], None], pa.list_(pa.int32())),
    "list<int64>": pa.array([[2**63 - 1], [], [1, 2], None], pa.list_(pa.int64())),
    "list<float32>": pa.array([[0.5, 0.1], [], [float("nan")], None], pa.list_(pa.float32())),
    "list<float64>": pa.array([[0.1], [], [float("inf")], None], pa.list_(pa.float64())),
    "list<string>": pa.array([["a", "", "{,\"}'\\"], [], ["ä"], None], pa.list_(pa.string())),
    "list<list<float32>>": pa.array(
        [[[1.0, 2.0], [3.0, 4.0]], [], [[0.5, 0.25]], None], pa.list_(pa.list_(pa.float32()))
    ),
    "map<string,float64>": pa.array(
        [[("k", 0.5), ("", 1.0)], [], [("ä", -2.0)], None], pa.map_(pa.string(), pa.float64())
    ),
    "map<int64,string>": pa.array(
        [[(7, "x")], [], [(-1, ""), (2, "y")], None], pa.map_(pa.int64(), pa.string())
    ),
    "float32[3]": pa.array(
        [[1.0, 2.0, 3.0], [0.0, -0.0, 0.1], [4.0, 5.0, 6.0], None], pa.list_(pa.float32(), 3)
    ),
}
