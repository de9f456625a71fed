"""The unmodified tritonclient, which speaks the Open Inference Protocol with its binary extension."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tests.end_to_end.conftest import eas_python
from tests.server.conftest import running

if TYPE_CHECKING:
    from tests.server.conftest import Rank


def told_by(rank: Rank) -> dict[str, object]:
    session = Path(__file__).with_name("triton_session.py")
    done = subprocess.run(
        [eas_python(), session, f"127.0.0.1:{rank.port}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, object] = json.loads(done.stdout)
    return told


def test_tritonclient_finds_health_metadata_and_the_right_tensors_in_every_form() -> None:
    with running() as rank:
        told = told_by(rank)

    assert told == {
        "health": [True, True, True],
        "server": "recserve",
        "model": "rank",
        "answers": [["7", [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]]] * 12,
        "refused": [
            ["401", "not authorized: the request has no Authorization header"],
            ["404", "no such path: /v2/models/other/infer; this server answers /api/predict/rank"],
        ],
    }
