"""Runs what a page tells a reader to type: its Python and its shell lines, against a small real server."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import re
import shlex
import subprocess
import time
import tomllib
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
import urllib3
from tests.example_services import TOKEN, write_demo, write_my_export, write_training_rows
from tests.markdown import ROOT, Fence, fences
from typer.main import get_command
from typer.testing import CliRunner

from recserve.cli.app import app
from recserve.cli.deploy import app as deploy
from recserve.pyfg.__main__ import main as install_pyfg
from recserve.sdk import session
from recserve.testing import serve

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from recserve.testing import RunningServer

PAGE_URL = "http://127.0.0.1:8000"
#: Commands that ask a control plane.
DEPLOY = (
    {"node"}
    | {command.__name__ for command, _ in deploy.COMMANDS}
    | {name for names in deploy.ALSO.values() for name in names}
)
TUTORIAL = ROOT / "docs" / "tutorial.md"
FEATURES_TUTORIAL = ROOT / "docs" / "tutorial-features.md"


def json_of(page: Path, key: str) -> dict[str, Any]:
    """The first JSON fence of a page that has the key."""
    documents = (json.loads(fence.text) for fence in fences(page, "json"))
    return next(document for document in documents if key in document)


class PageRun:
    """A reader's folder, and the demo's server beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        write_demo(folder, json_of(TUTORIAL, "model_config"), token=TOKEN)
        write_my_export(folder, json_of(ROOT / "README.md", "model_config"))
        write_training_rows(folder)
        (folder / "request.json").write_text(json.dumps(json_of(TUTORIAL, "item_ids")))
        (folder / "fg.json").write_text(json.dumps(json_of(FEATURES_TUTORIAL, "features")))
        (folder / "ranker.json").write_text(json.dumps(json_of(FEATURES_TUTORIAL, "model_config")))
        self._running = ExitStack()
        self.server: RunningServer
        self._variables: dict[str, str] = {}
        self._names: dict[Path, dict[str, Any]] = {}

    def __enter__(self) -> PageRun:
        demo = self.folder / ".demo"
        home = self._running.enter_context(pytest.MonkeyPatch.context())
        home.setenv("RECSERVE_HOME", str(self.folder / "home"))
        home.setattr(session, "_default", [])
        self._running.callback(lambda: session.get_default_session().shutdown())
        self.server = self._running.enter_context(serve(demo / "bundle", demo / "service.json"))
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def python(self, fence: Fence) -> str:
        """What a Python fence prints. The current folder has to be ours; a page is one session."""
        text = fence.text.replace(PAGE_URL, self.server.base_url)
        names = self._names.setdefault(fence.page, {"__name__": "__page__"})
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(text, str(fence), "exec"), names)
        return printed.getvalue()

    def shell(self, line: str) -> None:
        """Do what a line says, or check that it could be done where doing it takes minutes."""
        word = line.split(maxsplit=1)[0].partition("=")[0]
        self._words()[word](line)

    def _words(self) -> dict[str, Callable[[str], None]]:
        return {
            "recserve": self._recserve,
            "make": self._make,
            "pip": self._pip,
            "python": self._python,
            "curl": self._curl,
            "TOKEN": self._variable,
        }

    def _recserve(self, line: str) -> None:
        line, _, written = line.partition(" > ")
        arguments = shlex.split(line)[1:]
        if arguments[0] in DEPLOY or arguments[:-2] == ["version"] or "--service" in arguments:
            check_options(arguments)  # tests/end_to_end/test_deploy.py does them
            return
        if arguments[0] in ("serve", "compile") or (arguments[0] == "items" and "--url" in arguments):
            # The server of this run is started by the same command; it has no admin port, and sums need no
            # compiler.
            check_options(arguments)
            return
        if arguments[0] in ("score", "bench"):
            arguments += ["--url", self.server.base_url]
        if arguments[0] in ("captures", "replay"):
            # Requests are kept in the background; and two versions are one here.
            while not list((self.folder / ".demo/bundle/torch_req").rglob("*.pb")):
                time.sleep(0.01)
            pages = (PAGE_URL, PAGE_URL.replace("8000", "8001"))
            for url in pages:
                arguments = [argument.replace(url, self.server.base_url) for argument in arguments]
        if arguments[0] == "bench":
            arguments += ["--duration", "0.2", "--warm-up", "0"]
        if arguments[0] in ("score", "bench") and "--config" in arguments:
            arguments[arguments.index("--config") + 1] = ".demo/service.json"
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, f"{line}\n{result.output}\n{result.exception!r}"
        if written:
            (self.folder / written.strip()).write_text(result.stdout)

    def _make(self, line: str) -> None:
        """The target exists."""
        targets = re.findall(r"^(\w[\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert line.split()[1] in targets, line

    def _pip(self, line: str) -> None:
        """The extras exist."""
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        for names in re.findall(r"\[([\w,-]+)\]", line):
            assert set(names.split(",")) <= extras.keys(), line

    def _python(self, line: str) -> None:
        """Install into a folder of our own rather than where the tests run."""
        arguments = shlex.split(line)[1:]
        assert arguments == ["-m", "recserve.pyfg", "install"], line
        install_pyfg(["install", "--folder", str(self.folder / "site-packages")])

    def _variable(self, line: str) -> None:
        name = line.partition("=")[0]
        shown = subprocess.run(
            ["bash", "-c", f"{line}; echo ${name}"],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=True,
        )
        self._variables[name] = shown.stdout.strip()

    def _curl(self, line: str) -> None:
        """What curl would do, for machines without it."""
        for name, value in self._variables.items():
            line = line.replace(f"${name}", value)
        parser = argparse.ArgumentParser()
        parser.add_argument("-H", action="append", default=[])
        parser.add_argument("--data-binary", default="")
        parser.add_argument("-o", default="")
        parser.add_argument("url")
        asked = parser.parse_args(shlex.split(line)[1:])
        body = (self.folder / asked.data_binary.removeprefix("@")).read_bytes() if asked.data_binary else None
        response = urllib3.request(
            "POST" if body else "GET",
            asked.url.replace(PAGE_URL, self.server.base_url),
            body=body,
            headers=dict(header.split(": ") for header in asked.H),
        )
        assert response.status == 200, f"{line}\n{response.data!r}"
        if asked.o:
            (self.folder / asked.o).write_bytes(response.data)


def check_options(arguments: list[str]) -> None:
    """Raise what the command line raises for a command or an option that it does not know."""
    command: Any = get_command(app)
    while hasattr(command, "commands"):
        name, *arguments = arguments
        command = command.commands[name]
    command.make_context(name, arguments, resilient_parsing=False)
