from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from starlette.testclient import TestClient
from tests.deploy.simulation import TINY

from recserve.deploy.api.app import application
from recserve.deploy.backends.memory import MemoryBackend
from recserve.deploy.plane import Plane

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERVICE = "/api/v2/services/local/tiny"


class Api:
    """The API of a control plane whose instances only seem to run; `step` is a pass of its reconciler."""

    def __init__(self, folder: Path) -> None:
        self.plane = Plane(folder, MemoryBackend, endpoint="http://gateway:8080")
        self.client = TestClient(application(self.plane), raise_server_exceptions=False)
        self.client.headers["Authorization"] = f"Bearer {self.plane.token}"

    def ask(self, method: str, path: str, body: Any = None, *, status: int = 200, **query: Any) -> Any:
        """The answer, of which the status is checked."""
        answer = self.client.request(method, path, json=body, params=query)
        assert answer.status_code == status, answer.text
        return answer.json()

    def of(self, method: str, what: str, body: Any = None, *, status: int = 200, **query: Any) -> Any:
        """The same of the service `tiny`."""
        return self.ask(method, f"{SERVICE}/{what}" if what else SERVICE, body, status=status, **query)

    def create(self, **changes: Any) -> Any:
        return self.ask("POST", "/api/v2/services", {**TINY, **changes})

    def step(self, times: int = 3) -> None:
        for _ in range(times):
            self.plane.reconciler.reconcile()


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    made = Api(tmp_path)
    yield made
    made.plane.close(keep=False)
