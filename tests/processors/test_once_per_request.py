"""INPUT_TILE: what is the user's is parsed and generated once per request, however many items are asked for.

Counted, not timed: feature generation counts every text that it cannot read, each time it reads it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.processors.asking import request
from tests.processors.conftest import service_of, write_bundle

from recserve.bundle import Bundle
from recserve.config import service
from recserve.processors.debug import LEVELS
from recserve.processors.load import load
from recserve.processors.normal import Normal

if TYPE_CHECKING:
    from pathlib import Path

FEATURES: list[dict[str, Any]] = [
    {"feature_type": "raw_feature", "feature_name": "age", "expression": "user:age", "default_value": "1"},
    {
        "feature_type": "raw_feature",
        "feature_name": "fit",
        "expression": "user:fit",
        "value_dim": 3,
        "default_value": "2",
    },
    {
        "feature_type": "raw_feature",
        "feature_name": "hour",
        "expression": "context:hour",
        "default_value": "0",
    },
]
SUMS = {"score": ["age.values", "fit.values", "hour.values"]}


@pytest.mark.parametrize("tile", ["0", "2", "3"])
@pytest.mark.parametrize("items", [1, 10, 500])
def test_user_features_are_generated_once_and_context_features_per_item(
    tmp_path: Path, tile: str, items: int
) -> None:
    bundle = write_bundle(tmp_path, features=FEATURES, sums=SUMS)
    (bundle / "model_acc.json").write_text(json.dumps({"INPUT_TILE": tile}))
    rank = load(Bundle.open(bundle), service.load(service_of(), {}, base_dir=tmp_path))
    assert isinstance(rank, Normal)
    asked = request(["i1"] * items, user={"age": "old", "fit": "good"}, context={"hour": ["late"] * items})

    scores = rank.score(asked).outputs["score"]

    counted = rank.features.counters_by_feature
    rank.close()
    assert counted["age", "unparsable_number"] == 1
    assert counted["fit", "unparsable_number"] == 1
    assert counted["hour", "unparsable_number"] == items
    assert scores.tolist() == [7.0] * items


@pytest.mark.parametrize("tile", ["2", "3"])
def test_the_model_gets_one_row_of_the_user(tmp_path: Path, tile: str) -> None:
    bundle = write_bundle(tmp_path, features=FEATURES, sums=SUMS)
    (bundle / "model_acc.json").write_text(json.dumps({"INPUT_TILE": tile}))
    rank = load(Bundle.open(bundle), service.load(service_of(), {}, base_dir=tmp_path))
    assert isinstance(rank, Normal)
    asked = request(["i1"] * 4, user={"age": "30"}, context={"hour": ["1"] * 4})

    seen = rank.look(asked, LEVELS[2])

    rank.close()
    assert seen.pass_through["debug.input.age.values"] == "float32 [1, 1]: 30.0"
    assert seen.pass_through["debug.input.hour.values"] == "float32 [4, 1]: 1.0 1.0 1.0 1.0"
    assert seen.pass_through["debug.input.batch_size"] == "int64 [1]: 4"
    assert seen.outputs["score"].tolist() == [37.0] * 4
