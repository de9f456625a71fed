"""`recserve replay` against real servers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.cli.conftest import OUTPUTS, REQUEST, make

from recserve.client.request import build_request
from recserve.testing import serve
from recserve.wire.torchrec import encode_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from typer.testing import Result

    Call = Callable[..., Result]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The URLs of two servers; the model of the second adds up something else."""
    one, other = (make(tmp_path_factory.mktemp(name)) for name in ("one", "other"))
    sums = {**OUTPUTS, "probs_ctr": [*OUTPUTS["probs_ctr"], "age.values"]}
    other.write("bundle/column_sum.json", {"outputs": sums})
    with (
        serve(one.bundle, one.path / "service.json") as a,
        serve(other.bundle, other.path / "service.json") as b,
    ):
        yield a.url, b.url


@pytest.fixture
def log(folder: Any) -> Path:
    path: Path = folder.path / "log"
    path.mkdir()
    for number in range(3):
        request = build_request(**{**REQUEST, "debug_level": 100})
        (path / f"r{number}_0a.pb").write_bytes(encode_request(request))
    return path


def test_one_service_is_asked_for_answers_and_latency(
    call: Call, log: Path, servers: tuple[str, str]
) -> None:
    result = call("replay", str(log), "--against", servers[0], "--token", "s3cret")

    assert result.exit_code == 0
    assert "200: 3" in result.stdout
    assert "verdict" in result.stdout
    assert "yes" in result.stdout


def test_a_service_equals_itself(call: Call, log: Path, servers: tuple[str, str]) -> None:
    both = f"{servers[0]},{servers[0]}"

    result = call("replay", str(log), "--against", both, "--config", "service.json", "--json")

    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert report["outputs"]["probs_ctr"]["max"] == 0
    assert report["verdict"] == "yes"


def test_two_services_that_differ_are_told_apart(
    call: Call, log: Path, servers: tuple[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "report"

    result = call(
        "replay", str(log), "--against", ",".join(servers), "--token", "s3cret", "--output", str(out)
    )

    assert result.exit_code == 1
    assert "probs_ctr differs by" in result.stdout
    assert "r0_0a.pb" in result.stdout
    assert json.loads((out / "report.json").read_text())["verdict"] == "no"
    assert (out / "replay.png").stat().st_size > 0


def test_a_tolerance_is_a_matter_of_taste(call: Call, log: Path, servers: tuple[str, str]) -> None:
    options = ["--against", ",".join(servers), "--token", "s3cret", "--tolerance", "1e9"]

    assert call("replay", str(log), *options).exit_code == 0
    assert call("replay", str(log), *options, "--slowdown", "0").exit_code == 1


def test_a_wrong_token_is_a_verdict_too(call: Call, log: Path, servers: tuple[str, str]) -> None:
    result = call("replay", str(log), "--against", ",".join(servers), "--token", "s3cret", "--token", "wrong")

    assert result.exit_code == 1
    assert "401: 3" in result.stdout


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--against", "a,b,c"], 1, "to one, or to two"),
        (["--against", "a,b", "--token", "1", "--token", "2", "--token", "3"], 2, "3 tokens for 2 services"),
    ],
)
def test_usage_errors_are_told(call: Call, log: Path, options: list[str], code: int, message: str) -> None:
    result = call("replay", str(log), *options)

    assert result.exit_code == code
    assert message in result.stderr
