"""The source in memory stands for others in tests: it forgets, is replaced, and can do less, when told to."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest

from recserve.errors import DataError
from recserve.source import change_feed, point_reads, profiled, sink
from recserve.sources.memory import MemoryOrigin, MemorySource


def items(keys: list[int], n: int = 0) -> pa.Table:
    return pa.table({"id": keys, "n": [n] * len(keys)})


def test_it_can_stand_for_a_source_that_can_less() -> None:
    source = MemorySource(items([1]), "id", abilities=frozenset({"get"}))

    assert [f(source) is not None for f in (change_feed, point_reads, profiled, sink)] == [
        False,
        True,
        False,
        False,
    ]


def test_forgotten_changes_are_told() -> None:
    source = MemorySource(items([1]), "id")
    cursor = source.cursor()
    source.write(items([2]))
    source.forget_changes()

    with pytest.raises(DataError, match=r"cursor .* is not one of this table; read it as a whole"):
        source.changes(cursor)
    assert not source.changes(source.cursor()).upserts


def test_only_the_last_changes_are_kept() -> None:
    source = MemorySource(items([1]), "id", log_rows=3)
    cursors = [source.cursor()]
    for n in range(5):
        source.write(items([1], n))
        cursors.append(source.cursor())

    assert source.changes(cursors[2]).cursor == cursors[5]
    with pytest.raises(DataError, match="read it as a whole"):
        source.changes(cursors[1])


def test_another_table_in_its_place_may_have_other_columns() -> None:
    source = MemorySource(items([1]), "id")
    cursor = source.cursor()
    source.replace_table(pa.table({"id": ["a"]}))

    assert source.schema().names == ["id"]
    with pytest.raises(DataError, match="read it as a whole"):
        source.changes(cursor)


def test_tables_of_one_origin_share_moments() -> None:
    origin = MemoryOrigin("shop")
    first = MemorySource(items([1]), "id", name="first", origin=origin)
    second = MemorySource(items([2]), "id", name="second", origin=origin)
    with first.moment() as moment:
        second.write(items([3]))

        assert [batch.num_rows for batch in second.snapshot(at=moment)] == [1]
    assert second.rows() == 2


def test_many_threads_write() -> None:
    source = MemorySource(items([]).cast(pa.schema([("id", pa.int64()), ("n", pa.int64())])), "id")
    cursor = source.cursor()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: source.write(items([n, 1000], n)), range(100)))

    assert source.rows() == 101
    assert sum(batch.num_rows for batch in source.changes(cursor).upserts) == 200
