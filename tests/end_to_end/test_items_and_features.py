"""Features finished in the item store give the model inputs that the raw columns give."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from recserve.columns import Batch, batch_from_arrow, column_from_arrow, to_arrow
from recserve.features.config import load
from recserve.features.generator import Generator
from recserve.items.store import ItemStore, column_types

if TYPE_CHECKING:
    from recserve.columns import ModelInputs
    from recserve.items.rows import ItemRows

ITEM = {"feature_type": "id_feature", "feature_name": "item_id", "expression": "item:item_id"}
CATEGORY = {"feature_type": "id_feature", "feature_name": "cate", "expression": "item:cate"}
PRICE = {
    "feature_type": "raw_feature",
    "feature_name": "price",
    "expression": "item:price",
    "default_value": "0",
}
CONFIG: dict[str, Any] = {
    "features": [
        {**ITEM, "hash_bucket_size": 100_000},
        {**CATEGORY, "vocab_list": ["a", "b", "c"], "default_value": "a", "value_dim": 1},
        {
            "feature_type": "id_feature",
            "feature_name": "tags",
            "expression": "item:tags",
            "separator": "|",
            "hash_bucket_size": 1000,
        },
        {**PRICE, "feature_name": "price_bucket", "boundaries": [1, 5, 10]},
        PRICE,
        {
            "feature_type": "raw_feature",
            "feature_name": "emb",
            "expression": "item:emb",
            "value_dim": 4,
            "default_value": "0",
        },
        {
            "feature_type": "id_feature",
            "feature_name": "user_id",
            "expression": "user:user_id",
            "hash_bucket_size": 1000,
        },
        {
            "feature_type": "lookup_feature",
            "feature_name": "taste",
            "map": "user:taste",
            "key": "item:cate",
            "default_value": "0",
        },
        {
            "feature_type": "combo_feature",
            "feature_name": "user_cate",
            "expression": ["user:user_id", "item:cate"],
            "hash_bucket_size": 5000,
        },
        {
            "sequence_name": "click",
            "sequence_length": 5,
            "sequence_delim": ";",
            "sequence_pk": "user:click",
            "features": [
                {**ITEM, "hash_bucket_size": 100_000, "default_value": "x"},
                {**CATEGORY, "vocab_list": ["a", "b", "c"], "default_value": "b"},
                PRICE,
            ],
        },
    ]
}


def item_table(rows: int) -> pa.Table:
    rng = random.Random(5)

    def maybe(value: Any) -> Any:
        return None if rng.random() < 0.2 else value

    return pa.table(
        {
            "item_id": [f"i{k}" for k in range(rows)],
            "cate": [maybe(rng.choice("abcd")) for _ in range(rows)],
            "tags": [maybe("|".join(rng.choices(["red", "new", "", "sale"], k=3))) for _ in range(rows)],
            "price": [maybe(rng.random() * 12) for _ in range(rows)],
            "emb": pa.array(
                [maybe([rng.random() for _ in range(4)]) for _ in range(rows)], pa.list_(pa.float32(), 4)
            ),
            "unused": ["dropped"] * rows,
        }
    )


TABLE = item_table(300)
USER = batch_from_arrow(
    {
        "user_id": pa.array(["u1"]),
        "taste": pa.array([["a:0.5", "c:2"]]),
        "click": pa.array(["i7;gone;i2;;i9;i1"]),
    }
)
CLICKED = ["i7", "gone", "i2", "", "i9"]  # as cut to sequence_length
IDS = ["i3", "i250", "nobody", "i3", None, "i0"]


@pytest.fixture(scope="module")
def generator() -> Generator:
    return Generator(load(CONFIG))


@pytest.fixture(scope="module")
def store(generator: Generator) -> ItemStore:
    store = ItemStore(
        "string",
        column_types(TABLE.schema, generator.raw_columns),
        finisher=generator.finisher,
        hides=generator.finished,
        always_raw=generator.pair_columns,
        limits=generator.finished_limits,
    )
    store.load(TABLE.to_batches(max_chunksize=64), key="item_id", threads=2)
    return store


def raw_rows(ids: list[str | None]) -> Batch:
    """All raw columns of the items, taken from the table in plain Python."""
    rows = {row["item_id"]: row for row in TABLE.to_pylist()}
    return batch_from_arrow(
        {
            name: pa.array([rows.get(i, {}).get(name) for i in ids], TABLE.schema.field(name).type)
            for name in TABLE.schema.names
        }
    )


def generate(generator: Generator, store: ItemStore, items: ItemRows) -> ModelInputs:
    with store.pin() as pinned:
        clicked = pinned.gather_lists(USER, generator.sequence_keys)
    return generator.generate(USER, Batch(len(IDS)), items.raw, items.finished, clicked, rows=len(IDS))


def unfinished(generator: Generator, raw: Batch) -> ModelInputs:
    clicked = {"click": (raw_rows(list(CLICKED)), Batch(len(CLICKED)))}
    return generator.generate(USER, Batch(len(IDS)), raw, Batch(len(IDS)), clicked, rows=len(IDS))


def assert_same(result: ModelInputs, expected: ModelInputs) -> None:
    assert result.int_sizes == expected.int_sizes
    assert result.float_sizes == expected.float_sizes
    np.testing.assert_array_equal(result.ints, expected.ints)
    np.testing.assert_array_equal(result.floats, expected.floats)


def gather(store: ItemStore, **overrides: list[Any]) -> ItemRows:
    with store.pin() as pinned:
        return pinned.gather(
            column_from_arrow(pa.array(IDS)),
            rows=len(IDS),
            overrides=batch_from_arrow({name: pa.array(cells) for name, cells in overrides.items()})
            if overrides
            else Batch(len(IDS)),
        )


def test_the_store_keeps_the_raw_columns_that_are_read_and_the_finished_ones(
    generator: Generator, store: ItemStore
) -> None:
    raw = {"item_id": "string", "cate": "string", "tags": "string", "price": "float64", "emb": "float32[4]"}

    assert store.columns == {**raw, **generator.finished_types}


def test_gathered_features_equal_those_of_the_raw_columns(generator: Generator, store: ItemStore) -> None:
    items = gather(store)

    assert set(items.raw.names) == {"cate"}
    assert set(items.finished.names) == set(generator.finished)
    assert_same(generate(generator, store, items), unfinished(generator, raw_rows(IDS)))


def test_finished_columns_are_what_the_finisher_makes_of_the_rows(
    generator: Generator, store: ItemStore
) -> None:
    items = gather(store)
    expected = generator.finisher.finish(raw_rows(IDS))

    for name in generator.finished:
        assert to_arrow(items.finished[name]).to_pylist() == to_arrow(expected[name]).to_pylist()


@pytest.mark.parametrize(
    "sent",
    [
        {"price": [3.5, 0.25, 7.0, None, 11.0, None]},
        {"cate": ["b", "", "c", None, "a", "d"], "tags": ["x|y", "", "z", None, "", ""]},
    ],
)
def test_sent_columns_hide_what_was_finished_from_them(
    generator: Generator, store: ItemStore, sent: dict[str, list[Any]]
) -> None:
    items = gather(store, **sent)
    raw = raw_rows(IDS)
    replaced = Batch(len(IDS))
    for name in raw.names:
        replaced.add(name, column_from_arrow(pa.array(sent[name])) if name in sent else raw[name])

    hidden = {name for name, reads in generator.finished.items() if reads & sent.keys()}
    assert set(items.finished.names) == set(generator.finished) - hidden
    assert set(items.raw.names) == {"cate", *sent}
    assert_same(generate(generator, store, items), unfinished(generator, replaced))
    known = [i is not None and i != "nobody" for i in IDS]
    brought = [any(cells[k] not in (None, "") for cells in sent.values()) for k in range(len(IDS))]
    assert items.known.tolist() == [a or b for a, b in zip(known, brought, strict=True)]


def test_without_ids_the_features_are_those_of_an_empty_row(generator: Generator, store: ItemStore) -> None:
    with store.pin() as pinned:
        items = pinned.gather(column_from_arrow(pa.array([], pa.string())), rows=len(IDS))

    assert_same(generate(generator, store, items), unfinished(generator, raw_rows([None] * len(IDS))))


def test_a_new_version_of_an_item_has_new_features(generator: Generator) -> None:
    store = ItemStore("string", {"price": "float64"}, finisher=generator.finisher)
    key = column_from_arrow(pa.array(["i1"]))
    for price in (2.0, 7.0):
        store.upsert(batch_from_arrow({"price": pa.array([price])}), key)

        with store.pin() as pinned:
            result = pinned.gather(key, rows=1).finished

        assert to_arrow(result["=price"]).to_pylist() == [price]
        assert to_arrow(result["=price_bucket"]).to_pylist() == [1 if price < 5 else 2]
