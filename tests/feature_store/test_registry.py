from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import yaml
from tests.feature_store.shop import REGISTRY

from recserve.errors import ConfigError
from recserve.feature_store.records import Feature
from recserve.feature_store.registry import load
from recserve.feature_store.types import TYPES
from recserve.sources.packed_rows import FIELD_TYPES

if TYPE_CHECKING:
    from pathlib import Path

ITEM_BASE = "fields: {iid: string, price: float, brand: string, updated: timestamp}"


def place_of(text: str, needle: str) -> str:
    """The line and column at which a text has something, as errors say them."""
    before = text[: text.index(needle)]
    return f"line {before.count(chr(10)) + 1}, column {len(before) - before.rfind(chr(10))}"


def error_of(folder: Path, text: str, name: str = "store.yaml") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        load(path)
    return str(error.value).replace(str(path), name)


def changed(*pairs: tuple[str, str]) -> str:
    text = REGISTRY
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


def test_there_are_twenty_eight_types_and_packed_rows_have_them_all() -> None:
    assert len(TYPES) == 28
    assert TYPES == FIELD_TYPES


def test_yaml_and_json_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "store.yaml").write_text(REGISTRY)
    (tmp_path / "store.json").write_text(json.dumps(yaml.safe_load(REGISTRY)))

    one, other = load(tmp_path / "store.yaml"), load(tmp_path / "store.json")

    assert (one.project, one.entities, one.views) == (other.project, other.entities, other.views)
    assert (one.labels, one.models) == (other.labels, other.models)


def test_a_view_without_a_feature_stands_for_all_of_it(tmp_path: Path) -> None:
    (tmp_path / "store.yaml").write_text(REGISTRY)

    assert load(tmp_path / "store.yaml").models["rank_v1"].features[-2:] == (
        Feature("clicks", "click_50_seq", "click_50_seq"),
        Feature("clicks", "play_2_seq", "play_2_seq"),
    )


def test_a_sequence_may_be_named_as_it_is_called_offline(tmp_path: Path) -> None:
    text = changed(("- {view: clicks}", "- {view: clicks, feature: plays}"))
    (tmp_path / "store.yaml").write_text(text)

    features = load(tmp_path / "store.yaml").models["rank_v1"].features

    assert features[-1] == Feature("clicks", "play_2_seq", "play_2_seq")


def test_a_key_is_the_join_id_unless_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "store.yaml").write_text(REGISTRY)
    views = load(tmp_path / "store.yaml").views

    assert (views["item_base"].key, views["item_live"].key) == ("iid", "item_id")


def test_types_are_taken_as_the_sdks_spell_them(tmp_path: Path) -> None:
    (tmp_path / "store.yaml").write_text(changed(("ages: array<int32>", "ages: 'ARRAY<INT32>'")))

    assert load(tmp_path / "store.yaml").views["user_base"].fields["ages"] == "array<int32>"


def test_yaml_is_read_plainly(tmp_path: Path) -> None:
    """No `no` becomes false and no date a date: a brand may be called so."""
    (tmp_path / "store.yaml").write_text(changed(("name: shop", "name: no")))

    assert load(tmp_path / "store.yaml").project.name == "no"


WRONG = [
    ("brand: string", "brand: strin", "strin,", "unknown type 'strin'; did you mean 'string'?"),
    ("feature: price", "feature: prise", "prise", "has no feature 'prise'; did you mean 'price'?"),
    ("view: item_base", "view: item_bse", "item_bse", "no view 'item_bse'; did you mean 'item_base'?"),
    ("entity: item", "entity: itme", "itme", "there is no entity 'itme'; did you mean 'item'?"),
    ("key: iid", "key: id", "id\n", "views.item_base.key: there is no field 'id'; did you mean 'iid'?"),
    ("event_time: updated", "event_tme: updated", "event_tme", "'event_tme'; did you mean 'event_time'?"),
    ("event_time: updated", "event_time: brand", "brand\n", "field 'brand' is string; it may be timestamp"),
    ("kind: stream", "kind: streem", "streem", "'streem' is none of its values; known: batch, stream"),
    ("ttl: 3600", "ttl: -1", "-1", "views.item_live.ttl: -1 is too small"),
    ("ttl: 3600", "ttl: 1h", "1h", "views.item_live.ttl: '1h' is not a number"),
    ("length: 50", "length: 0", "0,", "length: 0 is too small; the least is 1"),
    ("columns: [category]", "columns: [categry]", "{events: click,", "'categry'; did you mean 'category'?"),
    ("item: item\n", "items: item\n", "items", "unknown key 'items'; did you mean 'item'?"),
    ("label: impressions", "label: clicks", "clicks\n    features", "there is no label table 'clicks'"),
    ("entities:", "entitis:", "entitis", "unknown section 'entitis'; did you mean 'entities'?"),
    ("kind: file", "kind: postgres", "postgres", "'postgres' is none of its values"),
    ("{kind: file, path: offline}", "{kind: redis}", "{kind: redis}", "redis is reached by a 'url'"),
    ("alias: item_brand", "alias: price", "{view: item_base, feature: brand", "'price' is item_base.price"),
    ("alias: item_brand", "alias: user_id", "{view: item_base, feature: brand", "the join id of 'user'"),
    ("category: string", "category: array<string>", "array<string>", "behaviours have plain values"),
    ("price: float", "'#price': float", "'#price'", "names that begin with # are taken"),
    ("    play_time: seconds\n", "", "play_time_over", "play_time_over needs 'play_time'"),
    ("name: shop", "name: ''", "name: ''", "'name' is missing"),
]


