from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.deploy.backends.contract import BackendContract

from recserve.deploy.backends.memory import MemoryBackend

if TYPE_CHECKING:
    from recserve.deploy.backends.backend import Backend


class TestMemoryBackend(BackendContract):
    @pytest.fixture
    def backend(self) -> Backend:
        return MemoryBackend()
