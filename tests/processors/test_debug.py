"""The table of debug levels, and what the levels say of requests, against hand-written texts."""

from __future__ import annotations

import logging
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.processors.asking import request
from tests.processors.clicks_service import OUTPUTS, write_clicks_bundle
from tests.processors.conftest import ITEMS, service_of

from recserve.bundle import Bundle
from recserve.columns import Batch, column_from_arrow
from recserve.config import service
from recserve.errors import RequestError, TooLargeError
from recserve.features.checks.debug_text import DebugText, Separators
from recserve.observe.trace import Trace
from recserve.processors import looking
from recserve.processors.debug import LEVELS, PLAIN, TENSOR_LEVELS
from recserve.processors.load import load
from recserve.processors.normal import Normal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from recserve.messages import ScoreRequest, ScoreResponse

USER = {"taste": "5", "likes": "a:0.5", "clicks": "i2;i3;nope", "clicks__ago": "0.5;1;2"}


@pytest.fixture(scope="module")
def rank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Normal]:
    folder = tmp_path_factory.mktemp("rank")
    bundle = Bundle.open(write_clicks_bundle(folder))
    with closing(load(bundle, service.load(service_of(), {}, base_dir=folder))) as processor:
        assert isinstance(processor, Normal)
        yield processor


def at(rank: Normal, level: int, asked: ScoreRequest) -> ScoreResponse:
    return rank.look(asked, LEVELS[level], Trace("r-1"))


# --- the table ---


def test_a_level_that_nobody_knows_is_plain() -> None:
    asked = (0, 1, 2, 3, 4, 5, 100, 101, 102, 903, 904, -1)

    assert [LEVELS.get(level, PLAIN).number for level in asked] == [
        0,
        1,
        2,
        3,
        0,
        0,
        100,
        0,
        102,
        903,
        904,
        0,
    ]
    assert not PLAIN.looks


@pytest.mark.parametrize("level", LEVELS.values(), ids=lambda level: str(level.number))
def test_a_level_that_only_scores_does_not_look(level: Any) -> None:
    assert level.looks == (level.number in {1, 2, 3, 102, 904})
    assert level.predicts == (level.number not in {1, 3})


def test_a_model_without_features_has_no_level_that_looks_at_them() -> None:
    assert sorted(TENSOR_LEVELS) == [0, 100, 903]
    assert not any(level.looks for level in TENSOR_LEVELS.values())


# --- texts ---


def test_level_1_tells_what_was_read_and_what_was_made_of_it_and_scores_nothing(rank: Normal) -> None:
    result = at(rank, 1, request(["i1", "i2"], user=USER, context={"hour": [7.5, 8.0]}))

    assert result.outputs == {}
    assert result.raw_features == {
        "i1": "cat:a|clicks:i2;i3;nope|clicks__ago:0.5;1;2|clicks__cat:b;;|hour:7.5|likes:a:0.5|price:1"
        "|tags:10\x1d20|taste:5",
        "i2": "cat:b|clicks:i2;i3;nope|clicks__ago:0.5;1;2|clicks__cat:b;;|hour:8|likes:a:0.5|price:2"
        "|tags:|taste:5",
    }
    assert result.generate_features == {
        "i1": "price:1|taste:5|likes:0.5|hour:7.5|tags:10\x1d20|clicks__cat:757;964;964|clicks__ago:0.5;1;2",
        "i2": "price:2|taste:5|likes:0|hour:8|tags:0|clicks__cat:757;964;964|clicks__ago:0.5;1;2",
    }


@pytest.mark.parametrize("level", [2, 102])
def test_level_2_adds_scores_and_the_models_inputs(rank: Normal, level: int) -> None:
    asked = request(["i1", "i2"], user=USER, context={"hour": [7.5, 8.0]})

    result = at(rank, level, asked)

    one = at(rank, 1, asked)
    assert (result.raw_features, result.generate_features) == (one.raw_features, one.generate_features)
    assert {name: scores.tolist() for name, scores in result.outputs.items()} == {
        name: scores.tolist() for name, scores in rank.score(asked).outputs.items()
    }
    inputs = {k: v for k, v in result.pass_through.items() if k.startswith("debug.input.")}
    assert inputs["debug.input.hour.values"] == "float32 [2, 1]: 7.5 8.0"
    assert inputs["debug.input.tags.values"] == "int64 [3]: 10 20 0"
    assert {name.removeprefix("debug.input.") for name in inputs} == set(rank.features.tensors)


def test_level_3_is_a_table_of_as_many_values_as_there_are_features(rank: Normal) -> None:
    result = at(rank, 3, request(["i1", "nope"], user=USER))

    assert result.outputs == {}
    assert result.raw_features == {}
    assert result.generate_features["i1"] == "1\x025\x020.5\x020\x0210\x1d20\x02757;964;964\x020.5;1;2"
    assert {len(text.split("\x02")) for text in result.generate_features.values()} == {len(OUTPUTS)}


