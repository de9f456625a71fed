from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from tests.processors.asking import request

from recserve.columns import Batch, column_from_arrow
from recserve.messages import ScoreRequest
from recserve.observe.trace import Trace
from recserve.processors.normal import fill_missing

if TYPE_CHECKING:
    from collections.abc import Callable

    from recserve.processors.normal import Normal


@pytest.fixture
def rank(scorer: Callable[..., Normal]) -> Normal:
    return scorer()


def scores(rank: Normal, asked: ScoreRequest, output: str = "score") -> list[float]:
    return [float(score) for score in rank.score(asked).outputs[output]]


def test_items_users_and_context_all_count(rank: Normal) -> None:
    asked = request(
        ["i1", "i2", "i3"],
        user={"taste": "5", "likes": "a:0.5\x1db:0.25"},
        context={"hour": [10.0, 20.0, 30.0]},
    )

    assert scores(rank, asked) == [1 + 5 + 0.5 + 10, 2 + 5 + 0.25 + 20, 3 + 5 + 0 + 30]
    assert scores(rank, asked, "tags") == [30, 0, 500]


def test_rows_come_in_the_order_of_the_request_and_duplicates_keep_theirs(rank: Normal) -> None:
    assert scores(rank, request(["i3", "i1", "i3", "i3"])) == [4, 2, 4, 4]


def test_an_unknown_item_scores_item_empty_score_and_others_are_unchanged(rank: Normal) -> None:
    trace = Trace()

    result = rank.score(request(["i1", "nope", "", "i2"]), trace)

    assert result.outputs["score"].tolist() == [2, -1, -1, 3]
    assert result.outputs["tags"].tolist() == [30, -1, -1, 0]
    assert trace.missing_items == 2


def test_an_unknown_item_that_brings_a_column_is_scored(rank: Normal) -> None:
    asked = request(["nope", "other"], item_features={"price": [7.0, None]})

    assert scores(rank, asked) == [8, -1]


def test_what_the_request_sends_wins_over_the_store_even_when_it_is_empty(rank: Normal) -> None:
    asked = request(["i1", "i2", "i3"], item_features={"price": [10.0, None, 30.0]})

    assert scores(rank, asked) == [11, 1, 31]


def test_without_ids_nothing_is_unknown(rank: Normal) -> None:
    asked = request([], context={"hour": [1.0, 2.0]}, rows=2)

    assert scores(rank, asked) == [2, 3]


def test_a_single_context_entry_stands_for_all_items(rank: Normal) -> None:
    context = Batch(2)
    context.add("hour", column_from_arrow(pa.array([5.0])))
    asked = request(["i1", "i2"])
    asked = ScoreRequest(asked.user, asked.item_ids, context, asked.item_features, 2)

    assert scores(rank, asked) == [7, 8]


def test_every_stage_is_timed(rank: Normal) -> None:
    trace = Trace()

    rank.score(request(["i1"]), trace)

    assert list(trace.wall_ns) == ["look_up", "generate", "run"]


def test_a_sample_asks_for_items_that_nobody_knows(rank: Normal) -> None:
    assert scores(rank, rank.sample(3)) == [-1, -1, -1]


def test_the_signature_names_request_columns_and_outputs(rank: Normal) -> None:
    signature = rank.signature()

    assert {(entry.name, entry.shape) for entry in signature.inputs} == {
        ("taste", ()),
        ("likes", ()),
        ("hour", (-1,)),
        ("price", (-1,)),
        ("cat", (-1,)),
        ("tags", (-1,)),
    }
    assert [entry.name for entry in signature.outputs] == ["score", "tags"]


def test_gauges_tell_the_rows_of_the_store(rank: Normal) -> None:
    assert rank.gauges()["recserve_item_rows"][1] == 3


def test_gauges_tell_what_was_answered_as_missing_by_feature(rank: Normal) -> None:
    sentence, by_feature = rank.gauges()["recserve_features_problems_total"]
    before = dict(by_feature) if isinstance(by_feature, dict) else {}

    rank.score(rank.sample(2), Trace("id"))

    _, by_feature = rank.gauges()["recserve_features_problems_total"]
    assert isinstance(by_feature, dict)
    grown = {labels for labels, count in by_feature.items() if count > before.get(labels, 0)}
    assert sentence
    assert grown
    assert all(dict(labels)["kind"] == "missing_column" for labels in grown)


@pytest.mark.parametrize("shape", [(3,), (3, 1), (3, 2), (3, 2, 2)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_the_empty_score_fills_whatever_shape_a_row_has(shape: tuple[int, ...], dtype: str) -> None:
    values = np.ones(shape, dtype)

    filled = fill_missing({"y": values}, np.array([True, False, True]), -7.0)["y"]

    assert filled.shape == shape
    assert filled.dtype == dtype
    assert (filled[1] == -7).all()
    assert (filled[[0, 2]] == 1).all()
    assert (values == 1).all()
