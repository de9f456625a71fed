"""Torchrec, items 27 to 40: features of a user and items in, a row of scores per item out."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.conformance.asking import answer, ask, outputs, post
from tests.end_to_end.conftest import eas_python
from tests.processors.conftest import FEATURES, service_of, write_bundle
from tests.server.conftest import running_bundle

if TYPE_CHECKING:
    from pathlib import Path

    from tests.server.conftest import Running


def test_27_rows_come_in_request_order_and_duplicates_keep_theirs(rank: Running) -> None:
    assert outputs(rank, ask("i2", "i1", "i2", "i3"))["score"] == [3, 2, 3, 4]


def test_28_an_unknown_id_scores_item_empty_score(rank: Running) -> None:
    assert outputs(rank, ask("i2", "unknown", "i1")) == {"score": [3, -1, 2], "tags": [0, -1, 30]}


MEMBERS: list[tuple[str, Any]] = [
    ("int_feature", 5),
    ("long_feature", 5),
    ("string_feature", "5"),
    ("float_feature", 5.0),
    ("double_feature", 5.0),
    *((f"{key}_{value}_map", {k: v}) for key, k in (("long", 5), ("string", "5"), ("int", 5))
      for value, v in (("string", "5"), ("int", 5), ("long", 5), ("float", 5.0), ("double", 5.0))),
    ("int_list", [5]),
    ("long_list", [5]),
    ("string_list", ["5"]),
    ("float_list", [5.0]),
    ("double_list", [5.0]),
    ("int_lists", [[5]]),
    ("long_lists", [[5]]),
    ("string_lists", [["5"]]),
    ("float_lists", [[5.0]]),
    ("double_lists", [[5.0]]),
]  # fmt: skip


@pytest.mark.parametrize("side", ["user", "context", "item"])
@pytest.mark.parametrize(("member", "value"), MEMBERS)
def test_29_every_member_is_accepted_on_every_side(rank: Running, side: str, member: str, value: Any) -> None:
    feature = (member, value)
    fields: dict[str, Any] = {side: {"unread": feature if side == "user" else [feature]}}

    assert outputs(rank, ask("i1", **fields))["score"] == [2]


@pytest.mark.parametrize("missing", ["", None])
def test_30_an_empty_text_and_an_unset_feature_are_missing(rank: Running, missing: str | None) -> None:
    asked = ask(
        "i1",
        user={"taste": missing, "likes": missing},
        context={"hour": [missing]},
        item={"price": [missing]},
    )

    assert outputs(rank, asked)["score"] == [0 + 1 + 0 + 0]


@pytest.mark.parametrize(
    "value",
    [
        ("int_feature", 5),
        ("long_feature", 5),
        ("string_feature", "5"),
        ("float_feature", 5.0),
        ("double_feature", 5.0),
    ],
)
def test_31_the_same_value_in_another_type_scores_the_same(rank: Running, value: Any) -> None:
    asked = ask("i1", user={"taste": value}, context={"hour": [value]}, item={"price": [value]})

    assert outputs(rank, asked)["score"] == [5 + 5 + 5]


def test_32_a_surplus_of_entries_is_ignored(rank: Running) -> None:
    asked = ask("i1", context={"hour": [("float_feature", 10.0), ("float_feature", 20.0)]})

    assert outputs(rank, asked)["score"] == [1 + 1 + 10]


def test_32_fewer_entries_than_items_are_400_by_name(rank: Running) -> None:
    response = post(rank, ask("i1", "i2", "i3", context={"hour": ["1", "2"]}))

    assert response.status == 400
    assert b"hour" in response.data


def test_32_one_entry_stands_for_all_items(rank: Running) -> None:
    assert outputs(rank, ask("i1", "i2", context={"hour": ["7"]}))["score"] == [9, 10]


def test_33_without_ids_the_lists_give_the_rows(rank: Running) -> None:
    assert outputs(rank, ask(context={"hour": ["1", "2", "3"]}))["score"] == [2, 3, 4]
    assert outputs(rank, ask(user={"taste": "9"}))["score"] == [9]


def test_34_item_features_win_over_the_table_and_unknown_names_are_ignored(rank: Running) -> None:
    asked = ask("i1", "i2", item={"price": ["100", ""], "nobody_reads_this": ["x", "y"]})

    assert outputs(rank, asked)["score"] == [101, 1]


def test_35_ids_are_echoed_and_meta_data_accepted(rank: Running) -> None:
    asked = ask("i3", "unknown", "i3")
    asked.meta_data["request_id"] = "r1"
    asked.meta_data["anything"] = "../../etc"

    response = answer(rank, asked)

    assert list(response.item_ids) == ["i3", "unknown", "i3"]
    assert not response.pass_through_data


def test_35_constants_are_passed_through_where_they_are_configured(tmp_path: Path) -> None:
    document = service_of(pass_through_data={"model_version": 7, "region": "a=b"})
    with running_bundle(write_bundle(tmp_path), document) as server:
        response = answer(server, ask("i1"))

    assert dict(response.pass_through_data) == {"model_version": "7", "region": "a=b"}


def at_level(level: int, *ids: str) -> Any:
    asked = ask(
        *(ids or ("i1", "unknown", "i2")), user={"taste": "7", "likes": ("string_float_map", {"a": 2.0})}
    )
    asked.debug_level = level
    return asked


@pytest.mark.parametrize(
    ("level", "predicts", "raw"), [(1, False, True), (2, True, True), (3, False, False), (102, True, True)]
)
def test_36_levels_answer_features_by_item_id(rank: Running, level: int, predicts: bool, raw: bool) -> None:
    response = answer(rank, at_level(level))
    plain = answer(rank, at_level(0))

    ids = {"i1", "unknown", "i2"}
    assert dict(response.map_outputs) == (dict(plain.map_outputs) if predicts else {})
    assert set(response.generate_features) == ids
    assert set(response.raw_features) == (ids if raw else set())
    assert not plain.generate_features
    assert not plain.raw_features


def test_36_no_output_is_shorter_than_the_items_at_any_level(rank: Running) -> None:
    """Engines index every float tensor of map_outputs by item, and die of a short one."""
    for level in (*range(5), 100, 101, 102, 903, 904):
        for tensor in answer(rank, at_level(level)).map_outputs.values():
            assert list(tensor.array_shape.dim) == [3]
            assert len(tensor.float_val) == 3


def test_37_level_100_keeps_the_request_where_the_sdk_reads_it(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    with running_bundle(write_bundle(tmp_path), service_of(request_log_path=str(kept))) as server:
        asked = at_level(100)
        asked.meta_data["request_id"] = "r-1"
        response = answer(server, asked)
        plain = answer(server, at_level(0))
        while not (files := list(kept.glob("*/*.pb"))):
            time.sleep(0.01)

    (file,) = files
    assert response == plain
    assert re.fullmatch(r"[\d_-]{10,}", file.parent.name)  # date and hour
    assert re.fullmatch(r"r-1_\w+\.pb", file.name)
    assert file.stat().st_mode & 0o777 == 0o600
    log = read_by_sdk(file)
    assert bytes.fromhex(log["request"]) == asked.SerializeToString(deterministic=True)
    assert set(log["raw_features"]) == set(log["generate_features"]) == {"i1", "unknown", "i2"}


def read_by_sdk(file: Path) -> Any:
    """What `eas_prediction` reads in a file, in the environment that it lives in."""
    read = (
        "import json, sys; from eas_prediction.torchrec_predict_pb2 import PBLogData;"
        "log = PBLogData(); log.ParseFromString(open(sys.argv[1], 'rb').read());"
        "print(json.dumps({'request': log.request.SerializeToString(deterministic=True).hex(),"
        "'raw_features': dict(log.raw_features), 'generate_features': dict(log.generate_features)}))"
    )
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return json.loads(subprocess.check_output([eas_python(), "-c", read, str(file)], env=environ))


@pytest.mark.parametrize("level", [4, 7, 101, 903, 904, -1, 2**31 - 1])
def test_38_other_levels_score_as_level_0(rank: Running, level: int) -> None:
    plain, response = answer(rank, at_level(0)), answer(rank, at_level(level))

    assert response == plain


def test_39_texts_are_utf8_and_a_table_has_a_value_per_feature(rank: Running) -> None:
    asked = at_level(3)
    asked.user_features["likes"].string_feature = "中文\x1dß"
    table = answer(rank, asked)  # protobuf reads no text that is not UTF-8
    asked.debug_level = 1
    pairs = answer(rank, asked)

    for text in table.generate_features.values():
        assert len(text.split("\x02")) == len(FEATURES)
    for text in pairs.generate_features.values():
        names = [pair.partition(":")[0] for pair in text.split("|")]
        assert sorted(names) == sorted(feature["feature_name"] for feature in FEATURES)


def test_40_scores_are_floats_one_per_item(rank: Running) -> None:
    response = answer(rank, ask("i1", "i2"))

    assert set(response.map_outputs) == {"score", "tags"}
    for tensor in response.map_outputs.values():
        assert tensor.dtype in (1, 2)  # FLOAT, DOUBLE
        assert list(tensor.array_shape.dim) == [2]
        assert len(tensor.float_val) + len(tensor.double_val) == 2
