"""Requests whose tensors do not agree are refused by name, and those that do are answered: nothing else."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.engines import models

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("tile", [False, True], ids=["every row sent", "INPUT_TILE"])
def test_no_odd_request_reaches_native_code_or_kills_the_process(tmp_path: Path, *, tile: bool) -> None:
    models.write_rank(tmp_path, tile=tile)
    (tmp_path / "fg.json").write_text(json.dumps(models.rank_features()))

    command = [sys.executable, "-W", "ignore", "-m", "tests.engines.odd_requests", str(tmp_path), "400"]
    asked = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)

    assert asked.returncode == 0, asked.stderr
    outcomes = ast.literal_eval(asked.stdout)
    assert min(outcomes["answered"], outcomes["refused"]) > 30
