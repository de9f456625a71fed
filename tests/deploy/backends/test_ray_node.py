from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from recserve.deploy.backends.ray.cluster import SETTINGS
from recserve.deploy.backends.ray.node import command
from recserve.deploy.backends.ray.token import use_token
from recserve.errors import LoadError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def test_the_head_has_the_settings_that_failures_need() -> None:
    made = command(head=True, port=7000)

    settings = next(one for one in made if one.startswith("--system-config="))
    assert json.loads(settings.partition("=")[2]) == SETTINGS
    assert {"--head", "--port=7000", "--block", "--disable-usage-stats"} <= set(made)


def test_a_node_says_whose_it_is_and_what_it_has() -> None:
    made = command(head=False, address="10.0.0.1:6379", pools=["gpu", "big"], cpu=4)

    pools = next(one for one in made if one.startswith("--resources="))
    assert set(json.loads(pools.partition("=")[2])) == {"pool:gpu", "pool:big"}
    assert {"--address=10.0.0.1:6379", "--num-cpus=4"} <= set(made)
    assert not [one for one in made if one.startswith(("--head", "--port", "--system-config"))]


@pytest.mark.parametrize(("head", "address"), [(True, "10.0.0.1:6379"), (False, "")])
def test_a_node_is_the_head_or_belongs_to_one(head: bool, address: str) -> None:
    with pytest.raises(LoadError, match="--head"):
        command(head=head, address=address)


def test_the_token_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    first = use_token(make=True, home=tmp_path)

    assert first is not None
    text = first.read_text()
    assert len(text) == 64
    assert first.stat().st_mode & 0o777 == 0o600
    assert use_token(make=True, home=tmp_path) == first
    assert first.read_text() == text


def test_a_machine_without_a_token_uses_none(tmp_path: Path) -> None:
    assert use_token(home=tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_whoever_disables_tokens_is_heeded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")

    assert use_token(make=True, home=tmp_path) is None
    assert list(tmp_path.iterdir()) == []
