"""docs/deploy.md, from its first line to its last, with real processes: every command does what it says."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.example_services import write_my_export
from tests.markdown import ROOT, fences

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGE = ROOT / "docs" / "deploy.md"
URL = "http://127.0.0.1:8088"
HOURS = {"scaleJobs": [{"name": "night", "schedule": "0 0 22 29 2 *", "targetSize": 1}]}


class Reader:
    """Someone who types what the page says, in a folder and with a control plane of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "RECSERVE_HOME": str(folder / "home"),
            "PYTHONPATH": os.pathsep.join(sys.path),
            "COLUMNS": "200",
        }

    def type(self, line: str) -> str:
        """Run one command line; what it prints."""
        command = [sys.executable, "-m", "recserve", *shlex.split(line)[1:]]
        if command[3] == "up":
            command += ["--port", "0"]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def python(self, text: str) -> str:
        """Run code as the page has it, with the address and the token that this control plane has."""
        found = json.loads((self.folder / "home" / "context.json").read_text())
        service = json.loads(self.type("recserve desc rank -o json"))
        text = text.replace(URL, found["url"]).replace("what create printed", service["AccessToken"])
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(text, str(PAGE), "exec"), {"__name__": "__page__"})
        return printed.getvalue()


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    for fence in fences(PAGE, "json"):
        document = json.loads(fence.text)
        file = {"rank": "rank", "rank_canary": "canary"}[document["name"]]
        (tmp_path / f"{file}.json").write_text(fence.text)
    (tmp_path / "hours.json").write_text(json.dumps(HOURS))
    write_my_export(tmp_path, {})
    made = Reader(tmp_path)
    yield made
    subprocess.run(
        [sys.executable, "-m", "recserve", "down"], env=made.environment, capture_output=True, check=False
    )


def test_the_page_leads_from_nothing_to_a_canary_and_back(reader: Reader) -> None:
    for fence in fences(PAGE, "sh", "python"):
        if fence.language == "python":
            assert reader.python(fence.text) == fence.output
            continue
        for line in fence.commands():
            reader.type(line)
