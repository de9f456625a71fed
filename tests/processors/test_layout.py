"""What fg.json says of tensors that clients send in place of features."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.engines import models

from recserve.bundle import Bundle
from recserve.config import service
from recserve.engines.engine import tensors
from recserve.errors import RequestError
from recserve.messages import TensorRequest
from recserve.processors.bypass import Bypass
from recserve.processors.load import load

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def processor(folder: Path, *, tile: bool = False, features: dict[str, Any] | None = None) -> Bypass:
    models.write_rank(folder, tile=tile)
    (folder / "fg.json").write_text(json.dumps(features or models.rank_features()))
    spec = service.load({"name": "rank", "model_config": {"fg_mode": "bypass"}}, {})
    loaded = load(Bundle.open(folder), spec)
    assert isinstance(loaded, Bypass)
    return loaded


def ask(rank: Bypass, given: dict[str, NDArray[Any]]) -> NDArray[Any]:
    return rank.predict(TensorRequest([], given)).named_outputs["probs_ctr"]


@pytest.mark.parametrize("tile", [False, True], ids=["every row sent", "INPUT_TILE"])
@pytest.mark.parametrize("rows", [1, 5])
def test_a_sample_is_answered_in_the_widths_of_the_features(tmp_path: Path, rows: int, *, tile: bool) -> None:
    rank = processor(tmp_path, tile=tile)
    sample = rank.sample(rows)

    assert ask(rank, dict(sample.named_inputs)).shape == (rows,)
    assert sample.named_inputs["price.values"].shape == (rows, 2)
    assert len(sample.named_inputs["user_id.lengths"]) == (1 if tile else rows)


def test_the_signature_tells_the_widths(tmp_path: Path) -> None:
    described = {entry.name: entry for entry in processor(tmp_path).signature().inputs}

    assert (described["price.values"].shape, described["price.values"].type) == ((-1, 2), "DT_FLOAT")
    assert (described["tags.values"].shape, described["tags.values"].type) == ((-1,), "DT_INT64")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"price.values": np.ones((3, 1), np.float32)},
            r"'price.values' is float32 of shape \(3, 1\); .*\(any, 2\)",
        ),
        (
            {"tags.values": np.ones((3, 4), np.float32)},
            r"'tags.values' is float32 of shape \(3, 4\); it is int64",
        ),
    ],
    ids=["width", "numbers for ids"],
)
def test_what_the_names_alone_would_let_pass_is_refused(
    tmp_path: Path, wrong: dict[str, NDArray[Any]], message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        ask(processor(tmp_path), dict(tensors(models.rank_inputs(3))) | wrong)


def test_positions_are_checked_like_names(tmp_path: Path) -> None:
    rank = processor(tmp_path)
    given = dict(tensors(models.rank_inputs(3))) | {"price.values": np.ones((3, 1), np.float32)}

    with pytest.raises(RequestError, match=r"'price.values' is float32 of shape \(3, 1\)"):
        rank.predict(TensorRequest([given[name] for name in rank.engine.inputs], {}))


@pytest.mark.parametrize(
    ("feature", "rows", "message"),
    [
        ("item_id", 1, "'item_id.lengths' has 1 rows, but batch_size is 3"),
        ("user_id", 3, "'user_id.lengths' has 3 rows, but batch_size is 3, and the user has one row"),
    ],
)
def test_under_input_tile_the_user_comes_once_and_items_come_all(
    tmp_path: Path, feature: str, rows: int, message: str
) -> None:
    given = dict(tensors(models.rank_inputs(3, tile=True)))
    given[f"{feature}.values"] = given[f"{feature}.lengths"] = np.ones(rows, np.int64)

    with pytest.raises(RequestError, match=message):
        ask(processor(tmp_path, tile=True), given)


def test_under_input_tile_rows_that_are_repeated_already_are_answered(tmp_path: Path) -> None:
    given = dict(tensors(models.rank_inputs(3))) | {"batch_size": np.array([1])}

    assert ask(processor(tmp_path, tile=True), given).shape == (3,)


def test_members_of_a_sequence_have_equally_many_steps(tmp_path: Path) -> None:
    features = models.rank_features()
    [*_, sequence] = features["features"]
    sequence["features"].append({**sequence["features"][0], "feature_name": "again"})
    given = dict(tensors(models.rank_inputs(3)))
    given["clicks__again.values"] = given["clicks__item_id.values"]
    given["clicks__again.lengths"] = np.array([5, 4, 6])

    with pytest.raises(
        RequestError, match=r"'clicks__again.lengths' is 4 in row 1, but 'clicks__item_id.lengths' is 5"
    ):
        ask(processor(tmp_path, features=features), given)


def test_an_fg_json_that_cannot_be_read_leaves_the_names(tmp_path: Path) -> None:
    rank = processor(tmp_path, features={"features": [{"feature_type": "unheard_of", "feature_name": "x"}]})

    assert ask(rank, dict(tensors(models.rank_inputs(3)))).shape == (3,)
