"""In Spark the features are those of one machine. `make test-spark` runs it, in Spark's own environment."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from pyspark.sql.pandas.types import from_arrow_schema
from tests.features import offline_examples

from recserve.errors import DataError
from recserve.features.offline import load_generator, run
from recserve.features.offline.spark import FeatureGeneration

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RAW = {"feature_type": "raw_feature", "expression": "item:p", "default_value": "0"}
FG: dict[str, Any] = {
    "features": [
        {**RAW, "feature_name": "price"},
        {**RAW, "feature_name": "pair", "value_dim": 2},
        {"sequence_name": "s", "features": [{**RAW, "feature_name": "pair", "value_dim": 2}]},
    ],
    "reserves": ["when", "row"],
}
TABLE = pa.table(
    {
        "p": pa.array(["1.5", None, "2"]),
        "s__p": ["1;2", "", "3"],
        "when": pa.array([1, None, 3], pa.timestamp("us", tz="UTC")),
        "row": [0, 1, 2],
    }
)
SCHEMA = from_arrow_schema(TABLE.schema)


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    os.environ["PYSPARK_PYTHON"] = sys.executable
    session = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
    yield session
    session.stop()


@pytest.mark.filterwarnings("default")
def test_spark_gives_the_bytes_of_one_machine(tmp_path: Path) -> None:
    alone = offline_examples.run("run.py", tmp_path)
    on_spark = offline_examples.run("run_on_spark.py", tmp_path)

    assert on_spark.splitlines()[-2:] == alone.splitlines()
    offline_examples.check_same(tmp_path, "features_spark")


def test_the_schema_is_that_of_what_comes_out() -> None:
    features = FeatureGeneration(FG, SCHEMA)

    assert features.schema.simpleString() == (
        "struct<price:float,pair:array<float>,s__pair:array<array<float>>,when:timestamp,row:bigint>"
    )
    assert features.schema["when"] == SCHEMA["when"]


@pytest.mark.filterwarnings("default")
def test_partitions_without_rows_give_none(spark: SparkSession) -> None:
    rows = spark.createDataFrame(TABLE).repartition(8)
    features = FeatureGeneration(FG, rows.schema)

    found = rows.mapInArrow(features, features.schema).toArrow().sort_by("row")

    expected = run(load_generator(FG), TABLE)
    assert found["pair"].to_pylist() == expected["pair"].to_pylist()
    assert found["s__pair"].to_pylist() == expected["s__pair"].to_pylist()
    assert found["when"].to_pylist() == expected["when"].to_pylist()


def test_a_bad_row_stops_the_partition_unless_told_otherwise() -> None:
    bad = TABLE.set_column(0, "p", pa.array(["1", "two", "3"]))

    with pytest.raises(DataError, match="row 1: feature 'price' reads column 'p': 'two' is not a number"):
        list(FeatureGeneration(FG, SCHEMA)(iter(bad.to_batches())))
    taken = FeatureGeneration(FG, SCHEMA, on_error="default")(iter(bad.to_batches()))
    assert pa.Table.from_batches(taken)["price"].to_pylist() == [1.0, 0.0, 3.0]
