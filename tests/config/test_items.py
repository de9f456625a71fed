"""Where items come from, as service files say it: the hosted product's keys, ours, and what contradicts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from recserve.config.items import FeatureStoreSettings, ItemSettings, Table, shown_url
from recserve.config.service import load
from recserve.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

FILE: dict[str, Any] = {"remote_type": "file", "tables": [{"name": "items.parquet", "key": "item_id"}]}
STORE = {"fs_project": "shop", "fs_model": "rank_v1"}

# Source: the hosted EasyRec processor's page; fg_mode is the one that is served here.
EASYREC_PAGE: dict[str, Any] = {
    "remote_type": "hologres",
    "url": "postgresql:// LTAIXXXXX:J6geXXXXXX@hgprecn-cn-xxxxx-vpc.hologres.aliyuncs.com:80/bigdata_rec",
    "tables": {"key": "goods_id", "name": "public.ali_rec_item_feature"},
    "period": 2880,
    "fg_mode": "normal",
    "outputs": "probs_ctr,probs_cvr",
}


def read(model_config: dict[str, Any], **more: Any) -> Any:
    return load({"model_config": {"fg_mode": "normal", **model_config}, **more}, {})


def test_the_page_of_the_hosted_cache_is_read_as_printed() -> None:
    spec = read(EASYREC_PAGE)

    assert spec.warnings == ()
    assert spec.feature_store is None
    assert spec.items == ItemSettings(
        remote_type="hologres",
        url=EASYREC_PAGE["url"].replace(" ", ""),  # the page prints a blank behind the scheme
        tables=(Table(name="public.ali_rec_item_feature", key="goods_id"),),
        period_minutes=2880.0,
    )


def test_every_key_of_a_table_is_read() -> None:
    table = {
        "name": "public.items",
        "key": "item_id",
        "value": "price, cat ,",
        "condition": "style_id<10000",
        "timekey": "updated_at",
    }
    still = {"name": "s.t", "key": "id", "value": ["colour"], "static": "true"}

    spec = read({**EASYREC_PAGE, "tables": [table, still], "period": "1440"})

    assert spec.warnings == ()
    assert spec.items.period_minutes == 1440.0
    assert spec.items.tables == (
        Table("public.items", "item_id", ("price", "cat"), "style_id<10000", "updated_at"),
        Table("s.t", "id", ("colour",), static=True),
    )


@pytest.mark.parametrize("static", [True, 1, "1", "true", "True"])
def test_switches_are_spelled_as_they_are_in_the_wild(static: Any) -> None:
    assert read({**FILE, "tables": {"name": "i", "key": "k", "static": static}}).items.tables[0].static


@pytest.mark.parametrize("offline", [True, "True", 1])
def test_every_key_of_the_feature_store_is_read(offline: Any) -> None:
    spec = read(
        {
            "region": "cn-beijing",
            "fs_project": "fs_demo",
            "fs_model": "fs_rank_v1",
            "fs_entity": "item, shop",
            "load_feature_from_offlinestore": offline,
            "access_key_id": "id",
            "access_key_secret": "secret",
            "featuredb_username": "somebody",
            "featuredb_passwd": "word",
            "fs_registry": "shop.yaml",
            "fs_user_entity": "user",
            "fs_user_timeout_ms": "15",
        }
    )

    assert spec.warnings == ()
    assert spec.items == ItemSettings()
    assert spec.feature_store == FeatureStoreSettings(
        project="fs_demo",
        model="fs_rank_v1",
        entities=("item", "shop"),
        offline=True,
        registry="shop.yaml",
        region="cn-beijing",
        access_key_id="id",
        access_key_secret="secret",
        featuredb_username="somebody",
        featuredb_password="word",
        featuredb_passwd="word",
        user_entity="user",
        user_timeout_ms=15,
    )


def test_a_feature_store_means_item_from_its_online_store_unless_said_otherwise() -> None:
    store = read(STORE).feature_store

    assert (store.entities, store.offline, store.user_entity) == (("item",), False, "")


@pytest.mark.parametrize("place", [FILE, {"remote_type": "none", "tables": []}])
def test_a_feature_store_beside_a_remote_type_is_a_leftover(place: dict[str, Any]) -> None:
    spec = read({**STORE, **place})

    assert (spec.feature_store, spec.warnings) == (None, ())


def test_tables_are_one_object_or_a_list_and_their_paths_start_at_the_service_file(tmp_path: Path) -> None:
    one = {**FILE, "tables": {"name": "data/items.parquet", "key": "item_id", "value": "brand, price"}}
    for model_config in (one, {**one, "tables": [one["tables"]]}):
        path = tmp_path / "service.json"
        path.write_text(json.dumps({"model_config": model_config}))

        spec = load(path, {})

        assert spec.items.tables == (Table("data/items.parquet", "item_id", ("brand", "price")),)
        assert spec.base_dir == tmp_path


@pytest.mark.parametrize(
    ("model_config", "message"),
    [
        ({"remote_type": "holo"}, "'holo' is none of its values; known: none, file, hologres"),
        (
            {"remote_type": "hologres", "tables": FILE["tables"]},
            'url is missing: "hologres" is reached by one',
        ),
        (
            {"remote_type": "redis", "tables": FILE["tables"], "url": " "},
            'such as "redis://:password@host:6379/0"',
        ),
        ({**FILE, "tables": FILE["tables"] * 2}, "'items.parquet' is listed twice; list it once, or"),
        ({**FILE, "tables": {"name": " ", "key": ""}}, "name and key are empty"),
        ({**FILE, "tables": {"key": "k"}}, "model_config.tables.name is missing: The table"),
        (
            {
                **FILE,
                "tables": [{"name": "a", "key": "k"}, {"name": "b", "key": "k"}],
                "keep_raw_items": False,
            },
            "keep_raw_items is false, but rows of several tables are merged from them",
        ),
        ({**FILE, "refresh_mode": "copy"}, "'copy' is none of its values; known: diff, swap"),
        ({**FILE, "period": -1}, "model_config.period: -1 is too small; the least is 0 min"),
        ({**FILE, "period": True}, "model_config.period: True is not a number"),
        ({"tables": FILE["tables"], **STORE}, "fs_project names a feature store, which says itself"),
        ({"fs_project": "shop"}, "fs_model is missing: the model feature says which columns"),
        ({"fs_model": "rank_v1"}, "fs_model is given, but fs_project is not"),
        ({"fs_user_entity": "user"}, "fs_user_entity is given, but fs_project is not"),
        (
            {**FILE, **STORE, "fs_user_entity": "user"},
            'look-ups in the feature store, but remote_type is "file"',
        ),
        (
            {**STORE, "featuredb_password": "hidden-a", "featuredb_passwd": "hidden-b"},
            "mean the same and differ; keep one of them",
        ),
    ],
)
def test_what_contradicts_is_refused(model_config: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read(model_config)
    assert message in str(raised.value)
    assert "hidden" not in str(raised.value)


@pytest.mark.parametrize("port", [-2, 70_000])
def test_an_admin_port_that_is_none_is_refused(port: int) -> None:
    with pytest.raises(ConfigError, match=r"metadata\.rpc\.admin_port: -?\d+ is too (small|large)"):
        load({"metadata": {"rpc": {"admin_port": port}}}, {})


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("fs_projct", "fs_project"),
        ("remote_typ", "remote_type"),
        ("load_feature_from_offline_store", "load_feature_from_offlinestore"),
        ("featuredb_pass", "featuredb_passwd"),
        ("item_snapshots", "item_snapshot"),
    ],
)
def test_a_key_that_is_nearly_right_is_told(key: str, near: str) -> None:
    assert read({key: "x"}).warnings == (f"unknown key 'model_config.{key}': did you mean '{near}'?",)


def test_what_is_hardly_meant_is_said() -> None:
    assert (
        "whoever reaches the admin port may change items"
        in read(FILE, metadata={"rpc": {"admin_port": 1}}).warnings[0]
    )
    assert 'fg_mode is "bypass"' in read({**FILE, "fg_mode": "bypass"}).warnings[0]
    assert read(FILE, token="t", metadata={"rpc": {"admin_port": 1}}).warnings == ()


def test_the_admin_port_has_tokens_of_its_own_which_may_hold_a_comma() -> None:
    assert read(FILE, admin_token="a,b").admin_tokens == ("a,b",)
    assert read(FILE, admin_token=["new", "old"]).admin_tokens == ("new", "old")
    with pytest.raises(ConfigError, match="only printable ASCII") as raised:
        read(FILE, admin_token="hidden word")
    assert "hidden" not in str(raised.value)


def test_everything_secret_is_known_as_such_and_in_no_repr() -> None:
    of_database = read(
        {**EASYREC_PAGE, "url": "postgresql://u:hidden%2F1@h/db"}, token="hidden-2", admin_token="hidden-3"
    )
    of_store = read(
        {
            **STORE,
            "access_key_id": "hidden-4",
            "access_key_secret": "hidden-5",
            "featuredb_password": "hidden-6",
        }
    )
    of_bucket = read({**FILE, "tables": {"name": "s3://u:hidden-7@b/i", "key": "k"}})

    assert of_database.secrets == ("hidden-2", "hidden-3", "hidden%2F1", "hidden/1")
    assert of_store.secrets == ("hidden-4", "hidden-5", "hidden-6")
    assert of_bucket.secrets == ("hidden-7",)
    assert "hidden" not in repr(of_database) + repr(of_store) + repr(of_bucket.items)
    assert read(STORE).secrets == ()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:p@host:5432/db", "postgresql://u:***@host:5432/db"),
        ("postgresql://u:p/w@x@host/db", "postgresql://u:***@host/db"),
        ("redis://:p@host:6379/0", "redis://:***@host:6379/0"),
        (
            "postgresql://host/db?user=u&password=p&sslmode=require",
            "postgresql://host/db?user=u&password=***&sslmode=require",
        ),
        ("postgresql://host:5432/db", "postgresql://host:5432/db"),
        ("s3://bucket/a@b:c/items.parquet", "s3://bucket/a@b:c/items.parquet"),
        ("items.parquet", "items.parquet"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert shown_url(url) == shown
