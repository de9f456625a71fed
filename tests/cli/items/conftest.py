"""A running service with an admin port, and the commands that talk to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.server.conftest import running_bundle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.cli.conftest import Folder
    from typer.testing import Result

TABLES = {"remote_type": "file", "tables": [{"name": "items.parquet", "key": "item_id"}]}


@pytest.fixture
def ask(call: Callable[..., Result], folder: Folder) -> Iterator[Callable[..., Result]]:
    """Call `recserve items <command>` on a service with a snapshot file."""
    model = {"fg_mode": "normal", **TABLES, "item_snapshot": "items.snapshot"}
    document = {"name": "rank", "token": "s3cret", "admin_token": "operator", "model_config": model}
    with running_bundle(folder.bundle, document, admin_port=-1) as server:

        def run(*arguments: str, token: str = "operator", **options: Any) -> Result:
            return call("items", *arguments, "--url", server.server.admin_url, "--token", token, **options)

        yield run