def test_an_override_is_what_was_read(rank: Normal) -> None:
    result = at(rank, 1, request(["i1", "i2"], item_features={"price": [9.5, None], "cat": ["z", "y"]}))

    assert "|price:9.5|" in result.raw_features["i1"]
    assert result.raw_features["i1"].startswith("cat:z|")
    assert "|price:|" in result.raw_features["i2"]


@pytest.mark.parametrize("level", [1, 2, 3, 102])
def test_every_id_has_an_entry_unknown_and_repeated_ones_too(rank: Normal, level: int) -> None:
    result = at(rank, level, request(["i1", "nope", "", "i1"], user=USER))

    assert set(result.generate_features) == {"i1", "nope", ""}
    assert set(result.raw_features) == ({"i1", "nope", ""} if LEVELS[level].raw else set())


@pytest.mark.parametrize(("hours", "keys"), [(None, {"0"}), ([1.0, 2.0, 3.0], {"0", "1", "2"})])
@pytest.mark.parametrize("level", [1, 2, 3, 102])
def test_without_ids_a_row_has_its_number_and_a_user_alone_one_entry(
    rank: Normal, level: int, hours: list[float] | None, keys: set[str]
) -> None:
    asked = request([], user=USER, context={"hour": hours} if hours else None, rows=len(keys))

    result = at(rank, level, asked)

    assert set(result.generate_features) == keys
    assert not result.raw_features or set(result.raw_features) == keys


def test_the_raw_features_are_all_that_the_generated_ones_are_made_of(rank: Normal) -> None:
    """Generated again from the columns that are shown, naively, they are the same texts."""
    asked = request(
        ["i3", "i1", "nope"],
        user=USER,
        context={"hour": [1.0, None, 3.0]},
        item_features={"price": [None, 5.0, 6.0]},
    )
    with rank.items.pin() as rows:
        columns = rank._looking.columns.read(rows, asked)
    joined = Batch(3)
    for name, array in columns.items():
        joined.add(name, column_from_arrow(array))

    texts = DebugText(rank.features.plan).generated(rank.features.generate_columns(joined), rows=3)

    assert dict(zip(["i3", "i1", "nope"], texts, strict=True)) == at(rank, 1, asked).generate_features


def test_texts_are_utf8_whatever_the_items_have(tmp_path: Path) -> None:
    bundle = write_clicks_bundle(tmp_path)
    broken = pa.array([b"caf\xc3\xa9 \xff", b"b", None], pa.binary())
    pq.write_table(ITEMS.set_column(2, "cat", broken), tmp_path / "items.parquet")
    with closing(load(Bundle.open(bundle), service.load(service_of(), {}, base_dir=tmp_path))) as rank:
        assert isinstance(rank, Normal)
        raw = at(rank, 1, request(["i1"], user={"clicks": "i1"})).raw_features["i1"]

    assert raw.startswith("cat:café �|clicks:i1|clicks__cat:café �|")


def test_separators_are_the_services_choice(rank: Normal) -> None:
    separators = Separators(pair="\n", name="=", column=",", value="+", element="/")
    other = Normal(rank.items, rank.features, rank.engine, separators=separators)

    assert at(other, 1, request(["i1"], user=USER)).generate_features["i1"].splitlines()[-3:] == [
        "tags=10+20",
        "clicks__cat=757/964/964",
        "clicks__ago=0.5/1/2",
    ]
    assert at(other, 3, request(["i1"])).generate_features["i1"].startswith("1,1,0,0,10+20,")


@pytest.mark.parametrize("level", [1, 2, 102])
def test_texts_are_bounded(rank: Normal, level: int) -> None:
    asked = request(["i1"] * 50, user={"likes": "x" * 1_000_000})

    with pytest.raises(TooLargeError, match="ask for fewer items"):
        at(rank, level, asked)


def test_tensors_as_text_are_bounded(rank: Normal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "_MOST_OF_A_KIND", 1000)

    with pytest.raises(TooLargeError, match="ask for fewer items"):
        at(rank, 2, request(["i1"] * 10))


def test_raw_features_that_are_not_kept_are_refused_by_name_and_level_3_still_answers(
    scorer: Callable[..., Normal],
) -> None:
    rank = scorer(keep_raw_items=False)

    for level in (1, 2, 102):
        with pytest.raises(RequestError, match=r"keep_raw_items is false, so 'price', 'tags' is not kept"):
            at(rank, level, request(["i1"]))
    assert at(rank, 3, request(["i1"])).generate_features == {"i1": "1\x021\x020\x020\x0210\x1d20"}
    assert rank.item_texts(request(["i1"]))[0] == {"i1": "cat:a"}


# --- what is wrong, and what is missing ---


def test_what_is_wrong_is_refused_with_all_of_it(rank: Normal) -> None:
    asked = request(["i1", "i2"], user={**USER, "taste": "many"}, item_features={"price": ["cheap", "2"]})

    for level in (1, 2, 3):
        with pytest.raises(RequestError) as refused:
            at(rank, level, asked)
        assert str(refused.value).splitlines() == [
            f"not answered at debug level {level}, since the request does not fit:",
            "feature 'price' reads column 'price': 'cheap' is not a number in 1 of 2 rows",
            "feature 'taste' has the value 'many', which is not a number its bucketizer takes",
        ]


