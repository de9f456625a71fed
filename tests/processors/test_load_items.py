"""From a service file to items in memory: tables of every kind, merged, pruned, kept and closed."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.feature_store.shop import write_shop
from tests.processors.conftest import FEATURES, ITEMS, SUMS, service_of, write_bundle

from recserve import sources
from recserve.bundle import Bundle
from recserve.columns import column_from_arrow
from recserve.config import service
from recserve.errors import ConfigError, DataError, RequestError
from recserve.items.keeper import Keeper
from recserve.items.store import ItemStore
from recserve.processors.load import load_features
from recserve.processors.load_items import droppable, fingerprint_of
from recserve.sources.files import FileSource

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from recserve.processors.normal import Normal
    from recserve.source import TableSpec

#: What the items score, beside the 1 of a user without taste: their price.
PRICES = {"i1": 1.0, "i2": 2.0, "i3": 3.0}


def scores(rank: Normal, *ids: str) -> list[float]:
    request = rank.sample(len(ids))
    ids_column = column_from_arrow(pa.array(ids, pa.string()))
    asked = type(request)(request.user, ids_column, request.context, request.item_features, request.rows)
    return [float(score) - 1.0 for score in rank.score(asked).outputs["score"]]


def test_items_of_a_table_are_scored(scorer: Callable[..., Normal]) -> None:
    assert scores(scorer(), *PRICES) == list(PRICES.values())


def test_several_tables_are_one_row_and_a_later_one_counts(
    bundle: Path, scorer: Callable[..., Normal]
) -> None:
    later = pa.table({"id": ["i2", "i9"], "price": pa.array([20.0, 90.0], pa.float32())})
    pq.write_table(later, bundle.parent / "prices.parquet")
    tables = [{"name": "items.parquet", "key": "item_id"}, {"name": "prices.parquet", "key": "id"}]

    rank = scorer(tables=tables)

    assert scores(rank, "i1", "i2", "i3", "i9") == [1.0, 20.0, 3.0, 90.0]
    assert rank.items.figures().rows == 4


@pytest.mark.parametrize(("overwrites", "price"), [(True, 0.0), (False, 2.0)])
def test_a_later_null_hides_a_value_unless_told_otherwise(
    bundle: Path, scorer: Callable[..., Normal], overwrites: bool, price: float
) -> None:
    later = pa.table({"item_id": ["i2"], "price": pa.array([None], pa.float32())})
    pq.write_table(later, bundle.parent / "prices.parquet")
    tables = [{"name": name, "key": "item_id"} for name in ("items.parquet", "prices.parquet")]

    assert scores(scorer(tables=tables, null_overwrites=overwrites), "i2") == [price]


def test_strict_looks_at_all_tables_together(bundle: Path, scorer: Callable[..., Normal]) -> None:
    pq.write_table(ITEMS.select(["item_id", "price"]), bundle.parent / "prices.parquet")
    pq.write_table(ITEMS.select(["item_id", "cat"]), bundle.parent / "cats.parquet")
    pq.write_table(ITEMS.select(["item_id", "tags"]), bundle.parent / "tags.parquet")
    three = [{"name": f"{name}.parquet", "key": "item_id"} for name in ("prices", "cats", "tags")]

    assert scores(scorer(tables=three, item_columns="strict"), *PRICES) == list(PRICES.values())
    with pytest.raises(
        ConfigError, match=r"tables prices\.parquet, cats\.parquet lack columns .*: tags; add"
    ):
        scorer(tables=three[:2], item_columns="strict")


def test_only_columns_that_features_read_are_loaded(bundle: Path, scorer: Callable[..., Normal]) -> None:
    wide = ITEMS.append_column("unread", pa.array([b"x" * 1000] * 3))
    pq.write_table(wide, bundle.parent / "items.parquet")

    rank = scorer()

    assert isinstance(rank.items, Keeper)
    assert set(rank.items.layout.columns) == {"price", "cat", "tags"}


def test_the_id_is_loaded_as_a_feature_whatever_value_names(
    tmp_path: Path, loaded: Callable[..., Any]
) -> None:
    own_id = {
        "feature_type": "id_feature",
        "feature_name": "own",
        "expression": "item:item_id",
        "hash_bucket_size": 9,
    }
    sums = {**SUMS, "own": ["own.values", "own.lengths"]}
    bundle = write_bundle(tmp_path / "other", features=[*FEATURES, own_id], sums=sums)
    table = {"name": "items.parquet", "key": "item_id", "value": "price,cat,tags"}

    rank = loaded(service_of(tables=table, item_columns="strict"), bundle)

    assert rank.items.layout.columns["item_id"] == "string"


# --- raw columns that are not kept ---


def test_columns_that_only_single_input_item_features_read_can_be_dropped(bundle: Path) -> None:
    features = load_features(Bundle.open(bundle), service.load(service_of(), {}))

    assert droppable(features) == {"price", "tags"}  # cat is looked up in the user's map


def test_dropped_columns_score_the_same_and_cannot_be_sent(scorer: Callable[..., Normal]) -> None:
    kept, dropped = scorer(), scorer(keep_raw_items=False)

    assert scores(dropped, *PRICES, "nobody") == scores(kept, *PRICES, "nobody")
    assert isinstance(dropped.items, Keeper)
    assert {"price", "tags"}.isdisjoint(dropped.items.store.raw_columns)
    with pytest.raises(RequestError, match=r"'price'.*keep_raw_items"):
        dropped.score(sent(dropped, price=[7.0]))
    assert kept.score(sent(kept, price=[7.0])).outputs["score"].tolist() == [8.0]


def sent(rank: Normal, **columns: list[Any]) -> Any:
    from recserve.columns import batch_from_arrow

    request = rank.sample(1)
    items = batch_from_arrow({name: pa.array(cells) for name, cells in columns.items()})
    return type(request)(request.user, request.item_ids, request.context, items, 1)


# --- other places ---


def test_items_come_from_a_feature_store(tmp_path: Path, loaded: Callable[..., Any]) -> None:
    features = [
        {
            "feature_type": "raw_feature",
            "feature_name": "price",
            "expression": "item:price",
            "default_value": "0",
        },
        {
            "feature_type": "raw_feature",
            "feature_name": "clicks",
            "expression": "item:clicks_1h",
            "default_value": "0",
        },
    ]
    bundle = write_bundle(
        tmp_path / "shop", features=features, sums={"score": ["price.values", "clicks.values"]}
    )
    write_shop(tmp_path / "shop")
    document = {
        "name": "rank",
        "model_config": {
            "fg_mode": "normal",
            "fs_project": "shop",
            "fs_model": "rank_v1",
            "fs_entity": "item",
            "load_feature_from_offlinestore": True,
        },
    }

    rank = loaded(document, bundle)

    assert rank.items.figures().rows == 3
    assert [table.name for table in rank.items.status().tables] == [
        "item_base (item_base.parquet)",
        "item_live (item_live.parquet)",
    ]


def test_without_tables_items_are_those_that_operators_post(bundle: Path, loaded: Callable[..., Any]) -> None:
    document = service_of()
    document["model_config"] |= {"remote_type": "none", "tables": []}
    document["metadata"]["rpc"]["admin_port"] = -1

    rank = loaded(document)

    assert rank.kept_items.key_column == "item_id"
    assert dict(rank.kept_items.types) == {"price": "float32", "cat": "string", "tags": "string"}
    rows = pa.table({"item_id": ["x1"], "price": pa.array([4.5], pa.float32())})
    rank.kept_items.change([rows], None)
    assert scores(rank, "x1") == [4.5]


def test_without_tables_and_operators_nothing_is_kept(loaded: Callable[..., Any]) -> None:
    document = service_of()
    document["model_config"] |= {"remote_type": "none", "tables": []}

    rank = loaded(document)

    assert isinstance(rank.items, ItemStore)
    assert rank.kept_items is None
    assert rank.items.figures().rows == 0


# --- the end ---


class Counted(FileSource):
    """Files that count how many of them are open."""

    opened = 0
    closed = 0

    @classmethod
    def open(cls, spec: TableSpec) -> Counted:
        source = super().open(spec)
        Counted.opened += 1
        return source  # type: ignore[return-value]

    def close(self) -> None:
        Counted.closed += 1
        super().close()


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> type[Counted]:
    Counted.opened = Counted.closed = 0
    monkeypatch.setitem(sources.SOURCES, "file", f"{Counted.__module__}:Counted")
    return Counted


def test_sources_and_threads_end_with_the_processor(
    counted: type[Counted], scorer: Callable[..., Normal]
) -> None:
    before = set(threading.enumerate())

    rank = scorer(period=1)
    rank.close()

    assert (counted.opened, counted.closed) == (1, 1)
    for thread in set(threading.enumerate()) - before:
        if "items" in thread.name:
            thread.join(20)
            assert not thread.is_alive()
    assert scores(rank, "i1") == [1.0]  # a request that is still in work reads what it needs


@pytest.mark.parametrize(
    "tables",
    [
        [{"name": "items.parquet", "key": "item_id"}, {"name": "nowhere.parquet", "key": "item_id"}],
        [{"name": "items.parquet", "key": "item_id", "value": "colour"}],
        [{"name": "items.parquet", "key": "cat"}],
    ],
)
def test_sources_are_closed_when_loading_fails(
    counted: type[Counted], scorer: Callable[..., Normal], tables: list[Any]
) -> None:
    with pytest.raises((ConfigError, DataError)):
        scorer(tables=tables)

    assert counted.closed == counted.opened == len(tables)


# --- a start from the snapshot file ---


def test_a_snapshot_file_is_written_and_read_again(
    bundle: Path, scorer: Callable[..., Normal], caplog: pytest.LogCaptureFixture
) -> None:
    first = scorer(item_snapshot="items.snapshot")
    assert first.kept_items is not None
    assert first.kept_items.save()["bytes"] == (bundle.parent / "items.snapshot").stat().st_size
    first.close()

    again = scorer(item_snapshot="items.snapshot")

    assert isinstance(again.items, Keeper)
    image = again.items.status().image
    assert image is not None
    assert image.loaded
    assert scores(again, *PRICES, "nobody") == scores(first, *PRICES, "nobody")


def test_a_snapshot_of_other_features_is_finished_anew(bundle: Path, scorer: Callable[..., Normal]) -> None:
    first = scorer(item_snapshot="items.snapshot")
    assert first.kept_items is not None
    first.kept_items.save()
    first.close()
    doubled = [
        {**feature, "normalizer": "method=expression,expr=x*2"}
        if feature["feature_name"] == "price"
        else feature
        for feature in FEATURES
    ]
    (bundle / "fg.json").write_text(json.dumps({"features": doubled}))

    assert scores(scorer(item_snapshot="items.snapshot"), *PRICES) == [2.0, 4.0, 6.0]


def test_a_snapshot_that_nobody_asked_for_is_an_error_that_says_how(scorer: Callable[..., Normal]) -> None:
    kept = scorer().kept_items
    assert kept is not None

    with pytest.raises(DataError, match=r'no snapshot file; write "item_snapshot"'):
        kept.save()


# --- what an item snapshot was made by ---


def test_a_fingerprint_changes_with_whatever_finishes_rows(bundle: Path) -> None:
    def made_by(environ: dict[str, str] | None = None, **model_config: Any) -> str:
        return fingerprint_of(bundle / "fg.json", service.load(service_of(**model_config), environ or {}))

    seen = [made_by(), made_by(keep_raw_items=False), made_by({"USE_FARM_HASH_TO_BUCKETIZE": "1"})]

    assert len(set(seen)) == len(seen)
    assert made_by(period=5, url="postgresql://u:secret@h/db") == seen[0]
    (bundle / "fg.json").write_text((bundle / "fg.json").read_text().replace("100", "101"))
    assert made_by() != seen[0]


def test_a_fingerprint_changes_with_the_files_that_features_name(bundle: Path) -> None:
    spec = service.load(service_of(), {})
    (bundle / "fg.json").write_text('{"features": [{"vocab_file": "words.txt"}]}')
    (bundle / "words.txt").write_text("a\nb\n")
    before = fingerprint_of(bundle / "fg.json", spec)
    (bundle / "other.txt").write_text("nobody reads this")
    same = fingerprint_of(bundle / "fg.json", spec)
    (bundle / "words.txt").write_text("b\na\n")

    assert before == same != fingerprint_of(bundle / "fg.json", spec)
