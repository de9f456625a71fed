"""Debug levels over HTTP, read with protobuf's own message classes."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.conformance.asking import ask, post
from tests.processors.conftest import service_of, write_bundle
from tests.server.conftest import Running, running_bundle

from recserve.messages import TensorRequest
from recserve.processors.debug import LEVELS
from recserve.wire import tensors
from recserve.wire.descriptors import message_class

if TYPE_CHECKING:
    from collections.abc import Iterator

PBResponse = message_class("com.alibaba.pairec.processor.PBResponse")
USER = {"taste": "5", "likes": "a:0.5"}


@pytest.fixture(scope="module")
def rank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    bundle = write_bundle(tmp_path_factory.mktemp("rank"))
    with running_bundle(bundle, service_of()) as server:
        yield server


def answer(rank: Running, asked: Any, level: int, **meta: str) -> Any:
    asked.debug_level = level
    asked.meta_data.update(meta)
    response = post(rank, asked)
    assert response.status == 200, response.data
    return PBResponse.FromString(response.data)


def scores(response: Any) -> dict[str, list[float]]:
    return {name: list(tensor.float_val) for name, tensor in response.map_outputs.items()}


def record_of(caplog: pytest.LogCaptureFixture, message: str) -> dict[str, Any]:
    """The log line, which is written when the answer has been sent."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        for record in list(caplog.records):
            if record.getMessage() == message:
                return vars(record)
        time.sleep(0.002)
    raise AssertionError(f"{message!r} was not logged")


@pytest.mark.parametrize("level", [0, 4, 100, 101, 903, 904, 77, -5])
def test_levels_that_score_answer_what_0_answers(rank: Running, level: int) -> None:
    plain = post(rank, ask("i1", "nope", "i3", user=USER))

    asked = ask("i1", "nope", "i3", user=USER)
    asked.debug_level = level
    response = post(rank, asked)

    assert PBResponse.FromString(response.data) == PBResponse.FromString(plain.data)


def test_level_1_has_texts_by_id_and_no_outputs(rank: Running) -> None:
    response = answer(rank, ask("i1", "nope", user=USER), 1)

    assert not response.map_outputs
    assert dict(response.raw_features) == {
        "i1": "cat:a|likes:a:0.5|price:1|tags:10\x1d20|taste:5",
        "nope": "cat:|likes:a:0.5|price:|tags:|taste:5",
    }
    assert set(response.generate_features) == {"i1", "nope"}
    assert list(response.item_ids) == ["i1", "nope"]


def test_level_2_has_them_and_the_scores(rank: Running) -> None:
    response = answer(rank, ask("i1", "nope", user=USER), 2)

    assert scores(response) == scores(answer(rank, ask("i1", "nope", user=USER), 0))
    assert set(response.raw_features) == set(response.generate_features) == {"i1", "nope"}
    assert response.pass_through_data["debug.input.taste.values"] == "int64 [2]: 5 5"


def test_level_3_has_a_value_per_feature(rank: Running) -> None:
    response = answer(rank, ask("i1", "nope", user=USER), 3)

    assert not response.map_outputs
    assert not response.raw_features
    assert {key: text.split("\x02") for key, text in response.generate_features.items()} == {
        "i1": ["1", "5", "0.5", "0", "10\x1d20"],
        "nope": ["0", "5", "0", "0", "0"],
    }


@pytest.mark.parametrize("level", [1, 2, 3, 102])
def test_a_user_alone_has_exactly_one_entry(rank: Running, level: int) -> None:
    response = answer(rank, ask(user=USER), level)

    assert len(response.generate_features) == 1
    assert len(response.raw_features) == int(LEVELS[level].raw)
    assert all(len(values) == 1 for values in scores(response).values())


@pytest.mark.parametrize("level", [1, 2, 3])
def test_what_is_wrong_is_400_with_all_of_it(rank: Running, level: int) -> None:
    asked = ask("i1", "i2", user={"taste": "many"}, context={"hour": ["late", "1"]})
    asked.debug_level = level

    response = post(rank, asked)

    assert response.status == 400
    text = response.data.decode()
    assert "'late' is not a number in 1 of 2 rows" in text
    assert "'many'" in text
    with pytest.raises(Exception, match=r"[Pp]ars"):
        PBResponse.FromString(response.data)


def test_a_surplus_of_entries_is_cut_and_told(rank: Running) -> None:
    asked = ask("i1", context={"hour": [("float_feature", 10.0), ("float_feature", 20.0)]})

    response = answer(rank, asked, 2)

    assert scores(response)["score"] == [1 + 1 + 10]
    assert (
        "context column 'hour' has 1 more entries than there are items; they were cut"
        in response.pass_through_data["debug.remarks"]
    )


