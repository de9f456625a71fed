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


def test_ids_that_no_table_has_are_drawn_for_all_features_and_for_each(features: Generator) -> None:
    together, *alone = Requests(features, features.tensors).outside(9)

    ids = [name for name in together if name.endswith(".values") and together[name].dtype.kind == "i"]
    for name in ids:
        assert together[name].max(initial=0) >= TABLES[name.rpartition(".")[0].rpartition("__")[2]]
    assert any(together[name].min(initial=0) < -1 for name in ids)
    for one in alone:
        outside = [
            name
            for name in ids
            if one[name].max(initial=0) >= TABLES[name.partition(".")[0].rpartition("__")[2]]
        ]
        assert len(outside) == 1
    assert len(alone) == len(ids)


def test_users_have_one_row_where_they_are_asked_for_once(tmp_path: Path) -> None:
    features = features_of(write_rank(tmp_path))

    drawn = Requests(features, features.tensors, users_once=True).example(5)

    assert drawn["batch_size"].tolist() == [5]
    assert {name: len(drawn[name]) for name in drawn if name.endswith(".lengths")} == {
        "user_id.lengths": 1, "item_id.lengths": 5, "tags.lengths": 5, "clicks__item_id.lengths": 1,
    }  # fmt: skip


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
