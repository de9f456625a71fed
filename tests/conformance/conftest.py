"""The services that the checklist is held against: one with features and items, one with tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.processors.conftest import service_of, write_bundle
from tests.server.conftest import Running, running_bundle

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def rank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """`score` and `tags` of a user and items; see tests/processors/conftest.py."""
    bundle = write_bundle(tmp_path_factory.mktemp("rank"))
    with running_bundle(bundle, service_of()) as server:
        yield server
