"""docs/deploy.md, from its first line to its last, with real processes: every command does what it says."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.end_to_end.reader import DEPLOY, Reader
from tests.markdown import fences

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

URL = "http://127.0.0.1:8088"
HOURS = {"scaleJobs": [{"name": "night", "schedule": "0 0 22 29 2 *", "targetSize": 1}]}


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    (tmp_path / "hours.json").write_text(json.dumps(HOURS))
    made = Reader(tmp_path)
    yield made
    subprocess.run(
        [sys.executable, "-m", "recserve", "down"], env=made.environment, capture_output=True, check=False
    )


def python(reader: Reader, text: str) -> str:
    """Run code as the page has it, with the address and the token that this control plane has."""
    found = json.loads((reader.home / "context.json").read_text())
    token = reader.json("recserve desc rank")["AccessToken"]
    text = text.replace(URL, found["url"]).replace("what create printed", token)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(text, str(DEPLOY), "exec"), {"__name__": "__page__"})
    return printed.getvalue()


def test_the_page_leads_from_nothing_to_a_canary_and_back(reader: Reader) -> None:
    for fence in fences(DEPLOY, "sh", "python"):
        if fence.language == "python":
            assert python(reader, fence.text) == fence.output
            continue
        for line in fence.commands():
            reader.type(line)
