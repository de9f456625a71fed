from __future__ import annotations

from typing import Any

import pytest

from recserve.errors import ConfigError
from recserve.features import config
from recserve.features.plan import Plan, SequenceKey


def raw(name: str, source: str, **keys: Any) -> dict[str, Any]:
    return {
        "feature_type": "raw_feature",
        "feature_name": name,
        "expression": source,
        "default_value": "0",
        **keys,
    }


def expr(name: str, formula: str, *variables: str, **keys: Any) -> dict[str, Any]:
    return {
        "feature_type": "expr_feature",
        "feature_name": name,
        "expression": formula,
        "variables": list(variables),
        "default_value": "0",
        **keys,
    }


def combo(name: str, *inputs: str, **keys: Any) -> dict[str, Any]:
    return {
        "feature_type": "combo_feature",
        "feature_name": name,
        "expression": list(inputs),
        "hash_bucket_size": 10,
        "default_value": "0",
        **keys,
    }


def group(*members: dict[str, Any], **keys: Any) -> dict[str, Any]:
    return {"sequence_name": "s", "features": list(members), **keys}


def plan(*entries: dict[str, Any], tile: bool = False) -> Plan:
    return Plan(config.load({"features": list(entries)}), tile=tile)


@pytest.mark.parametrize(
    ("entry", "rate"),
    [
        (expr("f", "1 + 1"), "const"),
        (raw("f", "const:3"), "const"),
        (raw("f", "user:x"), "user"),
        (raw("f", "item:x"), "item"),
        (raw("f", "context:x"), "pair"),
        (combo("f", "user:x", "const:1"), "user"),
        (combo("f", "item:x", "const:1"), "item"),
        (combo("f", "item:x", "user:y"), "pair"),
        (expr("f", "x + rnd()", "item:x"), "pair"),
        (expr("f", "x", "item:x", normalizer="method=expression,expr=x*rnd()"), "pair"),
        (group(raw("f", "item:x")), "user"),
        (group(raw("f", "user:x")), "user"),
        (group(combo("f", "user:x", "item:y")), "user"),
        (group(raw("f", "context:x")), "pair"),
        (group(combo("f", "item:x", "item:y", sequence_fields=["x"])), "pair"),
    ],
)
def test_a_feature_changes_as_often_as_its_inputs(entry: dict[str, Any], rate: str) -> None:
    assert [feature.rate for feature in plan(entry).features] == [rate]


def test_rates_pass_through_references_in_any_order() -> None:
    result = plan(
        combo("pair", "feature:item", "feature:user"),
        combo("still_item", "feature:item", "const:1"),
        raw("item", "item:x", stub_type=True),
        raw("user", "user:x", stub_type=True),
    )

    assert {f.name: f.rate for f in result.features} == {
        "pair": "pair",
        "still_item": "item",
        "item": "item",
        "user": "user",
    }
    assert result.order.index("item") < result.order.index("pair")
    assert result.finished == {"=item": {"x"}, "=still_item": {"x"}}
    assert result.pair_columns == frozenset()


def test_a_stub_is_kept_in_the_item_row_only_where_another_rate_reads_it() -> None:
    result = plan(raw("stub", "item:x", stub_type=True), combo("f", "feature:stub", "item:y"))

    assert result.finished == {"=f": {"x", "y"}}


def test_raw_columns_that_pair_features_read_are_always_needed() -> None:
    result = plan(raw("a", "item:a"), combo("b", "user:u", "item:b"), raw("c", "context:c"))

    assert result.pair_columns == {"b"}
    assert result.raw_columns == {"a", "b"}
    assert result.user_inputs == {"u"}
    assert result.item_inputs == {"a", "b"}
    assert result.context_inputs == {"c"}


def test_members_read_gathered_rows_finished_where_they_can_be() -> None:
    result = plan(
        group(
            raw("price", "item:price"),
            combo("cross", "user:tag", "item:cate", sequence_fields=["cate"]),
            combo("both", "item:cate", "item:brand"),
            raw("time", "user:time"),
            sequence_pk="user:clicks",
            sequence_delim="|",
            sequence_length=7,
        )
    )

    assert result.sequence_keys == {
        "s": SequenceKey("clicks", "|", 7, frozenset({"cate", "brand"}), frozenset({"=s__price", "=s__both"}))
    }
    assert result.finished == {"=s__price": {"price"}, "=s__both": {"cate", "brand"}}
    assert result.user_inputs == {"clicks", "tag", "s__time"}
    assert result.item_inputs == {"s__price", "s__cate", "s__brand"}


def test_the_key_column_has_the_name_of_the_group_by_default() -> None:
    assert plan(group(raw("price", "item:price"))).sequence_keys["s"].column == "s"


def test_element_features_are_shared_where_the_definitions_agree() -> None:
    result = plan(
        raw("price", "item:price"),
        raw("scaled", "item:price", normalizer="method=log10"),
        group(raw("price", "item:price"), raw("scaled", "item:price", normalizer="method=log10,threshold=2")),
    )

    assert {f.name: f.element for f in result.features if f.element} == {
        "s__price": "=price",
        "s__scaled": "=s__scaled",
    }


def test_user_features_are_those_of_torcheasyrec() -> None:
    entries = [raw("u", "user:x"), combo("uc", "user:x", "const:1"), group(raw("f", "item:x"))]

    assert {f.name: f.is_user for f in plan(*entries).features} == {"u": True, "uc": False, "s__f": True}
    linked = plan(*entries, combo("more", "feature:uc", "user:y"), combo("none", "feature:u", "item:y"))
    assert {f.name: f.is_user for f in linked.features} == {
        "u": True,
        "uc": True,
        "s__f": True,
        "more": True,
        "none": False,
    }


@pytest.mark.parametrize("match_type", ["hit", "multihit"])
@pytest.mark.parametrize("key", ["category", "item"])
def test_all_is_no_input_of_a_match(match_type: str, key: str) -> None:
    match = {
        "feature_name": "f",
        "feature_type": "match_feature",
        "user": "user:map",
        "category": "user:c",
        "item": "user:i",
        "num_buckets": 1,
        "matchType": match_type,
    }

    one, both = plan({**match, key: "ALL"}), plan({**match, "category": "ALL", "item": "ALL"})

    assert [(f.is_user, f.rate) for f in (*one.features, *both.features)] == [(True, "user")] * 2
    assert both.user_inputs == {"map"}


@pytest.mark.parametrize(
    "entry",
    [
        group(raw("f", "context:x")),
        group(combo("f", "item:x", "item:y", sequence_fields=["x"])),
        group(combo("f", "item:x", "context:y")),
    ],
)
def test_a_member_that_differs_by_candidate_cannot_be_tiled(entry: dict[str, Any]) -> None:
    plan(entry)

    with pytest.raises(
        ConfigError, match="feature 's__f' is a user feature to a model exported with INPUT_TILE"
    ):
        plan(entry, tile=True)


def test_an_absent_column_has_the_type_of_the_number_that_reads_it() -> None:
    result = plan(combo("c", "user:a", "item:b"), raw("a", "user:a"), raw("b", "item:b", value_type="int64"))

    assert result.absent_types() == {"user": {"a": "float32"}, "context": {}, "item": {"b": "int64"}}
