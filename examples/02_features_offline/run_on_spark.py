"""The same features by Spark: on as many machines as the cluster has, here on two local cores.

pip install "recserve[spark]"          and a Java VM, version 17
python examples/02_features_offline/run_on_spark.py
"""

from __future__ import annotations

import os
import sys

import clicks
import pyarrow.parquet as pq
from pyspark.sql import SparkSession
from run import show

from recserve.features.offline.spark import FeatureGeneration

TARGET = clicks.FOLDER / "features_spark"


def main() -> None:
    """Spark reads, calls us with the batches of each partition, and writes."""
    clicks.write()
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # workers of this environment, not of the PATH
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.execution.arrow.maxRecordsPerBatch", 1000)
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    rows = spark.read.parquet(str(clicks.CLICKS))
    features = FeatureGeneration(clicks.FG, rows.schema)
    rows.mapInArrow(features, features.schema).write.mode("overwrite").parquet(str(TARGET))
    spark.stop()
    show(pq.read_table(TARGET).sort_by("row"))


if __name__ == "__main__":
    main()
