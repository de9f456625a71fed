"""The sample shop in a folder of its own, and a way to call `recserve store` there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from recserve.cli.app import app
from recserve.feature_store.sample import write_sample

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    write_sample(tmp_path / "shop")
    return tmp_path / "shop"


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, shop: Path) -> Callable[..., Result]:
    monkeypatch.chdir(shop)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str, exit_code: int = 0) -> Result:
        result = CliRunner().invoke(app, ["store", *arguments])
        assert result.exit_code == exit_code, result.output
        return result

    return run
