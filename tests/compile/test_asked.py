"""A request is laid out for the original and for what computes users once, and it is the same request."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.compile.bundles import features_of, write_rank

from recserve.compile.asked import Drawn, Given
from recserve.engines import jagged
from recserve.engines.engine import BATCH_SIZE
from recserve.errors import BundleError

if TYPE_CHECKING:
    from pathlib import Path

    from recserve.features.generator import Generator


@pytest.fixture(params=[False, True], ids=["repeated", "tile"])
def features(request: pytest.FixtureRequest, tmp_path: Path) -> Generator:
    return features_of(write_rank(tmp_path, tile=request.param))


def test_rates_come_from_what_a_feature_reads(features: Generator) -> None:
    drawn = Drawn(features, features.tensors)

    assert drawn.rates["user_id.values"] == drawn.rates["clicks__item_id.lengths"] == "user"
    assert drawn.rates["item_id.values"] == drawn.rates["price.values"] == "item"
    assert drawn.users == {
        "user_id.lengths", "user_id.values", "clicks__item_id.lengths", "clicks__item_id.values",
    }  # fmt: skip
    assert BATCH_SIZE in drawn.example(users_once=True)


def test_both_layouts_are_what_engines_accept(features: Generator) -> None:
    drawn = Drawn(features, features.tensors)

    for asked in [*drawn.compared(users_once=True), *drawn.raced()]:
        if not asked.may_be_refused:
            jagged.check(asked.compiled, tile=True, limits=features.id_limits)
            jagged.check(asked.original, tile=features.plan.tile, limits=features.id_limits)
        rows = {len(asked.original["item_id.lengths"]), len(asked.compiled["item_id.lengths"])}
        assert rows == {asked.rows}
        assert len(asked.compiled["user_id.lengths"]) == 1
        assert len(asked.original["user_id.lengths"]) == (1 if features.plan.tile else asked.rows)


def test_the_original_gets_the_same_user_in_every_row(tmp_path: Path) -> None:
    features = features_of(write_rank(tmp_path))
    asked = next(one for one in Drawn(features, features.tensors).raced() if one.rows == 20)

    clicks = asked.compiled["clicks__item_id.values"]
    assert asked.original["clicks__item_id.values"].tolist() == clicks.tolist() * 20
    assert asked.original["clicks__item_id.lengths"].tolist() == [len(clicks)] * 20
    np.testing.assert_array_equal(asked.original["price.values"], asked.compiled["price.values"])
    assert BATCH_SIZE not in asked.original


def test_as_exported_users_differ_from_row_to_row(tmp_path: Path) -> None:
    features = features_of(write_rank(tmp_path))

    requests = [
        one for one in Drawn(features, features.tensors).compared(users_once=False) if one.rows == 200
    ]

    assert any(len(set(one.original["user_id.values"].tolist())) > 10 for one in requests)
    assert all(one.original is one.compiled for one in requests)


def test_a_feature_of_the_user_that_reads_items_is_named(tmp_path: Path) -> None:
    bundle = write_rank(tmp_path)
    document = json.loads((tmp_path / "fg.json").read_text())
    clicks = document["features"][-1]["features"]
    clicks.append(clicks[0] | {"feature_name": "when", "expression": "context:when"})
    (tmp_path / "fg.json").write_text(json.dumps(document))
    features = features_of(bundle)

    with pytest.raises(BundleError, match="feature 'clicks__when' is the user's to the model, and reads"):
        _ = Drawn(features, features.tensors).rates


def test_nobody_knows_rates_of_recorded_requests() -> None:
    given = Given([{"x.lengths": np.ones(3, np.int64)}, {"x.lengths": np.ones(2, np.int64)}])

    assert [asked.rows for asked in given.compared(users_once=False)] == [2, 3]
    assert len(given.example()["x.lengths"]) == 3
    with pytest.raises(BundleError, match=r"no fg\.json says which features are the user's"):
        _ = given.rates
