from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from recserve.columns import Batch, ModelInputs, column_from_arrow
from recserve.errors import DataError
from recserve.items.results import ItemResults
from recserve.items.store import ItemStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recserve.columns import Column
    from recserve.items.rows import FoundRows, Rows

WIDTHS = {"layer": 3, "query": 2}


def ids(keys: Sequence[str]) -> Column:
    return column_from_arrow(pa.array(keys, pa.string()), "ids")


def store_of(prices: dict[str, float]) -> ItemStore:
    store = ItemStore("string", {"price": "float32"})
    upsert(store, prices)
    return store


def upsert(store: ItemStore, prices: dict[str, float]) -> None:
    batch = Batch(len(prices))
    batch.add("price", column_from_arrow(pa.array(list(prices.values()), pa.float32()), "price"))
    store.upsert(batch, ids(list(prices)))


def found(rows: Rows, keys: Sequence[str]) -> FoundRows:
    return rows.find(ids(keys), rows.store.select(["price"], []))


def computed(rows: Rows, some: FoundRows) -> dict[str, Any]:
    """What the model makes of a price."""
    price = rows.gather_found(some, rows.store.select(["price"], [])).raw["price"].numbers()
    price = np.nan_to_num(price).reshape(-1, 1)
    return {"layer": price * np.array([1, 2, 3], np.float32), "query": price + np.array([10, 20], np.float32)}


def inputs(rows: int) -> ModelInputs:
    age, clicks = np.arange(1), np.arange(4, dtype=np.float32).reshape(1, 4)
    return ModelInputs(["age.values"], [age], ["clicks.values"], [clicks])


def asked(results: ItemResults, store: ItemStore, keys: Sequence[str]) -> tuple[dict[str, Any], int]:
    """Every result by name, as a request gets them; and how many had to be computed."""
    with store.pin() as rows:
        some = found(rows, keys)
        whole, missing = results.with_results(inputs(len(keys)), some)
        if len(missing):
            lacking = some.at(missing)
            made = computed(rows, lacking)
            results.fill(whole, missing, made)
            results.add(lacking, made)
    floats = whole.floats[4:]
    blocks = np.split(floats, np.cumsum([width * len(keys) for width in WIDTHS.values()])[:-1])
    named = {
        name: block.reshape(len(keys), width)
        for (name, width), block in zip(WIDTHS.items(), blocks, strict=True)
    }
    return named, len(missing)


def test_results_stand_behind_the_tensors_of_a_request() -> None:
    store, results = store_of({"a": 1.0, "b": 2.0}), ItemResults(WIDTHS)

    first, computed_first = asked(results, store, ["b", "a"])
    again, computed_again = asked(results, store, ["b", "a", "b"])

    assert (computed_first, computed_again) == (2, 0)
    assert first["layer"].tolist() == [[2, 4, 6], [1, 2, 3]]
    assert again["query"].tolist() == [[12, 22], [11, 21], [12, 22]]


def test_names_and_widths_are_those_of_the_plan_and_then_ours() -> None:
    store, results = store_of({"a": 1.0}), ItemResults(WIDTHS)
    given = inputs(1)
    with store.pin() as rows:
        one, _ = results.with_results(given, found(rows, ["a"]))
        other, _ = results.with_results(given, found(rows, ["a", "a"]))

    assert one.float_names == ["clicks.values", "layer", "query"]
    assert one.float_widths == [4, 3, 2]
    assert other.float_sizes == [4, 6, 4]
    assert one.names is other.names
    assert one.ints.tolist() == given.ints.tolist()


def test_what_is_unknown_has_the_result_of_the_empty_row() -> None:
    store, results = store_of({"a": 1.0}), ItemResults(WIDTHS)

    _, first = asked(results, store, ["no", "such"])
    values, again = asked(results, store, ["a", "no"])

    assert (first, again) == (2, 1)
    assert values["query"].tolist() == [[11, 21], [10, 20]]


def test_a_row_that_changed_is_never_answered_with_its_old_result() -> None:
    store, results = store_of({"a": 1.0, "b": 2.0}), ItemResults(WIDTHS)
    asked(results, store, ["a", "b"])

    upsert(store, {"a": 7.0})
    values, missing = asked(results, store, ["a", "b"])

    assert missing == 1
    assert values["layer"][:, 0].tolist() == [7, 2]


