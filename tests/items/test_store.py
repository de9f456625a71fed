"""The item store answers what requests ask: ids in any form, overrides, sequences, tables that are loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from tests.gil import beside_others

from recserve.columns import Batch, Column, batch_from_arrow, column_from_arrow, to_arrow
from recserve.errors import DataError, RequestError
from recserve.features.config import load
from recserve.features.generator import Generator
from recserve.items.store import ItemStore, LoadReport, column_types, key_type

if TYPE_CHECKING:
    from recserve.items.rows import ItemRows, Rows
    from recserve.items.store import KeyType

NO_IDS = column_from_arrow(pa.array([], pa.string()))


@dataclass(frozen=True)
class Sequence:
    column: str = "clicks"
    delimiter: str = ";"
    length: int = 0
    raw: frozenset[str] = frozenset({"price"})
    finished: frozenset[str] = frozenset()


def ids(*values: Any, kind: pa.DataType | None = None) -> Column:
    return column_from_arrow(pa.array(values, kind or pa.string()))


def batch(**columns: pa.Array | list[Any]) -> Batch:
    return batch_from_arrow({n: c if isinstance(c, pa.Array) else pa.array(c) for n, c in columns.items()})


def store_of(
    key: KeyType = "string",
    keys: list[Any] | None = None,
    always_raw: frozenset[str] = frozenset({"price", "name"}),
) -> ItemStore:
    store = ItemStore(key, {"price": "int64", "name": "string"}, always_raw=always_raw)
    keys = keys or (["a", "b", "c"] if key == "string" else [1, 2, 3])
    store.upsert(batch(price=[10, 20, 30], name=["x", None, "z"]), column_from_arrow(pa.array(keys)))
    return store


def gather(store: ItemStore, item_ids: Column, rows: int, **overrides: pa.Array | list[Any]) -> ItemRows:
    sent = Batch(rows)
    for name, values in overrides.items():
        sent.add(name, column_from_arrow(pa.array(values)))
    with store.pin() as pinned:
        return pinned.gather(item_ids, rows=rows, overrides=sent)


def values(batch: Batch, name: str) -> list[Any]:
    result: list[Any] = to_arrow(batch[name]).to_pylist()
    return result


# -- ids ---------------------------------------------------------------------------------------------------


def test_rows_come_in_the_order_of_the_ids_and_duplicates_keep_theirs() -> None:
    result = gather(store_of(), ids("c", "a", "c", "c"), 4)

    assert values(result.raw, "price") == [30, 10, 30, 30]
    assert result.known.all()


def test_an_unknown_null_or_empty_id_is_the_empty_row() -> None:
    result = gather(store_of(), ids("a", "nobody", None, ""), 4)

    assert values(result.raw, "price") == [10, None, None, None]
    assert result.known.tolist() == [True, False, False, False]


def test_without_ids_every_row_is_the_empty_row() -> None:
    result = gather(store_of(), NO_IDS, 3)

    assert result.raw.rows == 3
    assert values(result.raw, "name") == [None, None, None]
    assert result.known.tolist() == [False, False, False]


@pytest.mark.parametrize(
    ("key", "keys", "asked", "found"),
    [
        ("string", ["007", "7", "x"], "7", 20),
        ("string", ["007", "7", "x"], "007", 10),
        ("int64", [7, 8, 9], "007", 10),
        ("int64", [7, -8, 9], "-8", 20),
        ("int64", [7, 8, 9], "7.0", None),
        ("int64", [7, 8, 9], "seven", None),
        ("int64", [7, 8, 2**63 - 1], str(2**63 - 1), 30),
        ("int64", [7, 8, 9], str(2**64 + 7), None),
    ],
)
def test_text_keys_are_bytes_and_integer_keys_are_numbers(
    key: KeyType, keys: list[Any], asked: str, found: int | None
) -> None:
    assert values(gather(store_of(key, keys), ids(asked), 1).raw, "price") == [found]


@pytest.mark.parametrize(("key", "keys"), [("string", ["1", "2", "3"]), ("int64", [1, 2, 3])])
def test_ids_may_be_sent_as_integers(key: KeyType, keys: list[Any]) -> None:
    result = gather(store_of(key, keys), ids(3, 4, kind=pa.int64()), 2)

    assert values(result.raw, "price") == [30, None]


def test_ids_that_are_no_ids_are_refused() -> None:
    with pytest.raises(RequestError, match="ids are texts or integers, one per item; got scalar float32"):
        gather(store_of(), ids(1.5, kind=pa.float32()), 1)


# -- what the request sends --------------------------------------------------------------------------------


def test_what_the_request_sends_wins_even_where_it_is_empty() -> None:
    result = gather(store_of(), ids("a", "b", "c"), 3, name=["sent", "", None])

    assert values(result.raw, "name") == ["sent", "", None]
    assert values(result.raw, "price") == [10, 20, 30]


def test_an_unknown_item_is_known_once_the_request_brings_a_value_for_it() -> None:
    result = gather(store_of(), ids("a", "no", "no", "no"), 4, name=["", "sent", "", None])

    assert result.known.tolist() == [True, True, False, False]


def test_one_sent_value_stands_for_all_items() -> None:
    result = gather(store_of(), ids("no", "a"), 2, name=["all"])

    assert result.known.tolist() == [True, True]
    assert values(result.raw, "name") == ["all"]


def test_a_sent_column_that_nothing_reads_is_not_handed_on() -> None:
    result = gather(store_of(always_raw=frozenset({"price"})), ids("a"), 1, colour=["red"])

    assert result.raw.names == ["price"]


def test_without_ids_the_rows_are_what_the_request_sends() -> None:
    result = gather(store_of(), NO_IDS, 2, name=["p", ""])

    assert values(result.raw, "name") == ["p", ""]
    assert result.known.tolist() == [True, False]


# -- sequences ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clicks", "length", "expected"),
    [
        (pa.array(["c;a;nobody;c"]), 0, [30, 10, None, 30]),
        (pa.array(["c;;a;"]), 0, [30, None, 10, None]),
        (pa.array(["c;a;b"]), 2, [30, 10]),
        (pa.array([["c", "", "a"]]), 0, [30, None, 10]),
        (pa.array([["c", "a", "b"]]), 1, [30]),
        (pa.array([""]), 0, []),
        (pa.array([None], pa.string()), 0, []),
        (pa.array([[]], pa.list_(pa.string())), 0, []),
    ],
)
def test_a_sequence_gathers_a_row_per_element(clicks: pa.Array, length: int, expected: list[Any]) -> None:
    with store_of().pin() as pinned:
        result = pinned.gather_lists(batch(clicks=clicks), {"seq": Sequence(length=length)})

    raw, finished = result["seq"]
    assert values(raw, "price") == expected
    assert raw.names == ["price"]
    assert finished.names == []


@pytest.mark.parametrize(
    ("clicks", "expected"),
    [
        (pa.array([[3, 9, 1]]), [30, None, 10]),
        (pa.array([[3, 1]], pa.list_(pa.int32())), [30, 10]),
        (pa.array([2]), [20]),
        (pa.array(["03;x;1"]), [30, None, 10]),
    ],
)
def test_a_sequence_of_integer_keys(clicks: pa.Array, expected: list[Any]) -> None:
    with store_of("int64").pin() as pinned:
        result = pinned.gather_lists(batch(clicks=clicks), {"seq": Sequence()})

    assert values(result["seq"][0], "price") == expected


def test_a_sequence_without_its_column_has_no_elements() -> None:
    with store_of().pin() as pinned:
        result = pinned.gather_lists(batch(age=[3]), {"seq": Sequence()})

    assert result["seq"][0].rows == 0


def test_a_delimiter_may_have_several_bytes() -> None:
    with store_of().pin() as pinned:
        result = pinned.gather_lists(batch(clicks=["c||a"]), {"seq": Sequence(delimiter="||")})

    assert values(result["seq"][0], "price") == [30, 10]


def test_a_sequence_of_other_things_is_refused_by_name() -> None:
    with (
        store_of().pin() as pinned,
        pytest.raises(RequestError, match="holds the item ids of sequence 'seq'"),
    ):
        pinned.gather_lists(batch(clicks=[1.5]), {"seq": Sequence()})


# -- writing -----------------------------------------------------------------------------------------------


def test_a_pinned_reader_keeps_its_versions_and_the_next_one_sees_the_new() -> None:
    store = store_of()
    with store.pin() as before:
        store.upsert(batch(price=[99], name=["new"]), ids("a"))
        seen = before.gather(ids("a"), rows=1)
        clicked = before.gather_lists(batch(clicks=["a"]), {"seq": Sequence()})
    after = gather(store, ids("a"), 1)

    assert values(seen.raw, "price") == values(clicked["seq"][0], "price") == [10]
    assert values(after.raw, "price") == [99]


def test_a_row_is_written_whole() -> None:
    store = store_of()
    store.upsert(batch(price=[99]), ids("a"))

    assert values(gather(store, ids("a"), 1).raw, "name") == [None]


def test_a_deleted_item_is_unknown() -> None:
    store = store_of()

    assert store.delete(ids("a", "nobody")) == 1
    assert len(store) == 2
    assert gather(store, ids("a", "b"), 2).known.tolist() == [False, True]


def test_a_row_without_key_is_refused_and_nothing_is_written() -> None:
    store = store_of()
    with pytest.raises(DataError, match="item row 1 has no key"):
        store.upsert(batch(price=[1, 2]), ids("new", None))

    assert len(store) == 3


def test_a_column_of_another_type_is_refused_by_name() -> None:
    with pytest.raises(DataError, match="item column 'price' holds string; the store was made for int64"):
        store_of().upsert(batch(price=["1"]), ids("a"))


def test_an_unknown_type_lists_the_known_ones() -> None:
    with pytest.raises(DataError, match="unknown column type 'int128'; known: int32, int64"):
        ItemStore("string", {"price": "int128"})


# -- loading -----------------------------------------------------------------------------------------------


def table(rows: int) -> pa.Table:
    keys = [f"k{i}" for i in range(rows)]
    return pa.table({"key": keys, "price": list(range(rows)), "name": [f"name {i}" for i in range(rows)]})


def test_a_load_counts_rows_and_the_last_of_equal_keys_wins() -> None:
    store = ItemStore("string", {"price": "int64"}, always_raw=frozenset({"price"}))
    rows = pa.table({"key": ["a", "b", "a", "c", "a"], "price": [1, 2, 3, 4, 5]})
    told: list[int] = []

    result = store.load(rows.to_batches(max_chunksize=2), key="key", progress=told.append)

    assert result == LoadReport(rows=5, items=3, repeated=2)
    assert told == [2, 2, 1]
    assert values(gather(store, ids("a"), 1).raw, "price") == [5]


def test_rows_of_an_earlier_load_are_replaced_but_not_repeated() -> None:
    store = ItemStore("string", {"price": "int64"})
    store.load(table(100).to_batches(), key="key")

    result = store.load(table(100).to_batches(), key="key", threads=3)

    assert result == LoadReport(rows=100, items=100, repeated=0)


def test_a_load_on_several_threads_gives_every_row() -> None:
    store = ItemStore("string", {"price": "int64", "name": "string"}, always_raw=frozenset({"price", "name"}))
    store.load(table(5000).to_batches(max_chunksize=100), key="key", threads=4)
    result = gather(store, ids(*(f"k{i}" for i in range(5000))), 5000)

    assert values(result.raw, "price") == list(range(5000))
    assert values(result.raw, "name") == [f"name {i}" for i in range(5000)]


def test_a_load_names_the_key_column_that_is_not_there() -> None:
    with pytest.raises(DataError, match="items have no key column 'id'; columns: key, price, name"):
        store_of().load(table(2).to_batches(), key="id")


def test_null_entries_in_a_list_of_numbers_say_how_to_mend_them() -> None:
    store = ItemStore("string", {"tags": "list<int64>"})
    rows = pa.record_batch({"key": ["a"], "tags": pa.array([[1, None]])})
    with pytest.raises(DataError, match=r"'tags' holds list<list<int64>>.* drop the nulls"):
        store.load([rows], key="key")


def test_figures_count_rows_bytes_and_misses() -> None:
    store = ItemStore("string", {"price": "int64", "name": "string"}, always_raw=frozenset({"name"}))
    store.load(table(1000).to_batches(), key="key")
    gather(store, ids("k1", "k2", "nobody"), 3)
    result = store.figures()

    assert (result.rows, result.lookups, result.misses) == (1000, 3, 1)
    assert result.rows_bytes == result.slots * result.slot_bytes
    assert result.bytes > 1000 * len("name 100")


def test_integers_with_a_limit_take_fewer_bytes() -> None:
    wide = ItemStore("int64", {f"c{i}": "int64" for i in range(8)})
    narrow = ItemStore("int64", {f"c{i}": "int64" for i in range(8)}, limits={f"c{i}": 256 for i in range(8)})

    assert wide.figures().slot_bytes - narrow.figures().slot_bytes == 8 * 7


def test_the_types_of_a_table_are_told_as_the_store_takes_them() -> None:
    schema = pa.schema(
        {
            "a": pa.int8(),
            "b": pa.large_string(),
            "c": pa.list_(pa.float32(), 4),
            "d": pa.map_(pa.string(), pa.float32()),
            "e": pa.list_(pa.list_(pa.int64())),
        }
    )
    result = column_types(schema, [*"abcde", "absent"])

    assert result == {
        "a": "int32",
        "b": "string",
        "c": "float32[4]",
        "d": "map<string,float32>",
        "e": "list<list<int64>>",
    }
    assert ItemStore("string", result).columns == result


def test_a_key_column_is_text_or_integer() -> None:
    assert key_type(pa.int32(), "id") == "int64"
    assert key_type(pa.large_string(), "id") == "string"
    with pytest.raises(DataError, match="key column 'id' is double; keys are texts or integers"):
        key_type(pa.float64(), "id")


# -- threads -----------------------------------------------------------------------------------------------


def test_other_threads_run_during_one_long_gather() -> None:
    store = store_of()
    many = ids(*(["a", "b", "c", "nobody"] * 500_000))
    with store.pin() as pinned:
        beside_others(lambda: pinned.gather(many, rows=len(many)))


def test_other_threads_run_while_one_batch_is_loaded() -> None:
    store = ItemStore("string", {"price": "int64", "name": "string"})
    rows = table(300_000).combine_chunks().to_batches()
    assert len(rows) == 1

    beside_others(lambda: store.load(rows, key="key", threads=1))


# -- deletes, scans, memory --------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["string", "int64"])
def test_a_pinned_reader_goes_on_seeing_what_is_deleted_replaced_or_comes_back(key: KeyType) -> None:
    keys: list[Any] = ["a", "b", "a name longer than a slot holds"] if key == "string" else [1, 2, 3]
    store = store_of(key, keys)
    asked = column_from_arrow(pa.array(keys))

    def prices(rows: Rows) -> list[Any]:
        return values(rows.gather(asked, rows=3).raw, "price")

    with store.pin() as first:
        assert store.delete(column_from_arrow(pa.array(keys[1:]))) == 2
        assert store.delete(column_from_arrow(pa.array([keys[1], keys[1]]))) == 0
        with store.pin() as second:
            store.upsert(batch(price=[7]), column_from_arrow(pa.array(keys[2:])))
            assert prices(first) == [10, 20, 30]
            assert prices(second) == [10, None, None]
        with store.pin() as third:
            assert prices(third) == [10, None, 7]
    assert len(store) == 2
    assert store.delete(column_from_arrow(pa.array([keys[0], keys[0]]))) == 1


def test_deleted_items_leave_the_index_when_nobody_sees_them() -> None:
    store = ItemStore("int64", {"price": "int64"})
    keys = column_from_arrow(pa.array(range(5000)))
    prices = batch(price=list(range(5000)))
    for _ in range(20):
        store.upsert(prices, keys)
        assert store.delete(keys) == 5000

    figures = store.figures()
    assert figures.rows == 0
    assert figures.slots < 4 * 5000
    assert figures.index_bytes < 8 * 4 * 8192


def test_a_scan_reads_every_item_as_of_its_start() -> None:
    store = store_of("string")
    scan = store.scan(["price"], batch_rows=2)
    store.upsert(batch(price=[11, 40]), ids("a", "d"))
    store.delete(ids("b"))

    found: dict[str, int] = {}
    for keys, rows in scan:
        assert rows.names == ["price"]
        assert len(keys) <= 2
        found.update(zip(to_arrow(keys).to_pylist(), values(rows, "price"), strict=True))

    assert found == {"a": 10, "b": 20, "c": 30}
    again = [key for keys, _ in store.scan() for key in to_arrow(keys).to_pylist()]
    assert sorted(again) == ["a", "c", "d"]


def test_a_scan_of_a_column_that_is_not_kept_is_refused() -> None:
    with pytest.raises(DataError, match="the store keeps no raw item column 'colour'"):
        store_of().scan(["colour"])


def test_rows_are_looked_up_by_key_and_column() -> None:
    with store_of().pin() as rows:
        found = rows.look_up(ids("c", "nobody"), ["price"])

    assert found.raw.names == ["price"]
    assert values(found.raw, "price") == [30, None]
    assert found.known.tolist() == [True, False]


def test_memory_is_told_by_column() -> None:
    store = ItemStore("string", {"price": "int64", "name": "string", "#0": "int64", "name#0": "string"})
    store.upsert(batch(price=[1], name=["x" * 1000]), ids("a"))

    told = {c.name: c for c in store.column_bytes()}

    assert {c.name: c.kind for c in told.values()} == {
        "price": "raw",
        "name": "raw",
        "#0": "hidden",
        "name#0": "hidden",
    }
    assert told["price"].type == "int64"
    assert told["price"].slot_bytes == 8 * store.figures().slots
    assert told["name"].heap_bytes - told["name#0"].heap_bytes > 1000


# -- dropped columns ---------------------------------------------------------------------------------------


def store_with_dropped() -> ItemStore:
    config = {
        "features": [
            {"feature_name": "p", "feature_type": "raw_feature", "expression": "item:price"},
            {"feature_name": "q", "feature_type": "raw_feature", "expression": "item:stock"},
        ]
    }
    generator = Generator(load(config))
    store = ItemStore(
        "string",
        {"stock": "int64"},
        dropped={"price": "int64"},
        finisher=generator.finisher,
        hides=generator.finished,
    )
    store.upsert(batch(price=[10, 20], stock=[1, 2]), ids("a", "b"))
    return store


def test_a_dropped_column_is_finished_and_not_kept() -> None:
    store = store_with_dropped()

    assert "price" not in store.columns
    finished = gather(store, ids("b", "a"), 2).finished
    name = next(name for name in finished.names if "p" in name)
    assert values(finished, name) == [[20.0], [10.0]] or values(finished, name) == [20.0, 10.0]
    with pytest.raises(DataError, match="keeps no raw item column 'price'"):
        store.scan(["price"])


def test_a_request_that_sends_a_dropped_column_is_told_the_setting() -> None:
    store = store_with_dropped()

    with pytest.raises(RequestError, match=r"item column 'price' cannot be sent: .*keep_raw_items"):
        gather(store, ids("a"), 1, price=[5])
    assert len(gather(store, ids("a"), 1, stock=[5]).finished.names) == 1


def test_a_dropped_column_of_another_type_is_refused_by_name() -> None:
    with pytest.raises(DataError, match="item column 'price' holds string; the store was made for int64"):
        store_with_dropped().upsert(batch(price=["x"]), ids("a"))
