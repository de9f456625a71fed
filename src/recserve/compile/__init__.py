"""Makes exported models faster, ahead of serving, and proves that they answer the same.

    the export ──sources──▶ flat graph ──┬────────────┬─▶ script or package ──gate──▶ compiled/<machine key>/
                                         └──▶ rates ──┘                        ▲
                                                                        drawn requests

`bundle.py` writes the steps down in order. Another way to run a graph is another file beside `script.py`.
"""

from recserve.engines.torch_arrays import know_sizes

know_sizes()
