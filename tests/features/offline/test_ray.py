"""In Ray Data the features are those of one machine."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from tests.features import offline_examples
from tests.features.offline.test_generate import EXPECTED, FG, TABLE

from recserve.errors import DataError
from recserve.features.offline.ray import FeatureGeneration

if TYPE_CHECKING:
    from pathlib import Path


def test_ray_gives_the_bytes_of_one_machine(tmp_path: Path) -> None:
    alone = offline_examples.run("run.py", tmp_path)
    on_ray = offline_examples.run("run_on_ray.py", tmp_path)

    assert on_ray.splitlines()[-2:] == alone.splitlines()
    offline_examples.check_same(tmp_path, "features_ray")


def test_a_call_generates_a_batch() -> None:
    assert FeatureGeneration(FG)(TABLE).to_pydict() == EXPECTED
    assert FeatureGeneration(FG, columns=["price"])(TABLE).column_names == ["price"]
    assert FeatureGeneration(FG)(TABLE.slice(0, 0)).num_rows == 0


def test_it_travels_with_its_vocabulary(tmp_path: Path) -> None:
    (tmp_path / "words").write_text("oslo\nbergen\n")
    city = {"feature_type": "id_feature", "feature_name": "city", "expression": "user:city"}
    original = FeatureGeneration({"features": [{**city, "vocab_file": str(tmp_path / "words")}]})
    rows = pa.table({"city": ["bergen", "oslo"]})
    packed = pickle.dumps(original)
    (tmp_path / "words").unlink()

    first, second = pickle.loads(packed), pickle.loads(packed)

    assert first(rows).to_pydict() == original(rows).to_pydict() == {"city": [[1], [0]]}
    assert first._generator is second._generator  # built once in a process


def test_what_cannot_be_read_is_as_in_any_offline_run() -> None:
    rows = pa.table({**{name: TABLE[name] for name in TABLE.column_names}, "p": ["1", "two", "3"]})

    with pytest.raises(DataError, match="row 1: feature 'price' reads column 'p': 'two' is not a number"):
        FeatureGeneration(FG, columns=["price"])(rows)
    assert FeatureGeneration(FG, columns=["price"], on_error="default")(rows).to_pydict() == {
        "price": [1.0, 0.0, 3.0]
    }