def test_members_of_a_sequence_that_differ_in_length_are_among_it(rank: Normal) -> None:
    asked = request(["i1"], user={"taste": "many", "clicks": "i1;i2", "clicks__ago": "1"})

    with pytest.raises(
        RequestError, match=r"'many'(.|\n)*'clicks__ago' and 'clicks__cat' .* have 1 and 2 steps"
    ):
        at(rank, 1, asked)


@pytest.mark.parametrize("level", [102, 904])
def test_what_is_wrong_is_logged_where_it_is_not_refused(
    rank: Normal, caplog: pytest.LogCaptureFixture, level: int
) -> None:
    asked = request(["i1"], user={**USER, "taste": "many"}, context={"hour": [1.0]})

    with caplog.at_level(logging.INFO, "recserve.debug"):
        result = at(rank, level, asked)

    (record,) = caplog.records
    assert record.getMessage() == "what a request lacks"
    logged = vars(record)
    assert (logged["request_id"], logged["level"], logged["rows"]) == ("r-1", level, 1)
    assert logged["wrong"] == [
        "feature 'taste' has the value 'many', which is not a number its bucketizer takes"
    ]
    assert result.outputs["score"].tolist() == rank.score(asked).outputs["score"].tolist()


def test_level_904_logs_what_neither_request_nor_items_have(
    rank: Normal, caplog: pytest.LogCaptureFixture
) -> None:
    asked = request(
        ["i1", "i3", "nope"],
        user={"clicks": "i1;nope", "clicks__ago": "1;2", "likes": ""},
        context={"hour": [1.0, None, 2.0]},
    )

    with caplog.at_level(logging.INFO, "recserve.debug"):
        at(rank, 904, asked)

    (record,) = caplog.records
    assert vars(record)["missing"] == {
        "user": {"likes": 1, "taste": 1},
        "context": {"hour": 1},
        "item": {"cat": 2, "price": 1, "tags": 1},
        "sequence": {"clicks__cat": 1},
    }


def test_a_request_that_lacks_nothing_is_not_logged(rank: Normal, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "recserve.debug"):
        at(rank, 904, request(["i1"], user={**USER, "clicks": "i1;i2;i1"}, context={"hour": [1.0]}))

    assert caplog.records == []


def test_what_clients_do_every_day_is_told_and_answered(rank: Normal) -> None:
    user = {**USER, "clicks": "i1;i2;i1", "tast": "x", "hour": 3.0}
    asked = request(["i1"], user=user, context={"hour": [1.0]})

    remarks = at(rank, 1, asked).pass_through["debug.remarks"].splitlines()

    assert remarks == [
        "no feature reads user column 'hour'; they read context column 'hour'",
        "no feature reads user column 'tast'; did you mean 'taste'?",
    ]


# --- captures ---


def test_captures_have_the_item_side_alone(rank: Normal) -> None:
    raw, generated = rank.item_texts(request(["i1", "nope"], user=USER, context={"hour": [7.5, 8.0]}))

    assert raw == {"i1": "cat:a|price:1|tags:10\x1d20", "nope": "cat:|price:|tags:"}
    assert generated == {
        "i1": "price:1|likes:0.5|hour:7.5|tags:10\x1d20",
        "nope": "price:0|likes:0|hour:8|tags:0",
    }


# --- the law ---

LIKES = st.sampled_from(["", "a", "a:0.5", "b:1\x1da:0.25", "é:1", "a:b:c"])
IDS = st.lists(st.sampled_from(["i1", "i2", "i3", "nope", ""]), min_size=1, max_size=5)


@st.composite
def requests(draw: st.DrawFn) -> ScoreRequest:
    ids = draw(IDS)
    rows = st.lists(st.floats(-5, 5), min_size=len(ids), max_size=len(ids))
    clicks = draw(IDS)
    user = {
        "likes": draw(LIKES),
        "unread": draw(LIKES),
        "taste": draw(st.sampled_from(["", "5", "7"])),
        "clicks": ";".join(clicks),
        "clicks__ago": ";".join(["0.5"] * len(clicks)),
    }
    hours, prices = draw(st.none() | rows), draw(st.none() | rows)
    return request(
        ids,
        user=user,
        context={"hour": hours} if hours else None,
        item_features={"price": prices} if prices else None,
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=requests())
def test_levels_never_change_scores(rank: Normal, asked: ScoreRequest) -> None:
    expected = rank.score(asked).outputs
    for level in LEVELS.values():
        outputs = rank.look(asked, level).outputs
        if level.predicts:
            assert outputs.keys() == expected.keys()
            for name, values in expected.items():
                np.testing.assert_array_equal(outputs[name], values)
        else:
            assert outputs == {}
