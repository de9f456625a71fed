from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from recserve.errors import DataError
from recserve.features import config, offline
from recserve.features.generator import Generator

ID = {"feature_type": "id_feature", "expression": "item:x", "num_buckets": 10, "default_value": "0"}
RAW = {"feature_type": "raw_feature", "expression": "item:p", "default_value": "0"}
FG: dict[str, Any] = {
    "features": [
        {**ID, "feature_name": "id"},
        {**ID, "feature_name": "weighted", "weighted": True},
        {**RAW, "feature_name": "price"},
        {**RAW, "feature_name": "pair", "value_dim": 2},
        {**ID, "feature_name": "stub", "stub_type": True},
        {
            "sequence_name": "s",
            "features": [
                {**ID, "feature_name": "one", "value_dim": 1},
                {**ID, "feature_name": "many"},
                {**RAW, "feature_name": "price"},
                {**RAW, "feature_name": "pair", "value_dim": 2},
            ],
        },
    ]
}
TABLE = pa.table(
    {
        "x": pa.array(["1\x1d2", None, "3"]),
        "p": pa.array([1.5, None, 2.5], pa.float32()),
        "s__x": pa.array(["1;2\x1d3", "", "4"]),
        "s__p": pa.array([[1.0, 2.0], [], [3.0]]),
        "label": pa.array([0, 1, 0]),
    }
)


@pytest.mark.parametrize("batch_rows", [1, 2, 100])
def test_one_column_per_output_feature(batch_rows: int) -> None:
    result = offline.run(Generator(config.load(FG)), TABLE, batch_rows=batch_rows)

    assert result.to_pydict() == {
        "id": [[1, 2], [0], [3]],
        "weighted": [[1, 2], [0], [3]],
        "weighted.weights": [[1.0, 1.0], [1.0], [1.0]],
        "price": [1.5, 0.0, 2.5],
        "pair": [[1.5, 0.0], [0.0, 0.0], [2.5, 0.0]],
        "s__one": [[1, 2], [0], [4]],
        "s__many": [[[1], [2, 3]], [[0]], [[4]]],
        "s__price": [[1.0, 2.0], [0.0], [3.0]],
        "s__pair": [[[1.0, 0.0], [2.0, 0.0]], [[0.0, 0.0]], [[3.0, 0.0]]],
    }


def test_no_rows_give_the_columns_all_the_same() -> None:
    result = offline.run(Generator(config.load(FG)), TABLE.slice(0, 0))

    assert result.num_rows == 0
    assert result.schema == offline.run(Generator(config.load(FG)), TABLE).schema


def test_text_that_should_be_a_number_stops_the_run_unless_told_otherwise() -> None:
    generator = Generator(config.load({"features": [{**ID, "feature_name": "id"}]}))
    table = pa.table({"x": pa.array(["1", "one"])})

    with pytest.raises(DataError, match="feature 'id' has the value 'one', which is not a number"):
        offline.run(generator, table)
    assert offline.run(generator, table, on_error="default").to_pydict() == {"id": [[1], [0]]}
