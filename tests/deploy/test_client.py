"""Which control plane is asked, and with whose token."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from recserve.deploy.client import ControlClient, ControlError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RECSERVE_HOME", str(tmp_path))
    monkeypatch.delenv("RECSERVE_ENDPOINT", raising=False)
    monkeypatch.delenv("RECSERVE_TOKEN", raising=False)
    (tmp_path / "context.json").write_text(json.dumps({"url": "http://10.0.0.1:8088", "pid": 1}))
    (tmp_path / "token").write_text("s3cret\n")
    return tmp_path


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("url", ["", "http://10.0.0.1:8088/", "127.0.0.1:9", "http://localhost:9"])
def test_a_folders_token_is_for_its_own_control_plane_and_this_machine(url: str) -> None:
    assert ControlClient.found(url)._token == "s3cret"


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    "url", ["http://10.0.0.2:8088", "http://localhost.example.com", "http://10.0.0.1:80880"]
)
def test_it_is_never_sent_to_another_one(url: str) -> None:
    with pytest.raises(ControlError, match="set RECSERVE_TOKEN") as refused:
        ControlClient.found(url)

    assert "s3cret" not in str(refused.value)


@pytest.mark.usefixtures("home")
def test_variables_win_over_the_folder_and_arguments_over_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECSERVE_ENDPOINT", "http://there:1")
    monkeypatch.setenv("RECSERVE_TOKEN", "theirs")

    found, given = ControlClient.found(), ControlClient.found("http://here:2", "mine")

    assert (found.url, found._token) == ("http://there:1", "theirs")
    assert (given.url, given._token) == ("http://here:2", "mine")


def test_a_context_that_cannot_be_read_is_told(home: Path) -> None:
    (home / "context.json").write_text("{")

    with pytest.raises(ControlError, match="does not say where a control plane is"):
        ControlClient.found()