@pytest.mark.parametrize("level", LEVELS)
def test_fewer_entries_than_items_are_400_at_every_level(rank: Running, level: int) -> None:
    asked = ask("i1", "i2", "i3", context={"hour": ["1", "2"]})
    asked.debug_level = level

    response = post(rank, asked)

    assert response.status == 400
    assert b"context feature 'hour' has 2 entries for 3 items" in response.data


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    ("asked", "rows"),
    [
        (ask(context={"hour": ["1", "2", "3"]}), 3),  # items without ids: the item tower
        (ask(item={"price": ["1", "2"]}), 2),
        (ask(user=USER), 1),  # the user alone: the user tower
        (ask("i1", "i2", context={"hour": ["7"]}), 2),  # one entry stands for all
        (ask("i1", context={"hour": ["7", "8"]}), 1),  # the surplus is cut
    ],
    ids=["context lists", "item lists", "user alone", "one for all", "surplus"],
)
def test_rows_are_those_of_the_request_at_every_level(
    rank: Running, level: int, asked: Any, rows: int
) -> None:
    response = answer(rank, asked, level)

    assert {len(values) for values in scores(response).values()} <= {rows}
    assert bool(response.map_outputs) == LEVELS[level].predicts
    assert LEVELS[level].generated == "" or len(response.generate_features) == rows


def test_level_903_logs_the_stages_under_both_ids(rank: Running, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "recserve.slow"):
        answer(rank, ask("i1", "i2"), 903, request_id="from-the-body")
        logged = record_of(caplog, "request stages")

    assert logged["sent_id"] == "from-the-body"
    assert (logged["rows"], logged["status"]) == (2, 200)
    assert list(logged["stages_ms"])[:2] == ["receive", "queue"]
    assert {"decode", "look_up", "generate", "run", "encode", "respond"} <= set(logged["stages_ms"])
    assert logged["request_id"]


def test_level_904_logs_what_is_missing(rank: Running, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "recserve.debug"):
        answer(rank, ask("i1", "nope", user={"likes": "a:1"}), 904, request_id="x" * 1000)
        logged = record_of(caplog, "what a request lacks")

    assert logged["missing"] == {
        "user": {"taste": 1},
        "context": {"hour": 2},
        "item": {"cat": 1, "price": 1, "tags": 1},
    }
    assert logged["sent_id"] == "x" * 128


def test_a_model_of_tensors_logs_its_stages_too(tmp_path: Any, caplog: pytest.LogCaptureFixture) -> None:
    bundle = write_bundle(tmp_path, sums={"score": ["x.values"]})
    document = {"name": "rank", "token": "token", "model_config": {"fg_mode": "bypass"}}
    with running_bundle(bundle, document) as server, caplog.at_level(logging.INFO, "recserve.slow"):
        for level in (0, 1, 100, 903):
            named = {"x.values": np.ones((2, 1), np.float32)}
            body = tensors.encode_request(TensorRequest((), named, debug_level=level))
            response = tensors.decode_response(post(server, body).data)
            assert response.named_outputs["score"].tolist() == [1, 1]
        assert record_of(caplog, "request stages")["rows"] == 2
    assert [record.getMessage() for record in caplog.records].count("request stages") == 1


@pytest.fixture(scope="module")
def dressed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service with constants and separators of its own."""
    bundle = write_bundle(tmp_path_factory.mktemp("dressed"))
    constants = {"model_version": "7", "größe": "é"}
    separators = {"pair": "\n", "name": "=", "column": ","}
    document = service_of(pass_through_data=constants, debug_separators=separators)
    with running_bundle(bundle, document) as server:
        yield server


@pytest.mark.parametrize("level", LEVELS)
def test_constants_of_the_service_are_in_every_answer(dressed: Running, level: int) -> None:
    response = answer(dressed, ask("i1", user=USER), level)

    constants = {k: v for k, v in response.pass_through_data.items() if not k.startswith("debug.")}
    assert constants == {"model_version": "7", "größe": "é"}


def test_separators_of_the_service_part_the_texts(dressed: Running) -> None:
    pairs = answer(dressed, ask("i1", user=USER), 1)
    table = answer(dressed, ask("i1", user=USER), 3)

    assert pairs.raw_features["i1"].splitlines()[1] == "likes=a:0.5"
    assert table.generate_features["i1"] == "1,5,0.5,0,10\x1d20"
