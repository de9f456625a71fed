"""Requests are drawn to be varied, and to be requests."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.compile.bundles import features_of, write_rank
from tests.engines.models import STEPS, TABLES

from recserve.compile.requests import MOST_VALUES, Requests
from recserve.engines import jagged

if TYPE_CHECKING:
    from pathlib import Path

    from recserve.features.generator import Generator


@pytest.fixture(params=[False, True], ids=["repeated", "tile"])
def features(request: pytest.FixtureRequest, tmp_path: Path) -> Generator:
    return features_of(write_rank(tmp_path, tile=request.param))


def test_every_request_is_one_that_features_could_generate(features: Generator) -> None:
    for rows, tensors in Requests(features, features.tensors).all((1, 2, 9), 3):
        jagged.check(tensors, tile=features.plan.tile, limits=features.id_limits)
        assert {name: (t.dtype.name, t.ndim) for name, t in tensors.items()} == dict(features.tensors)
        assert len(tensors["item_id.lengths"]) == rows
        assert len(tensors["user_id.lengths"]) == (1 if features.plan.tile else rows)


def test_both_ends_of_lengths_and_ids_are_among_them(features: Generator) -> None:
    drawn = [tensors for _, tensors in Requests(features, features.tensors).all((9,), 3)]

    clicks = np.concatenate([tensors["clicks__item_id.lengths"] for tensors in drawn])
    tags = np.concatenate([tensors["tags.lengths"] for tensors in drawn])
    ids = np.concatenate([tensors["tags.values"] for tensors in drawn])
    assert (clicks.min(), clicks.max()) == (1, STEPS)
    assert (tags.min(), tags.max()) == (0, MOST_VALUES)
    assert (ids.min(), ids.max()) == (0, TABLES["tags"] - 1)
    assert any(len(tensors["tags.values"]) == 0 for tensors in drawn)
    assert len({tuple(tensors["tags.lengths"]) for tensors in drawn}) == len(drawn)


def test_what_may_vary_in_the_example_has_a_size_of_more_than_1(features: Generator) -> None:
    example = Requests(features, features.tensors).example(5)

    fixed = {"batch_size", "user_id.lengths", "clicks__item_id.lengths"} if features.plan.tile else set()
    assert {name for name, tensor in example.items() if len(tensor) == 1} == fixed


def test_what_always_has_one_value_has_exactly_one(tmp_path: Path) -> None:
    bundle = write_rank(tmp_path)
    document = json.loads((tmp_path / "fg.json").read_text())
    record = next(one for one in document["features"] if one.get("feature_name") == "item_id")
    record |= {"value_dim": 1, "default_value": "0"}
    (tmp_path / "fg.json").write_text(json.dumps(document))
    features = features_of(bundle)
    requests = Requests(features, features.tensors)

    drawn = [requests.example(6), *(tensors for _, tensors in requests.all((1, 9), 2))]

    assert all((tensors["item_id.lengths"] == 1).all() for tensors in drawn)
    (alike,) = [names for names in requests.alike() if "item_id.values" in names]
    assert "item_id.lengths" in alike
    for tensors in drawn:
        for names in requests.alike():
            assert len({len(tensors[name]) for name in names}) == 1


def test_a_step_has_one_value_where_the_model_reads_no_key_lengths(tmp_path: Path) -> None:
    bundle = write_rank(tmp_path)
    document = json.loads((tmp_path / "fg.json").read_text())
    document["features"][-1]["features"][0]["value_dim"] = 0
    (tmp_path / "fg.json").write_text(json.dumps(document))
    features = features_of(bundle)
    assert "clicks__item_id.key_lengths" in features.tensors

    for reads in (features.tensors, features.tensors.keys() - {"clicks__item_id.key_lengths"}):
        for _, tensors in Requests(features, reads).all((9,), 3):
            jagged.check(tensors, tile=False, limits=features.id_limits)
            assert tensors.keys() == set(reads)
