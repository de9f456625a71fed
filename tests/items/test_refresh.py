"""A refresh writes what changed, finds what is gone, and loses to whoever is fresher."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from recserve.columns import Batch, Column, batch_from_arrow, column_from_arrow, to_arrow
from recserve.errors import DataError
from recserve.items.store import ItemStore, hash_rows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from recserve.items.refresh import Refresh
    from recserve.items.store import KeyType, PreparedRows

Row = dict[str, Any]
COLUMNS = {"price": "int64", "name": "string"}
ARROW = {"price": pa.int64(), "name": pa.string()}


def column(values: Iterable[Any], kind: pa.DataType | None = None) -> Column:
    return column_from_arrow(pa.array(list(values), kind))


def keys_of(store: ItemStore, keys: Iterable[Any]) -> Column:
    return column(keys, pa.string() if store.key == "string" else pa.int64())


def hashed(rows: list[Row]) -> tuple[Batch, Column]:
    """Rows with their hash in column "#0"."""
    arrays = {name: pa.array([row[name] for row in rows], kind) for name, kind in ARROW.items()}
    hashes = hash_rows(batch_from_arrow(arrays))
    return batch_from_arrow({**arrays, "#0": to_arrow(hashes)}), hashes


def store_of(rows: dict[Any, Row], key: KeyType = "int64") -> ItemStore:
    store = ItemStore(key, {**COLUMNS, "#0": "int64"}, always_raw=frozenset(COLUMNS))
    if rows:
        store.upsert(hashed(list(rows.values()))[0], keys_of(store, rows))
    return store


def content(store: ItemStore) -> dict[Any, Row]:
    """Every item, by a scan."""
    found: dict[Any, Row] = {}
    for keys, batch in store.scan(ARROW, batch_rows=100):
        columns = {name: to_arrow(batch[name]).to_pylist() for name in ARROW}
        for i, key in enumerate(to_arrow(keys).to_pylist()):
            assert key not in found
            found[key] = {name: values[i] for name, values in columns.items()}
    assert len(found) == len(store)
    return found


@dataclass
class Asked:
    """One batch of a refresh on its way."""

    write: list[bool]
    prepared: PreparedRows | None


def ask(
    store: ItemStore, refresh: Refresh, rows: list[tuple[Any, Row]], order: list[int] | None = None
) -> Asked:
    """`changed` and `prepare`; publish it later, or never."""
    _, hashes = hashed([row for _, row in rows])
    write = refresh.changed(
        keys_of(store, [key for key, _ in rows]), hashes, None if order is None else column(order, pa.int64())
    )
    kept = [pair for pair, wanted in zip(rows, write, strict=True) if wanted]
    prepared = None
    if kept:
        prepared = store.prepare(
            hashed([row for _, row in kept])[0], keys_of(store, [key for key, _ in kept])
        )
    return Asked(write.tolist(), prepared)


def publish(store: ItemStore, refresh: Refresh, asked: Asked) -> int:
    return 0 if asked.prepared is None else store.publish(asked.prepared, refresh)


def row(price: int | None, name: str | None = "x") -> Row:
    return {"price": price, "name": name}


def unseen(refresh: Refresh, batch_rows: int = 7) -> list[Any]:
    return [key for keys in refresh.unseen(batch_rows) for key in to_arrow(keys).to_pylist()]


# -- what is written ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["string", "int64"])
def test_only_what_differs_is_written_and_what_is_gone_is_told(key: KeyType) -> None:
    named = (lambda i: f"item {i} of a long name") if key == "string" else (lambda i: i)
    store = store_of({named(i): row(i) for i in range(100)}, key)
    refresh = store.refresh("#0")

    table = [(named(i), row(i if i != 7 else 700)) for i in range(90)] + [(named(200), row(2))]
    asked = ask(store, refresh, table)
    published = publish(store, refresh, asked)

    assert published == sum(asked.write) == 2
    assert sorted(unseen(refresh)) == sorted(named(i) for i in range(90, 100))
    figures = refresh.figures()
    assert (figures.seen, figures.unchanged, figures.written) == (91, 89, 2)


def test_of_equal_keys_in_a_batch_the_greatest_order_wins_and_then_the_last() -> None:
    store = store_of({})
    refresh = store.refresh("#0")

    asked = ask(
        store,
        refresh,
        [(1, row(10)), (1, row(11)), (1, row(12)), (2, row(20)), (2, row(21))],
        [5, 9, 9, 3, 1],
    )

    assert asked.write == [False, False, True, True, False]
    assert refresh.figures().repeated == 3
    publish(store, refresh, asked)
    assert content(store) == {1: row(12), 2: row(20)}


def test_without_an_order_the_later_row_wins_within_and_across_batches() -> None:
    store = store_of({1: row(1)})
    refresh = store.refresh("#0")

    first = ask(store, refresh, [(1, row(2)), (1, row(3))])
    publish(store, refresh, first)
    second = ask(store, refresh, [(1, row(4))])
    publish(store, refresh, second)

    assert first.write == [False, True]
    assert content(store) == {1: row(4)}
    assert refresh.figures().repeated == 2


@pytest.mark.parametrize("published_last", [0, 1])
def test_a_row_in_flight_loses_to_a_greater_order_however_they_are_published(published_last: int) -> None:
    store = store_of({1: row(1)})
    refresh = store.refresh("#0")
    asked = [
        ask(store, refresh, [(1, row(2))], [20]),
        ask(store, refresh, [(1, row(3))], [30]),
        ask(store, refresh, [(1, row(4))], [25]),
    ]
    assert [a.write for a in asked] == [[True], [True], [False]]

    publish(store, refresh, asked[1 - published_last])
    publish(store, refresh, asked[published_last])

    assert content(store) == {1: row(3)}
    assert ask(store, refresh, [(1, row(5))], [29]).write == [False]
    assert refresh.figures().repeated == 3


def test_a_later_row_that_equals_what_is_stored_beats_the_one_in_flight() -> None:
    store = store_of({1: row(1)})
    refresh = store.refresh("#0")
    flying = ask(store, refresh, [(1, row(2))])
    assert ask(store, refresh, [(1, row(1))]).write == [False]

    assert publish(store, refresh, flying) == 0
    assert content(store) == {1: row(1)}
    assert unseen(refresh) == []


# -- who is fresher ----------------------------------------------------------------------------------------


def test_a_protected_row_is_neither_written_nor_told_even_when_it_was_in_flight() -> None:
    store = store_of({1: row(1), 2: row(2), 3: row(3)})
    refresh = store.refresh("#0")
    flying = ask(store, refresh, [(1, row(100))])

    refresh.protect(column([1, 2, 4]))
    store.upsert(hashed([row(-1)])[0], column([1]))
    store.delete(column([4]))

    assert publish(store, refresh, flying) == 0
    assert ask(store, refresh, [(1, row(5)), (4, row(4))]).write == [False, False]
    assert content(store)[1] == row(-1)
    assert unseen(refresh) == [3]
    assert refresh.figures().protected == 3


def test_a_mark_stays_with_a_row_that_anybody_rewrites() -> None:
    store = store_of({i: row(i) for i in range(50)})
    refresh, other = store.refresh("#0"), store.refresh("#0")
    ask(store, refresh, [(i, row(i)) for i in range(0, 50, 2)])

    store.upsert(hashed([row(-i) for i in range(50)])[0], column(range(50)))
    publish(store, other, ask(store, other, [(i, row(1000)) for i in range(50)]))

    assert sorted(unseen(refresh)) == list(range(1, 50, 2))
    assert unseen(other) == []


def test_a_reused_slot_does_not_keep_the_mark_of_the_row_before() -> None:
    store = store_of({i: row(i) for i in range(50)})
    refresh = store.refresh("#0")
    ask(store, refresh, [(i, row(i)) for i in range(50)])
    store.delete(column(range(50)))
    for key in range(100, 200):
        store.upsert(hashed([row(key)])[0], column([key]))

    assert sorted(unseen(refresh)) == list(range(100, 200))


def test_rows_without_the_tables_hash_are_not_the_tables() -> None:
    store = store_of({1: row(1)})
    store.upsert(batch_from_arrow({"price": pa.array([2])}), column([2]))

    assert unseen(store.refresh("#0")) == [1]


def test_unseen_rows_may_be_deleted_while_they_are_told_and_the_index_may_grow() -> None:
    store = store_of({i: row(i) for i in range(700)})
    refresh = store.refresh("#0")
    ask(store, refresh, [(i, row(i)) for i in range(0, 700, 10)])
    told: list[int] = []
    for i, keys in enumerate(refresh.unseen(50)):
        told += to_arrow(keys).to_pylist()
        if i % 2:
            store.delete(keys)
        if i == 4:  # the index is laid anew, under the feet of the walk
            grown = range(10_000, 14_000)
            refresh.protect(column(grown))
            store.upsert(hashed([row(0) for _ in grown])[0], column(grown))

    assert sorted(told) == [i for i in range(700) if i % 10]


def test_unseen_rows_are_told_once_when_they_are_rewritten_into_the_slots_of_others() -> None:
    content_of = {i: row(i) for i in range(60)}
    store = store_of(content_of)
    refresh = store.refresh("#0")
    left, told = dict(content_of), []
    for keys in refresh.unseen(5):
        told += to_arrow(keys).to_pylist()
        store.delete(keys)
        left = {key: r for key, r in left.items() if key not in told}
        if left:  # into the slots that the deleted ones had
            store.upsert(hashed(list(left.values()))[0], column(left))

    assert sorted(told) == list(range(60))
    assert unseen(refresh) == []


# -- against a dict ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
def test_refreshes_among_upserts_and_deletes_leave_what_a_dict_has(seed: int) -> None:
    rng = random.Random(seed)
    key: KeyType = rng.choice(["string", "int64"])

    def some_key() -> Any:
        number = rng.randrange(300)
        return number if key == "int64" else f"item {number}" * (1 + number % 3)

    def some_row() -> Row:
        return row(rng.choice([None, 0, 1, 2]), rng.choice([None, "", "a", "b"]))

    expected = {some_key(): some_row() for _ in range(200)}
    store = store_of(dict(expected), key)
    for _ in range(6):
        ordered = rng.random() < 0.5
        table = [
            (k, r if rng.random() < 0.7 else some_row()) for k, r in expected.items() if rng.random() < 0.8
        ]
        table += [(some_key(), some_row()) for _ in range(rng.randrange(100))]
        rng.shuffle(table)
        orders = [rng.randrange(50) for _ in table]
        before, fresh = dict(expected), set()
        best: dict[Any, tuple[int, Row]] = {}
        refresh = store.refresh("#0")
        flying: list[Asked] = []
        at = 0
        while at < len(table) or flying:
            step = rng.random()
            if step < 0.4 and at < len(table):
                size = rng.randrange(1, 60)
                part, part_orders = table[at : at + size], orders[at : at + size]
                at += size
                flying.append(ask(store, refresh, part, part_orders if ordered else None))
                for (k, r), order in zip(part, part_orders, strict=True):
                    if k not in best or not ordered or order >= best[k][0]:
                        best[k] = (order, r)
            elif step < 0.7 and flying:
                # In any order: what has lost meanwhile is dropped.
                publish(store, refresh, flying.pop(rng.randrange(len(flying))))
            elif step < 0.85:
                changed = {some_key(): some_row() for _ in range(rng.randrange(1, 20))}
                fresh |= set(changed)
                refresh.protect(keys_of(store, changed))
                store.upsert(hashed(list(changed.values()))[0], keys_of(store, changed))
                before.update(changed)
            else:
                gone = {some_key() for _ in range(rng.randrange(1, 20))}
                fresh |= gone
                refresh.protect(keys_of(store, gone))
                store.delete(keys_of(store, gone))
                for k in gone:
                    before.pop(k, None)
        for keys in refresh.unseen(13):
            store.delete(keys)
        expected = {k: r for k, (_, r) in best.items() if k not in fresh}
        expected |= {k: r for k, r in before.items() if k in fresh}
        assert content(store) == expected


# -- bad input ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "hashes", "order", "message"),
    [
        (["a", None], [1, 2], None, "item row 1 has no key"),
        (["a", ""], [1, 2], None, "item row 1 has no key"),
        (["a", "b"], [1, None], None, "int64 without nulls"),
        (["a", "b"], [1], None, "one integer per row"),
        (["a", "b"], ["x", "y"], None, "one integer per row"),
        (["a", "b"], [1, 2], ["x", "y"], "the order of a refresh are one integer per row"),
    ],
)
def test_bad_batches_are_refused_by_name(
    keys: list[Any], hashes: list[Any], order: list[Any] | None, message: str
) -> None:
    refresh = store_of({}, "string").refresh("#0")

    with pytest.raises(DataError, match=message):
        refresh.changed(column(keys), column(hashes), None if order is None else column(order))


@pytest.mark.parametrize("name", ["#1", "name"])
def test_a_refresh_needs_a_column_of_hashes(name: str) -> None:
    with pytest.raises(DataError, match=f"'{name}', which is no raw int64 column of the store"):
        store_of({}).refresh(name)


def test_a_row_without_its_hash_is_not_published_for_a_refresh() -> None:
    store = store_of({1: row(1)})
    refresh = store.refresh("#0")
    prepared = store.prepare(batch_from_arrow({"price": pa.array([2])}), column([1]))

    with pytest.raises(DataError, match="published for a refresh has no hash in '#0'"):
        store.publish(prepared, refresh)
    assert content(store) == {1: row(1)}
    assert store.figures().free_slots == 1
