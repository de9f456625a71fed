"""A baseline says of a table what can be counted by hand, and a later one finds what moved."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from recserve.errors import ConfigError
from recserve.features import config
from recserve.features.checks.drift import Drift, Limits, compare
from recserve.features.checks.stats import Baseline, Statistician

if TYPE_CHECKING:
    from pathlib import Path

FEATURES: list[dict[str, Any]] = [
    {
        "feature_type": "raw_feature",
        "feature_name": "price",
        "expression": "item:price",
        "default_value": "0",
    },
    {
        "feature_type": "id_feature",
        "feature_name": "city",
        "expression": "user:city",
        "vocab_list": ["oslo", "rome"],
        "default_bucketize_value": 2,
    },
    {
        "feature_type": "id_feature",
        "feature_name": "tags",
        "expression": "item:tags",
        "hash_bucket_size": 1000,
    },
    {
        "sequence_name": "s",
        "features": [
            {
                "feature_type": "raw_feature",
                "feature_name": "age",
                "expression": "user:age",
                "default_value": "9",
            }
        ],
    },
]
ROWS = {
    "price": [1.0, 3.0, None, 2.0],
    "city": ["oslo", "rome", "oslo", ""],
    "tags": [["a", "b"], ["a"], [], None],
    "s__age": ["1;2", "", "3;;4", "5"],
}


def baseline(
    columns: dict[str, Any], *, features: list[dict[str, Any]] = FEATURES, parts: int = 1
) -> Baseline:
    measured = Statistician(config.load({"features": features}))
    batch = pa.RecordBatch.from_pydict(columns)
    size = max(1, -(-batch.num_rows // parts))
    for start in range(0, batch.num_rows, size):
        measured.add(batch.slice(start, size))
    return measured.baseline()


def table(rows: int, *, seed: int = 0, scale: float = 1, missing: float = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "price": rng.lognormal(2, 1, rows) * scale,
        "city": [
            None if gone else str(name)
            for gone, name in zip(
                rng.random(rows) < missing, rng.choice(["oslo", "rome", "bonn"], rows), strict=True
            )
        ],
        "tags": [[f"t{tag}" for tag in rng.zipf(2, 2) % 50] for _ in range(rows)],
        "s__age": [";".join(map(str, rng.integers(0, 9, 3))) for _ in range(rows)],
    }


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_a_baseline_says_what_can_be_counted_by_hand(parts: int) -> None:
    result = baseline(ROWS, parts=parts)

    assert result.rows == 4
    assert result.missing == {"city": 0.25, "price": 0.25, "s__age": 0.25, "tags": 0.5}
    price, city, tags, age = result.features.values()
    assert (price.kind, price.default_rate, price.numbers.mean, price.numbers.most) == (
        "numbers",
        0.25,
        1.5,
        3.0,
    )
    assert (city.kind, city.default_rate, city.distinct) == ("ids", 0.25, 2)
    assert city.shares == {"0": 2 / 3, "1": 1 / 3}
    assert (tags.default_rate, tags.distinct, tags.lengths.mean, tags.lengths.most) == (0.5, 2, 0.75, 2)
    assert (age.units, age.defaults, age.lengths.mean) == (7, 2, 1.75)
    assert age.numbers.mean == pytest.approx((1 + 2 + 9 + 3 + 9 + 4 + 5) / 7)


def test_texts_are_counted_as_they_are() -> None:
    texts = [{"feature_type": "id_feature", "feature_name": "city", "expression": "user:city"}]

    result = baseline(ROWS, features=texts)

    assert result.features["city"].kind == "texts"
    assert result.features["city"].shares == {"oslo": 2 / 3, "rome": 1 / 3}


def test_a_column_that_the_table_lacks_is_missing_in_every_row() -> None:
    result = baseline({"price": ROWS["price"]})

    assert result.missing["city"] == 1.0
    assert result.features["city"].default_rate == 1.0


def test_a_baseline_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    path, written = tmp_path / "baseline.json", baseline(table(1000))

    written.write(path)
    read = Baseline.read(path)

    assert read.rows == 1000
    assert read.missing == written.missing
    for name, stats in written.features.items():
        saved, again = stats.as_json(), read.features[name].as_json()
        assert again.keys() == saved.keys()
        assert again["default_rate"] == saved["default_rate"]
        assert again.get("top") == saved.get("top")
    assert [drift for drift in compare(written, read, Limits()) if drift.why] == []


def test_a_file_that_is_no_baseline_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    for content in ({}, {"format": 2}):
        path.write_text(json.dumps(content))
        with pytest.raises(ConfigError, match="is no baseline of format 1"):
            Baseline.read(path)
    path.write_text(json.dumps({"format": 1, "rows": 1, "missing": {}, "features": [{"feature": "f"}]}))
    with pytest.raises(ConfigError, match="is a broken baseline"):
        Baseline.read(path)


def drifted(today: Baseline, before: Baseline, limits: Limits | None = None) -> dict[str, Drift]:
    return {drift.name: drift for drift in compare(today, before, limits or Limits()) if drift.why}


def test_another_sample_of_the_same_has_not_drifted() -> None:
    before, today = baseline(table(5000)), baseline(table(5000, seed=1))

    assert drifted(today, before) == {}
    assert all(0 <= drift.psi < 0.1 for drift in compare(today, before, Limits()))


def test_what_moved_is_named_with_its_measure() -> None:
    before = baseline(table(5000, missing=0.01))
    today = baseline(table(5000, seed=1, scale=3, missing=0.4))

    found = drifted(today, before)

    assert {name: drift.why for name, drift in found.items()} == {
        "price": ("PSI", "JS distance"),
        "city": ("default rate",),
        "column city": ("missing rate",),
    }
    assert found["city"].rate == pytest.approx(0.4, abs=0.03)
    assert found["city"].rate_before == pytest.approx(0.01, abs=0.01)


def test_limits_are_the_callers() -> None:
    before, today = baseline(table(3000)), baseline(table(3000, seed=1, scale=1.2))

    assert drifted(today, before) == {}
    assert "price" in drifted(today, before, Limits(psi=0.005))


def test_nothing_in_common_is_the_greatest_distance() -> None:
    before = baseline({**ROWS, "city": ["oslo"] * 4})
    today = baseline({**ROWS, "city": ["rome"] * 4})

    assert drifted(today, before)["city"].js_distance == pytest.approx(1)
    assert drifted(today, before)["city"].psi > 10


def test_features_that_came_or_went_are_named() -> None:
    before = baseline(ROWS, features=FEATURES[:2])
    today = baseline(ROWS, features=[FEATURES[0], {**FEATURES[1], "vocab_list": None}, FEATURES[2]])

    assert {name: drift.why for name, drift in drifted(today, before).items()} == {
        "city": ("was ids, is texts",),
        "tags": ("the baseline lacks it",),
    }
    assert drifted(before, today)["tags"].why == ("only the baseline has it",)
