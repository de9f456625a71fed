"""What the image and the compose file say, held against the project: no container engine is here to ask."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.markdown import ROOT
from tests.server.conftest import rank  # noqa: F401  a fixture
from typer.testing import CliRunner

from recserve.cli.app import app

if TYPE_CHECKING:
    from tests.server.conftest import Rank

DOCKERFILE = ROOT / "Dockerfile"


def instructions() -> list[tuple[str, str]]:
    """(keyword, argument) of each instruction, lines joined."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(), flags=re.M).replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines]


def last(keyword: str) -> str:
    return [argument for name, argument in instructions() if name == keyword][-1]


def test_what_is_copied_is_there_and_let_through() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    let_through = {line.removeprefix("!") for line in ignored if line.startswith("!")}

    for keyword, argument in instructions():
        if keyword == "COPY" and not argument.startswith("--from"):
            *sources, _ = argument.split()
            assert all((ROOT / source).exists() for source in sources)
            assert set(sources) <= let_through


def test_the_build_has_every_file_that_it_reads() -> None:
    copied = [a.split()[:-1] for k, a in instructions() if k == "COPY" and not a.startswith("--from")]
    sources = {source for line in copied for source in line}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    read = {project["readme"], *project["license-files"], "pyproject.toml", "CMakeLists.txt"}
    globs = re.findall(r"(?<![\w/])((?:cpp|proto|src)/[\w*./]+)", (ROOT / "CMakeLists.txt").read_text())
    folders = {glob.split("/")[0] for glob in globs if not fnmatch(glob, "cpp/tests/*")}

    assert read | folders <= sources


def test_it_does_not_run_as_root() -> None:
    user, _, group = last("USER").partition(":")

    assert int(user) > 0
    assert int(group) > 0


def test_its_command_is_one_that_the_program_takes() -> None:
    command, bundle, *options = json.loads(last("CMD"))
    shown = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1"}).invoke(app, [command, "--help"]).output

    assert json.loads(last("ENTRYPOINT")) == ["recserve"]
    assert bundle == "/model"
    assert all(option in shown for option in options if option.startswith("--"))


def test_its_health_check_tells_a_live_server_from_none(rank: Rank) -> None:  # noqa: F811
    _, _, command = last("HEALTHCHECK").partition("CMD ")
    _, *arguments = json.loads(command)

    def checked(port: int) -> int:
        moved = [argument.replace(":8000/", f":{port}/") for argument in arguments]
        return subprocess.run([sys.executable, *moved], capture_output=True, check=False).returncode

    assert checked(rank.server.port) == 0
    rank.stop()
    assert checked(rank.server.port) != 0


def test_its_extras_are_those_of_the_project() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = [
        a.partition("=")[2] for k, a in instructions() if k == "ARG" and a.startswith(("EXTRA", "SOURCES"))
    ]

    assert {extra for names in named for extra in names.split(",")} <= extras.keys()


def compose() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    return read


def test_the_service_has_no_rights_that_it_does_not_need() -> None:
    service = compose()["recserve"]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert all(volume.endswith(":ro") for volume in service["volumes"])


def test_there_is_time_to_drain() -> None:
    from recserve.config.rpc import Rpc

    grace = int(compose()["recserve"]["stop_grace_period"].removesuffix("s"))

    assert grace * 1000 > Rpc().drain_ms + Rpc().keepalive_ms


@pytest.mark.parametrize("name", ["prometheus", "grafana"])
def test_files_that_others_mount_are_there(name: str) -> None:
    for volume in compose()[name]["volumes"]:
        assert (ROOT / volume.split(":")[0]).is_file()


def test_prometheus_scrapes_the_service() -> None:
    config = yaml.safe_load((ROOT / "observability" / "prometheus.yaml").read_text())
    (job,) = config["scrape_configs"]
    port = last("EXPOSE")

    assert job["static_configs"] == [{"targets": [f"recserve:{port}"]}]