@pytest.mark.parametrize(("old", "new", "where", "said"), WRONG, ids=[new or old for old, new, *_ in WRONG])
def test_a_mistake_is_told_with_its_place_and_the_way_out(
    tmp_path: Path, old: str, new: str, where: str, said: str
) -> None:
    text = changed((old, new))

    error = error_of(tmp_path, text)

    assert said in error
    assert place_of(text, where) in error


def test_all_mistakes_are_told_at_once_in_the_order_of_lines(tmp_path: Path) -> None:
    text = changed(("brand: string", "brand: strin"), ("ttl: 3600", "ttl: x"), ("length: 50", "length: many"))

    error = error_of(tmp_path, text)

    assert error.startswith("store.yaml: 3 problems\n  line 15,")
    assert [line.split(":")[1].strip() for line in error.splitlines()[1:]] == [
        "views.item_base.fields.brand",
        "views.item_live.ttl",
        "views.clicks.sequences.click_50_seq.length",
    ]


def test_places_are_right_in_json_too(tmp_path: Path) -> None:
    text = json.dumps(yaml.safe_load(changed(("brand: string", "brand: strin"))), indent=2)

    error = error_of(tmp_path, text, "store.json")

    assert place_of(text, '"strin"') in error
    assert "unknown type 'strin'" in error


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty"),
        ("- a\n", "an object (names and values) is expected at the top"),
        ("a: [1\n", "line 2, column 1: not YAML"),
        ("a: &x 1\nb: *x\n", "line 1, column 4: anchors and aliases are not read"),
        ("a: !!python/name:os.system x\n", "tags such as"),
        ("a: {b: 1, b: 2}\n", "line 1, column 11: 'b' stands twice, first in line 1"),
        ("a:\n  <<: {b: 1}\n", "line 2, column 3: merge keys (<<) are not read"),
        ("{a: " * 200 + "1" + "}" * 200, "nested more than 32 deep"),
        ("{a: " * 20_000, "nested more than 32 deep"),
        ("a: \x00\n", "not YAML"),
        ("entities: {}\n", "line 1, column 1: the section 'project' is missing"),
        ("project: shop\n", "project: an object is expected, not 'shop'"),
        ("project: {name: x}\nviews: [1]\n", "views: names and their objects are expected, not a list"),
        ("project: {name: x}\nviews: {v: 1}\n", "views.v: an object is expected, not 1"),
        ("project: {name: x}\nmodels: {m: {features: {a: 1}}}\n", "a list is expected, such as"),
    ],
    ids=lambda text: text[:20],
)
def test_what_is_no_registry_is_refused(tmp_path: Path, text: str, said: str) -> None:
    assert said in error_of(tmp_path, text)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store.yaml").write_bytes(b"project: {name: \xff}")

    with pytest.raises(ConfigError, match="byte 16 is not UTF-8"):
        load(tmp_path / "store.yaml")


def test_a_url_stays_out_of_messages(tmp_path: Path) -> None:
    error = error_of(tmp_path, changed(("{kind: file, path: online}", "{kind: 5, url: 'redis://:pw@h/'}")))
    other = error_of(tmp_path, changed(("{kind: file, path: online}", "{kind: redis, url: [secret]}")))

    assert "pw" not in error
    assert "secret" not in other
