from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from tests.feature_store.shop import at, write_shop

from recserve.config.items import feature_store_settings
from recserve.errors import ConfigError
from recserve.feature_store.open import open_tables
from recserve.sources import open_source

if TYPE_CHECKING:
    from pathlib import Path

    from recserve.config.items import FeatureStoreSettings
    from recserve.feature_store.open import OpenedTable
    from recserve.source import Source, TableSpec

KEYS = {"fs_project": "shop", "fs_model": "rank_v1", "fs_entity": "item"}


def settings(**keys: Any) -> FeatureStoreSettings:
    found = feature_store_settings({**KEYS, **keys})
    assert found is not None
    return found


def rows_of(table: OpenedTable) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pa.Table.from_batches(
        table.source.snapshot(), table.source.schema()
    ).to_pylist()
    return rows


def test_the_model_says_which_columns_are_read_and_what_they_are_called(tmp_path: Path) -> None:
    write_shop(tmp_path)

    base, live = open_tables(settings(), tmp_path, open_source)

    assert base.source.key == live.source.key == "item_id"
    assert base.columns == {"price", "item_brand"}
    assert live.columns == {"clicks_1h"}
    assert rows_of(base) == [
        {"item_id": "i1", "price": 1.5, "item_brand": "a"},
        {"item_id": "i2", "price": 2.5, "item_brand": "b"},
        {"item_id": "i3", "price": None, "item_brand": None},
    ]


@pytest.mark.parametrize(("offline", "expected"), [("true", {"offline", "online"}), ("false", {"online"})])
def test_the_flag_chooses_the_store_but_streams_are_always_online(
    tmp_path: Path, offline: str, expected: set[str]
) -> None:
    write_shop(tmp_path)
    asked: dict[str, TableSpec] = {}

    def remember(kind: str, spec: TableSpec) -> Source:
        asked[spec.name] = spec
        return open_source(kind, spec)

    open_tables(settings(load_feature_from_offlinestore=offline), tmp_path, remember)

    assert {name.partition("/")[0] for name in asked} == expected
    assert asked["online/item_live.parquet"].timekey == "seen"
    assert all(not spec.timekey for name, spec in asked.items() if "live" not in name)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"fs_project": "shopp"}, "there is no project 'shopp' (fs_project); known: shop"),
        ({"fs_model": "rank_v2"}, "fs_model: there is no model 'rank_v2'; did you mean 'rank_v1'?"),
        ({"fs_entity": "item,books"}, "fs_entity: there is no entity 'books'; known: item, user"),
        ({"fs_entity": "user"}, "'clicks' is a sequence view of 'user'; sequences are looked up by user"),
        ({"fs_registry": "nowhere.yaml"}, "nowhere.yaml: cannot be read: No such file or directory"),
    ],
)
def test_a_wrong_name_is_told_with_those_that_are_known(
    tmp_path: Path, keys: dict[str, str], said: str
) -> None:
    write_shop(tmp_path)

    with pytest.raises(ConfigError) as error:
        open_tables(settings(**keys), tmp_path, open_source)

    assert said in str(error.value)


def test_a_model_without_the_entity_is_told_with_those_that_it_has(tmp_path: Path) -> None:
    registry = write_shop(tmp_path)
    registry.write_text(registry.read_text() + "  empty: {features: [{view: user_base, feature: city}]}\n")

    with pytest.raises(ConfigError, match=r"'empty' has no feature of item \(fs_entity\).*of: user"):
        open_tables(settings(fs_model="empty"), tmp_path, open_source)


def test_settings_that_no_place_asks_for_are_warned_about_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_shop(tmp_path)
    with caplog.at_level(logging.WARNING):
        open_tables(settings(region="eu", access_key_secret="s3cret"), tmp_path, open_source)

    (record,) = caplog.records
    assert vars(record)["settings"] == "region, access_key_secret"
    assert "s3cret" not in str(vars(record))


def test_places_may_ask_for_settings_and_for_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    registry = write_shop(tmp_path)
    text = registry.read_text()
    registry.write_text(text.replace("path: online", "path: '${region}${SHOP_STORE}'"))
    monkeypatch.setenv("SHOP_STORE", "line")

    base, _ = open_tables(settings(region="on"), tmp_path, open_source)

    assert len(rows_of(base)) == 3
    assert not caplog.records
    monkeypatch.delenv("SHOP_STORE")
    with pytest.raises(ConfigError, match=r"project.online.path needs \$\{SHOP_STORE\}, which is not set"):
        open_tables(settings(region="on"), tmp_path, open_source)


def test_a_view_that_is_not_online_is_read_offline_or_refused(tmp_path: Path) -> None:
    registry = write_shop(tmp_path)
    registry.write_text(registry.read_text().replace("key: iid", "key: iid\n    online: false"))

    with pytest.raises(ConfigError, match="'item_base' is not in the online store"):
        open_tables(settings(), tmp_path, open_source)
    assert len(open_tables(settings(load_feature_from_offlinestore=True), tmp_path, open_source)) == 2


def test_rows_that_have_expired_are_no_rows(tmp_path: Path) -> None:
    """The view's ttl is an hour; one row is 90 minutes old at noon, and one a minute."""
    from recserve.feature_store.feature_table import FeatureTable
    from recserve.feature_store.places import Tables
    from recserve.feature_store.registry import load

    registry = load(write_shop(tmp_path))
    view = registry.views["item_live"]
    source = Tables(registry, open_source).online(view)
    noon = at(0).timestamp()

    table = FeatureTable(source, view, {"clicks_1h": "clicks_1h"}, join_id="item_id", now=lambda: noon)

    assert pa.Table.from_batches(table.snapshot()).to_pylist() == [{"item_id": "i1", "clicks_1h": 7}]
    assert "profile" not in table.abilities
