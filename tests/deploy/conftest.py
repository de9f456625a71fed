from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.deploy.simulation import Simulation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def simulation(tmp_path: Path) -> Iterator[Simulation]:
    """A control plane without processes."""
    made = Simulation(tmp_path)
    yield made
    made.store.close()
