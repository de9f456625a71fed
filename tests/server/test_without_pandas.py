from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

CODE = """
import sys
from recserve.server.without_pandas import do_without_pandas
do_without_pandas()
import pyarrow as pa
import recserve.server.serve
pa.array([1, 2])
print("pandas" in sys.modules)
import pandas
print(pandas.imported)
"""


def test_pyarrow_leaves_pandas_alone_and_others_may_import_it(tmp_path: Path) -> None:
    (tmp_path / "pandas.py").write_text("__version__ = '2.2.0'\nimported = True\n")
    path = os.pathsep.join([str(tmp_path), *sys.path])

    result = subprocess.run(
        [sys.executable, "-c", CODE],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": path},
    )

    assert result.stdout.split() == ["False", "True"]
