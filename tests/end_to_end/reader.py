"""Someone who types what a page on deployment says, in a folder and with a control plane of their own."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from tests.example_services import write_my_export
from tests.markdown import ROOT, fences

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

DEPLOY = ROOT / "docs" / "deploy.md"
_FILES = {"rank": "rank.json", "rank_canary": "canary.json"}


class Reader:
    """Has the files that docs/deploy.md shows, and the model that they name."""

    def __init__(self, folder: Path, variables: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.environment = {
            **os.environ,
            "RECSERVE_HOME": str(self.home),
            "PYTHONPATH": os.pathsep.join(sys.path),
            "COLUMNS": "200",
            **(variables or {}),
        }
        for fence in fences(DEPLOY, "json"):
            (folder / _FILES[json.loads(fence.text)["name"]]).write_text(fence.text)
        write_my_export(folder, {})

    def type(self, line: str) -> str:
        """Run one command line to its end; what it prints."""
        done = subprocess.run(
            self._command(line),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def json(self, line: str) -> Any:
        """What a command prints as JSON."""
        return json.loads(self.type(f"{line} -o json"))

    def begin(self, line: str, log: Path) -> subprocess.Popen[bytes]:
        """Run one that stays in the foreground; what it writes goes to `log`."""
        with log.open("wb") as written:
            return subprocess.Popen(
                self._command(line),
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=written,
                start_new_session=True,
            )

    def _command(self, line: str) -> list[str]:
        words = shlex.split(line)
        assert words[0] == "recserve", line
        on_a_free_port = ["--port", "0"] if words[1] == "up" else []
        return [sys.executable, "-m", *words, *on_a_free_port]
