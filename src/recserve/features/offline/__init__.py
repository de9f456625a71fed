"""Features of whole tables, by the same native plan that serves: in memory, over files, and on more machines.

Table, reader, dataset ──generate──▶ Arrow batches        files ──file_run──▶ a file        Ray Data, Spark
"""

from recserve.features.offline.generate import BATCH_ROWS, load_generator, run, stream

__all__ = ["BATCH_ROWS", "load_generator", "run", "stream"]
