"""Which admin port is meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click.exceptions
import pytest
import typer

from recserve.cli.items.target import client

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Folder


def config(folder: Folder, **rpc: Any) -> Path:
    return folder.write("other.json", {"name": "r", "token": "t", "metadata": {"rpc": rpc}})


def test_the_service_file_says_the_port_and_the_token(folder: Folder) -> None:
    found = client("", "", config(folder, admin_port=8123), 1.0)

    assert found.url == "http://127.0.0.1:8123/items"
    assert found._headers == {"Authorization": "t"}


@pytest.mark.parametrize("url", ["db:8001", "http://db:8001", "http://db:8001/", "http://db:8001/items"])
def test_options_win_in_any_spelling(folder: Folder, url: str) -> None:
    found = client(url, "other", config(folder, admin_port=8123), 1.0)

    assert found.url == "http://db:8001/items"
    assert found._headers == {"Authorization": "other"}


def test_a_port_that_nobody_names_is_a_usage_error(folder: Folder) -> None:
    for path in (None, config(folder), config(folder, admin_port=-1)):
        with pytest.raises((typer.BadParameter, click.exceptions.BadParameter), match="--url"):
            client("", "", path, 1.0)
