"""The unmodified EAS client scores with features and items, and reads what it expects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from tests.end_to_end.conftest import Eas
from tests.end_to_end.echo import USERS
from tests.end_to_end.samples import CLICK, JAVA_SAMPLE, PYTHON_SAMPLE, RAW_3, RAW_4
from tests.processors.conftest import service_of
from tests.processors.conftest import write_bundle as write_sums

from recserve._core import murmur64a
from recserve.columns import Batch, batch_from_arrow, column_from_arrow
from recserve.messages import ScoreRequest
from recserve.testing import serve
from recserve.wire import torchrec

if TYPE_CHECKING:
    from pathlib import Path

    from tests.end_to_end.conftest import EasClient

    from recserve.testing import RunningServer

ITEMS = ["item_0001", "item_0002", "item_0003"]
IDS = [("add_item_id", item_id) for item_id in ITEMS]


@pytest.fixture
def eas(eas_client: EasClient, echo: RunningServer) -> Eas:
    return Eas(eas_client, echo)


def float32(values: list[float]) -> list[float]:
    return [float(np.float32(value)) for value in values]


def user_bucket(text: str) -> float:
    return float(murmur64a(text.encode()) % USERS)


# --- the samples of the documentation ---


def test_the_documented_python_sample_is_scored_to_the_last_bit(eas: Eas) -> None:
    answer = eas.score(*PYTHON_SAMPLE)

    assert answer.item_ids == ITEMS
    assert answer.outputs.pop("click") == pytest.approx([sum(map(sum, CLICK))] * 3, rel=1e-6)  # float32 sums
    assert answer.outputs == {
        "user_id": [user_bucket("u001d")] * 3,
        "age": [12] * 3,
        "weight": float32([129.8] * 3),
        "raw_3": [float32(RAW_3)] * 3,
        "raw_4": [float32(RAW_4)] * 3,
        "map_1": float32([0.37845234405201145, 0, 0]),
        "map_2": [0, 4143, 2451],
        "id_2": [866, 7023, 7023],
        "hour": [0] * 3,
        "price": [1.5, 2.5, 4],
        "tags": [1, 320, 0],
    }


def test_the_documented_java_sample_with_two_entries_for_one_item_gives_one_row(eas: Eas) -> None:
    """The user id is a number there, lists of the context are doubles, and an inner list is shorter."""
    answer = eas.score(*JAVA_SAMPLE)

    assert answer.item_ids == ["7033"]
    assert answer.outputs["user_id"] == [user_bucket("33981")]
    assert answer.outputs["map_1"] == [4143]
    assert answer.outputs["id_2"] == [7]
    assert answer.outputs["price"] == [8]
    assert answer.outputs["raw_3"] == [float32(RAW_3)]
    # Two numbers per step, as fg.json says; what an element has beyond is cut.
    assert answer.outputs["click"] == pytest.approx([1.1 + 2.2 + 4.4 + 5.5], rel=1e-6)


# --- how the client reaches the service ---


def test_requests_are_signed_and_with_a_custom_url_bring_the_plain_token(eas: Eas) -> None:
    signed = eas.score(*IDS)
    plain = eas.score(*IDS, endpoint="", service="", custom_url=eas.server.url)

    assert signed.outputs["price"] == plain.outputs["price"] == [1.5, 2.5, 4]


def test_a_wrong_token_is_401_with_both_schemes_and_the_next_request_right(eas: Eas) -> None:
    signed = eas.score(*IDS, token="wrong")
    plain = eas.score(*IDS, token="wrong", custom_url=eas.server.url)
    none = eas.score(*IDS, token="")

    assert {(a.error, a.code) for a in (signed, plain, none)} == {("PredictException", 401)}
    assert {a.message.split(":")[0] for a in (signed, plain, none)} == {"not authorized"}
    assert eas.score(*IDS).outputs["price"] == [1.5, 2.5, 4]


def test_without_a_token_the_client_sends_none_and_an_open_service_answers(
    eas_client: EasClient, tmp_path: Path
) -> None:
    document = {**service_of(tables=[], remote_type="none"), "token": ""}

    with serve(write_sums(tmp_path), document) as server:
        answer = Eas(eas_client, server).score(
            ("add_item_fea", "price", 3.0, "FLOAT"), ("add_item_fea", "price", 4.0, "FLOAT")
        )

    assert answer.outputs["score"] == [3 + 1, 4 + 1]  # `taste` is 1 by default


@pytest.mark.parametrize("service", ["rank/a", "rank/a/b", "rank/"])
def test_a_path_below_the_service_is_part_of_its_signed_name(eas: Eas, service: str) -> None:
    assert eas.score(*IDS, service=service).outputs["price"] == [1.5, 2.5, 4]


def test_an_endpoint_may_end_with_a_slash_and_lack_its_scheme(eas: Eas) -> None:
    base = eas.server.base_url

    for endpoint in (base + "/", base.removeprefix("http://")):
        assert eas.score(*IDS, endpoint=endpoint).outputs["price"] == [1.5, 2.5, 4]


def test_another_service_is_404_with_its_name(eas: Eas) -> None:
    answer = eas.score(*IDS, service="ranks")

    assert answer.code == 404
    assert "ranks" in answer.message


def test_a_body_that_is_no_request_is_400_and_the_next_request_right(eas: Eas) -> None:
    answer = eas.post("what am I?")

    assert (answer.error, answer.code) == ("PredictException", 400)
    assert answer.message.startswith("failed to parse request")
    assert eas.score(*IDS).outputs["price"] == [1.5, 2.5, 4]


def test_all_requests_of_a_client_share_one_connection(eas: Eas) -> None:
    first = eas.score(*IDS, service="rank/kept")
    for hour in range(5):
        last = eas.score(*IDS, ("add_context_fea", "hour", hour, "INT"), service="rank/kept")
        assert last.outputs["hour"] == [hour] * 3

    assert last.requests == first.requests + 5
    assert last.connections == first.connections == 1


# --- values ---

SCALARS = [(7, "INT"), (7, "BIGINT"), (7, "INT64"), (7.0, "FLOAT"), (7.0, "DOUBLE"), ("7", "STRING")]


@pytest.mark.parametrize(("value", "kind"), SCALARS)
def test_one_value_scores_the_same_in_every_type(eas: Eas, value: Any, kind: str) -> None:
    answer = eas.score(
        *IDS,
        ("add_user_fea", "age", value, kind),
        ("add_user_fea", "user_id", value, kind),
        *[("add_context_fea", "hour", value, kind)] * 3,
        *[("add_context_fea", "id_2", value, kind)] * 3,
        *[("add_item_fea", "price", value, kind)] * 3,
    )

    assert {name: answer.outputs[name] for name in ("age", "hour", "id_2", "price")} == {
        name: [7] * 3 for name in ("age", "hour", "id_2", "price")
    }
    assert answer.outputs["user_id"] == [user_bucket("7")] * 3


@pytest.mark.parametrize(
    "kind", [f"{outer}<{inner}>" for outer in ("LIST", "ARRAY") for inner in ("INT", "BIGINT", "INT64")]
)
def test_one_list_scores_the_same_in_every_type(eas: Eas, kind: str) -> None:
    whole = eas.score(("add_item_id", "item_0001"), ("add_context_fea", "id_2", [3, 40], kind))
    text = eas.score(("add_item_id", "item_0001"), ("add_context_fea", "id_2", ["3", "40"], "LIST<STRING>"))

    assert whole.outputs["id_2"] == text.outputs["id_2"] == [43]


@pytest.mark.parametrize("value", ["INT", "INT64", "BIGINT", "FLOAT", "DOUBLE", "STRING"])
@pytest.mark.parametrize("key", ["INT", "INT64", "BIGINT", "STRING"])
def test_one_map_scores_the_same_in_every_type(eas: Eas, key: str, value: str) -> None:
    amount: Any = {"STRING": "5", "FLOAT": 5.0, "DOUBLE": 5.0}.get(value, 5)

    answer = eas.score(*IDS, ("add_user_fea", "map_1", {"866": amount}, f"MAP<{key},{value}>"))

    assert answer.outputs["map_1"] == [0, 5, 0]


@pytest.mark.parametrize(
    ("empty", "kind"),
    [
        (None, "INT"),
        (None, "LIST<LIST<FLOAT>>"),
        ([], "LIST<DOUBLE>"),
        ({}, "MAP<INT,FLOAT>"),
        ("", "STRING"),
    ],
)
def test_an_empty_value_is_missing_and_hides_what_the_table_has(eas: Eas, empty: Any, kind: str) -> None:
    users = [("add_user_fea", name, empty, kind) for name in ("age", "user_id", "raw_3", "map_1", "click")]
    contexts = [("add_context_fea", "id_2", empty, kind)] * 3
    items = [("add_item_fea", "price", empty, kind)] * 3

    answer = eas.score(*IDS, *users, *contexts, *items)

    nothing = {name: [0] * 3 for name in ("age", "user_id", "map_1", "click", "id_2", "price")}
    assert {name: answer.outputs[name] for name in nothing} == nothing
    assert answer.outputs["raw_3"] == [[0] * 4] * 3
    assert answer.outputs["tags"] == [1, 320, 0]


def test_a_type_that_the_client_does_not_know_is_its_own_error(eas: Eas) -> None:
    answer = eas.score(*IDS, ("add_user_fea", "age", 7, "LONG"))

    assert answer.error == "ValueError"
    assert eas.score(*IDS, ("add_user_fea", "age", 7, "INT")).outputs["age"] == [7] * 3


def test_features_that_no_model_reads_are_ignored(eas: Eas) -> None:
    unread = [
        ("add_user_fea", "premium", {"a": 1.5}, "MAP<STRING,DOUBLE>"),
        ("add_context_fea", "shelf", [[1.0], [2.0]], "ARRAY<ARRAY<FLOAT>>"),
        ("add_item_fea", "colour", ["red"], "LIST<STRING>"),
    ]

    assert eas.score(*IDS, *unread).outputs == eas.score(*IDS).outputs


# --- items and rows ---


def test_item_features_win_over_the_table_and_make_an_unknown_item_known(eas: Eas) -> None:
    prices = [("add_item_fea", "price", price, "DOUBLE") for price in (100.0, None, 300.0)]

    answer = eas.score(*IDS[:2], ("add_item_id", "new"), *prices)

    assert answer.outputs["price"] == [100, 0, 300]
    assert answer.outputs["tags"] == [1, 320, 0]


def test_an_unknown_item_scores_item_empty_score_in_every_output(eas: Eas) -> None:
    answer = eas.score(*IDS[:1], ("add_item_id", 4711), *IDS[1:2])

    assert answer.item_ids == ["item_0001", "4711", "item_0002"]
    assert answer.outputs["price"] == [1.5, -1, 2.5]
    assert answer.outputs["raw_3"] == [[0] * 4, [-1] * 4, [0] * 4]


def test_without_ids_the_context_lists_give_the_rows(eas: Eas) -> None:
    lists = eas.score(
        *[("add_context_fea", "hour", hour, "INT") for hour in (1, 2, 3, 4)],
        *[("add_item_fea", "price", price, "FLOAT") for price in (5.0, 6.0, 7.0, 8.0)],
    )
    user = eas.score(("add_user_fea", "age", 30, "INT"))

    assert (lists.outputs["hour"], lists.outputs["price"]) == ([1, 2, 3, 4], [5, 6, 7, 8])
    assert (lists.item_ids, user.item_ids) == ([], [])
    assert user.outputs["age"] == [30]


def test_one_context_entry_stands_for_all_items_and_two_for_three_are_400(eas: Eas) -> None:
    hours = [("add_context_fea", "hour", hour, "INT") for hour in (9, 10)]

    assert eas.score(*IDS, *hours[:1]).outputs["hour"] == [9] * 3
    refused = eas.score(*IDS, *hours)
    assert refused.code == 400
    assert "hour" in refused.message


# --- the rest of the request ---


@pytest.mark.parametrize("level", [100, 101, 102, 903, 904, 7])
def test_debug_levels_that_predict_score_as_without(eas: Eas, level: int) -> None:
    assert eas.score(*IDS, ("set_debug_level", level)).outputs == eas.score(*IDS).outputs


def test_meta_data_and_the_size_of_a_recall_do_not_disturb_a_ranking(eas: Eas) -> None:
    answer = eas.score(
        *IDS,
        ("add_meta_data", "request_id", "r-1"),
        ("add_meta_data", "task_id", 7),
        ("set_faiss_neigh_num", 50),
    )

    assert answer.outputs["price"] == [1.5, 2.5, 4]


def test_a_saved_request_is_replayed(eas: Eas) -> None:
    saved = ScoreRequest(
        user=batch_from_arrow({"age": pa.array([33])}),
        item_ids=column_from_arrow(pa.array(["item_0002", "item_0001"])),
        context=batch_from_arrow({"hour": pa.array([8, 9])}),
        item_features=Batch(2),
        rows=2,
    )

    answer = eas.score(
        ("add_item_id", "replaced"), ("add_feed", {"hex": torchrec.encode_request(saved).hex()}, 903)
    )

    assert answer.item_ids == ["item_0002", "item_0001"]
    assert {name: answer.outputs[name] for name in ("age", "hour", "price")} == {
        "age": [33, 33],
        "hour": [8, 9],
        "price": [2.5, 1.5],
    }
