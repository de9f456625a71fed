"""A control plane as a process of its own, and an app of ten lines that it can deploy."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from tests.deploy.backends.contract import APP
from tests.end_to_end.deployed import Deployed, control_plane

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    with control_plane(tmp_path_factory.mktemp("commands") / "home") as made:
        (made.home / "app.py").write_text(APP)
        yield made


@pytest.fixture(autouse=True)
def home(plane: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands ask this one."""
    monkeypatch.setenv("RECSERVE_HOME", str(plane.home))
    monkeypatch.delenv("RECSERVE_ENDPOINT", raising=False)
    monkeypatch.delenv("RECSERVE_TOKEN", raising=False)


def app_file(plane: Deployed, name: str, **metadata: Any) -> dict[str, Any]:
    """The service file of the app."""
    script = f"exec {sys.executable} {plane.home / 'app.py'}"
    return {
        "name": name,
        "metadata": {"instance": 1, "eas.termination_grace_period": 1, **metadata},
        "containers": [{"image": "env://python", "script": script, "env": [{"name": "WORD", "value": "hi"}]}],
    }


@pytest.fixture(scope="session")
def app(plane: Deployed) -> str:
    """A service that runs, for tests that leave it as it is."""
    document = app_file(plane, "app", group="apps")
    plane.client.create(document)
    plane.wait("app", lambda found: found["Status"] == "Running")
    return "app"
