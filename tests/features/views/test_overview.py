"""What a plan says about itself."""

from __future__ import annotations

import pytest
from tests.features.example import example, rows

from recserve.errors import ConfigError
from recserve.features import config
from recserve.features.generator import Generator
from recserve.features.plan import Plan
from recserve.features.views.overview import Line, chosen, lines, totals
from recserve.features.views.timing import measure


@pytest.fixture
def plan() -> Plan:
    return Plan(example(), tile=False)


def of(plan: Plan, name: str) -> Line:
    return next(line for line in lines(plan, candidates=200) if line.feature == name)


def test_features_stand_in_the_order_of_computation(plan: Plan) -> None:
    shown = [line.feature for line in lines(plan, candidates=200)]

    assert shown == list(plan.order)
    assert shown.index("price") < shown.index("age_x_price")


@pytest.mark.parametrize(
    ("name", "rate", "ready", "rows_"),
    [
        ("one", "const", "with the model", 0),
        ("price", "item", "in the item row", 0),
        ("city", "user", "once per request", 1),
        ("taste", "pair", "user:taste prepared once", 200),
        ("clicks__tags", "user", "elements in the item row", 0),
        ("clicks__price", "user", "elements in the item row, those of price", 0),
        ("clicks__ago", "user", "once per request", 3),
    ],
)
def test_a_feature_costs_the_rows_that_are_left_for_the_request(
    plan: Plan, name: str, rate: str, ready: str, rows_: int
) -> None:
    line = of(plan, name)

    assert (line.rate, line.ready, line.rows) == (rate, ready, rows_)


def test_an_item_feature_for_item_features_only_is_not_kept() -> None:
    stub = {"feature_type": "id_feature", "feature_name": "s", "expression": "item:x", "stub_type": True}
    reader = {"feature_type": "id_feature", "feature_name": "f", "expression": "feature:s", "num_buckets": 5}

    assert of(Plan(config.load({"features": [stub, reader]}), tile=False), "s").ready == (
        "for features in the item row"
    )


@pytest.mark.parametrize(
    ("name", "gives"),
    [
        ("age_x_price", "ids"),
        ("price", "id"),
        ("tag", "texts (stub)"),
        ("one", "number"),
        ("clicks__ago", "sequence of number"),
        ("clicks__tags", "sequence of ids"),
    ],
)
def test_what_a_feature_gives_is_said_in_words(plan: Plan, name: str, gives: str) -> None:
    assert of(plan, name).gives == gives


def test_the_tensors_are_those_that_the_model_gets(plan: Plan) -> None:
    named = [tensor for line in lines(plan, candidates=200) for tensor in line.tensors]

    assert sorted(named) == sorted(Generator(example()).tensors)


def test_inputs_of_members_say_whose_ids_they_are_looked_up_by(plan: Plan) -> None:
    assert of(plan, "clicks__price").reads == ("item:price at user:clicks",)
    assert of(plan, "age_x_price").reads == ("user:age", "feature:price")


def test_python_steps_are_marked() -> None:
    step = {"feature_type": "regex_replace_feature", "feature_name": "r", "regex_pattern": "x"}
    plan = Plan(config.load({"features": [{**step, "expression": "user:x", "num_buckets": 9}]}), tile=False)

    assert of(plan, "r").python


def test_totals_are_by_rate(plan: Plan) -> None:
    summed = {total.rate: (total.features, total.rows) for total in totals(lines(plan, candidates=10))}

    assert summed == {"const": (1, 0), "item": (2, 0), "user": (4, 4), "pair": (2, 20)}


def test_a_feature_is_chosen_with_all_that_it_reads(plan: Plan) -> None:
    assert chosen(plan, feature="taste") == ["tag", "taste"]
    assert chosen(plan, feature="taste", rate="pair") == ["taste"]


def test_a_mistyped_feature_gets_a_hint(plan: Plan) -> None:
    with pytest.raises(ConfigError, match="there is no feature 'tast'; did you mean 'taste'"):
        chosen(plan, feature="tast")


def test_measured_lines_have_the_time_of_a_row_at_its_rate(plan: Plan) -> None:
    timing = measure(Generator(example()), rows(), candidates=10)

    measured = {line.feature: line for line in lines(plan, candidates=10, timing=timing)}

    assert measured["price"].row_ns == timing.item_row["price"] == measured["clicks__price"].row_ns
    assert measured["taste"].row_ns == timing.request["taste"] / 10
    assert measured["city"].row_ns == measured["city"].request_ns == timing.request["city"]
    (item,) = (total for total in totals(measured.values()) if total.rate == "item")
    assert item.item_row_ns == pytest.approx(timing.item_row["price"] + timing.item_row["tag"])
