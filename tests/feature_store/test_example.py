from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import recserve

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "03_feature_store" / "run.py"


def test_the_example_runs_and_prints_what_it_found(tmp_path: Path) -> None:
    sources = str(Path(recserve.__file__).resolve().parents[1])
    environ = {**os.environ, "PYTHONPATH": sources, "PYTHONWARNINGS": "error"}

    done = subprocess.run(
        [sys.executable, str(SCRIPT)],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "behaviours: 20 rows are online now" in done.stdout
    assert "u1's click_seq: i17;i27;i37;i47;i7" in done.stdout
    assert len(SCRIPT.read_text().splitlines()) <= 60
