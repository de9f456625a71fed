"""Features of a directory of clicks, on this machine, in Python.

    python examples/02_features_offline/run.py

The same in a shell: recserve features run fg.json .demo/offline/clicks features.parquet --threads 2
"""

from __future__ import annotations

import clicks
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.dataset import dataset

from recserve.features.offline import load_generator, stream

TARGET = clicks.FOLDER / "features.parquet"


def main() -> None:
    """Batch by batch: no more than a few of them are in memory."""
    clicks.write()
    generator = load_generator(clicks.FG)
    writer = None
    for batch in stream(generator, dataset(clicks.CLICKS), threads=2):
        writer = writer or pq.ParquetWriter(TARGET, batch.schema)
        writer.write_batch(batch)
    assert writer is not None  # there is at least one batch
    writer.close()
    show(pq.read_table(TARGET))


def show(features: pa.Table) -> None:
    """Print how much there is, and one row of it."""
    print(f"{features.num_rows} rows of {', '.join(features.column_names)}")
    print(features.slice(14, 1).to_pylist()[0])


if __name__ == "__main__":
    main()
