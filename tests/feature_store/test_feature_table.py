from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from tests.feature_store.shop import at, item_base, item_live, times, write_shop

from recserve.errors import DataError
from recserve.feature_store.feature_table import FeatureTable
from recserve.feature_store.registry import load
from recserve.sources.memory import MemorySource

if TYPE_CHECKING:
    from pathlib import Path

    from recserve.feature_store.records import View


@pytest.fixture
def views(tmp_path: Path) -> dict[str, View]:
    return dict(load(write_shop(tmp_path)).views)


def base_of(views: dict[str, View], source: MemorySource, **features: str) -> FeatureTable:
    return FeatureTable(source, views["item_base"], features, join_id="item_id")


def live_of(views: dict[str, View], source: MemorySource) -> FeatureTable:
    """The view's ttl is an hour, and now is noon."""
    noon = at(0).timestamp()
    return FeatureTable(source, views["item_live"], {"n": "clicks_1h"}, join_id="item_id", now=lambda: noon)


def rows_of(*batches: pa.RecordBatch) -> list[dict[str, Any]]:
    return [row for batch in batches for row in batch.to_pylist()]


def test_a_feature_may_have_several_names(views: dict[str, View]) -> None:
    table = base_of(views, MemorySource(item_base(), "iid"), price="price", cost="price")

    assert rows_of(*table.snapshot())[0] == {"item_id": "i1", "price": 1.5, "cost": 1.5}
    assert rows_of(*table.snapshot({"cost"}))[0] == {"item_id": "i1", "cost": 1.5}
    assert table.profile({"cost"}).nulls == {"cost": 1}
    assert table.profile({"cost"}).rows == 3


def test_types_are_those_of_the_registry(views: dict[str, View]) -> None:
    """A store may keep numbers wider, and moments in other units; a moment is milliseconds for a model."""
    wide = item_base().set_column(1, "price", pa.array([1.5, 2.5, 3.5], pa.float64()))
    table = base_of(views, MemorySource(wide, "iid"), price="price", updated="updated")

    (batch,) = table.snapshot()

    assert batch.schema == table.schema()
    assert batch.schema.types == [pa.string(), pa.float32(), pa.int64()]
    assert batch.column("updated")[0].as_py() == int(at(-60).timestamp() * 1000)


def test_changes_have_the_names_of_the_model(views: dict[str, View]) -> None:
    source = MemorySource(item_base(), "iid")
    table = base_of(views, source, item_brand="brand")
    cursor = table.cursor()
    source.write(pa.table({"iid": ["i9"], "brand": ["z"]}))
    source.delete(pa.array(["i1"]))

    changes = table.changes(cursor)

    assert rows_of(*changes.upserts) == [{"item_id": "i9", "item_brand": "z"}]
    assert changes.deleted is not None
    assert changes.deleted.to_pylist() == ["i1"]
    assert not table.changes(changes.cursor).upserts


def test_a_row_that_has_expired_when_it_comes_is_deleted(views: dict[str, View]) -> None:
    source = MemorySource(item_live(), "item_id")
    table = live_of(views, source)
    cursor = table.cursor()
    minutes = times(-1, -61, None, -60)
    source.write(pa.table({"item_id": ["a", "b", "c", "d"], "clicks_1h": [1, 2, 3, 4], "seen": minutes}))
    source.delete(pa.array(["i2"]))

    changes = table.changes(cursor)

    assert rows_of(*changes.upserts) == [{"item_id": "a", "n": 1}, {"item_id": "d", "n": 4}]
    assert changes.deleted is not None
    assert sorted(changes.deleted.to_pylist()) == ["b", "c", "i2"]


def test_a_row_that_has_expired_reads_as_nulls(views: dict[str, View]) -> None:
    table = live_of(views, MemorySource(item_live(), "item_id"))

    found = table.get(pa.array(["i2", "i1", "nothing", "i1"]))

    assert rows_of(found) == [
        {"item_id": "i2", "n": None},
        {"item_id": "i1", "n": 7},
        {"item_id": "nothing", "n": None},
        {"item_id": "i1", "n": 7},
    ]


def test_rows_that_may_expire_cannot_be_counted_unread(views: dict[str, View]) -> None:
    source = MemorySource(item_live(), "item_id")

    assert live_of(views, source).abilities == {"changes", "get"}
    forever = FeatureTable(source, replace(views["item_live"], ttl_s=0), {}, join_id="item_id")
    assert forever.abilities == {"changes", "profile", "get"}


def test_a_moment_is_that_of_the_table(views: dict[str, View]) -> None:
    source = MemorySource(item_base(), "iid")
    table = base_of(views, source, price="price")

    with table.moment() as moment:
        source.write(pa.table({"iid": ["i9"], "price": pa.array([9.0], pa.float32())}))
        assert len(rows_of(*table.snapshot(at=moment))) == 3
    assert len(rows_of(*table.snapshot())) == 4
    assert table.origin == source.origin


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            item_base().drop_columns("price"),
            "view 'item_base': table items has no column 'price'; columns: iid",
        ),
        (
            item_base().set_column(1, "price", [["a"] * 3]),
            "'price' of items is string and does not fit float",
        ),
    ],
)
def test_a_column_that_went_or_does_not_fit_is_told(
    views: dict[str, View], changed: pa.Table, said: str
) -> None:
    table = base_of(views, MemorySource(changed, "iid", name="items"), price="price")

    with pytest.raises(DataError, match=said):
        rows_of(table.schema().empty_table(), *table.snapshot())