def test_a_row_that_took_the_memory_of_a_deleted_one_has_its_own_result() -> None:
    store, results = store_of({"a": 1.0, "b": 2.0}), ItemResults(WIDTHS)
    asked(results, store, ["a", "b"])

    store.delete(ids(["a"]))
    values, _ = asked(results, store, ["a"])
    assert values["query"].tolist() == [[10, 20]]

    for price in range(20):  # until all free memory was used again
        upsert(store, {"c": float(price)})
        values, missing = asked(results, store, ["c", "b"])
        assert missing == 1
        assert values["layer"][:, 0].tolist() == [price, 2]


def test_a_pinned_reader_gets_the_result_of_its_version() -> None:
    store, results = store_of({"a": 1.0}), ItemResults(WIDTHS)
    with store.pin() as rows:
        old = found(rows, ["a"])
        upsert(store, {"a": 5.0})
        asked(results, store, ["a"])

        assert results.missing(old).tolist() == [0]
        results.add(old, computed(rows, old))
        whole, missing = results.with_results(inputs(1), old)

    assert missing.tolist() == []
    assert whole.floats[4:7].tolist() == [1, 2, 3]
    assert asked(results, store, ["a"])[0]["layer"].tolist() == [[5, 10, 15]]


def test_a_budget_keeps_what_is_asked_for_often() -> None:
    prices = {f"i{k}": float(k) for k in range(1000)}
    store = store_of(prices)
    results = ItemResults(WIDTHS, budget_bytes=200 * ItemResults(WIDTHS).bytes_per_item)
    hot = [f"i{k}" for k in range(50)]
    asked(results, store, hot)

    for start in range(50, 1000, 25):
        asked(results, store, hot)
        asked(results, store, [f"i{k}" for k in range(start, start + 25)])
    values, missing = asked(results, store, hot)

    assert missing == 0
    assert values["layer"][:, 0].tolist() == list(range(50))
    assert results.figures.items <= 200
    assert results.figures.evicted >= 800


def test_more_rows_than_the_budget_has_are_answered_all_the_same() -> None:
    prices = {f"i{k}": float(k) for k in range(1000)}
    results = ItemResults(WIDTHS, budget_bytes=120 * ItemResults(WIDTHS).bytes_per_item)

    values, missing = asked(results, store_of(prices), list(prices))

    assert missing == 1000
    assert values["layer"][:, 0].tolist() == list(range(1000))
    assert results.figures.items <= 120


def test_a_budget_for_a_handful_of_items_is_refused() -> None:
    with pytest.raises(DataError, match="item_results: 100 bytes hold 2 items of 44 bytes"):
        ItemResults(WIDTHS, budget_bytes=100)


@pytest.mark.parametrize("wrong", [(1, 3), (2, 4)])
def test_arrays_of_another_shape_are_refused(wrong: tuple[int, int]) -> None:
    store, results = store_of({"a": 1.0, "b": 2.0}), ItemResults(WIDTHS)
    with store.pin() as rows, pytest.raises(DataError, match="not what was declared"):
        results.add(found(rows, ["a", "b"]), {"layer": np.zeros(wrong), "query": np.zeros((2, 2))})


@pytest.mark.parametrize("entries", [0, 150])
def test_readers_see_the_version_they_pinned_whatever_is_written(entries: int) -> None:
    prices = {f"i{k}": float(k) for k in range(400)}
    store = store_of(prices)
    results = ItemResults(WIDTHS, budget_bytes=entries * ItemResults(WIDTHS).bytes_per_item)
    done, failures = threading.Event(), []

    def read(seed: int) -> None:
        random = np.random.default_rng(seed)
        while not done.is_set():
            keys = [f"i{k}" for k in random.integers(0, 400, 60)]
            with store.pin() as rows:
                some = found(rows, keys)
                whole, missing = results.with_results(inputs(len(keys)), some)
                if len(missing):
                    lacking = some.at(missing)
                    made = computed(rows, lacking)
                    results.fill(whole, missing, made)
                    results.add(lacking, made)
                expected = computed(rows, some)["layer"].reshape(-1)
            if not np.array_equal(whole.floats[4 : 4 + expected.size], expected):
                failures.append(keys)

    readers = [threading.Thread(target=read, args=(seed,)) for seed in range(3)]
    for reader in readers:
        reader.start()
    random = np.random.default_rng(9)
    for turn in range(300):
        chosen = random.integers(0, 400, 20)
        if turn % 5 == 4:
            store.delete(ids([f"i{k}" for k in chosen]))
        upsert(store, {f"i{k}": float(turn * 1000 + k) for k in chosen})
    done.set()
    for reader in readers:
        reader.join()

    assert not failures
