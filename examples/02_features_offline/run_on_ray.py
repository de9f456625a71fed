"""The same features by Ray Data: on as many machines as the cluster has, here on two local cores.

    pip install "recserve[ray]"
    python examples/02_features_offline/run_on_ray.py

The file is not called ray.py: then Python would import it for Ray itself.
"""

from __future__ import annotations

import logging

import clicks
import pyarrow.parquet as pq
import ray
from ray.data import DataContext, SaveMode
from run import show

from recserve.features.offline.ray import FeatureGeneration

TARGET = clicks.FOLDER / "features_ray"


def main() -> None:
    """Ray reads, calls us batch by batch, and writes."""
    clicks.write()
    # Small, quiet and alone, whatever cluster this machine is on; on that it is ray.init(address="auto").
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=100 << 20,
        logging_level=logging.ERROR,
    )
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    DataContext.get_current().enable_progress_bars = False
    rows = ray.data.read_parquet(str(clicks.CLICKS))
    features = rows.map_batches(FeatureGeneration(clicks.FG), batch_format="pyarrow", batch_size=1000)
    features.write_parquet(str(TARGET), mode=SaveMode.OVERWRITE)
    ray.shutdown()
    show(pq.read_table(TARGET).sort_by("row"))


if __name__ == "__main__":
    main()
