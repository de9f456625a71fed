"""Tables that a service file, or a feature store's registry, names: no log shows how they are reached."""

from __future__ import annotations

import io
import json
import logging
from typing import TYPE_CHECKING

import pytest
import yaml
from tests.feature_store.shop import REGISTRY, write_shop

from recserve.config.service import load
from recserve.observe import logs
from recserve.processors.item_tables import tables_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STORE = {"fg_mode": "normal", "fs_project": "shop", "fs_model": "rank_v1", "fs_entity": "item"}


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    stream, root = io.StringIO(), logging.getLogger()
    level = root.level
    handler = logs.configure(stream=stream)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


def test_what_a_registry_takes_from_the_environment_is_in_no_log(
    tmp_path: Path, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_shop(tmp_path)
    registry = yaml.safe_load(REGISTRY)
    for place in ("offline", "online"):
        registry["project"][place]["path"] = f"${{SHARE}}/{registry['project'][place]['path']}"
    (tmp_path / "feature_store.yaml").write_text(yaml.safe_dump(registry, sort_keys=False))
    monkeypatch.setenv("SHARE", str(tmp_path))
    spec = load({"model_config": STORE}, {}, base_dir=tmp_path)

    with tables_of(spec):
        logging.getLogger("recserve").warning(f"opened {tmp_path}/items")

    assert json.loads(log.getvalue().splitlines()[-1])["message"] == "opened ***/items"


def test_the_password_of_a_url_in_a_registry_is_in_no_log(
    tmp_path: Path, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_shop(tmp_path)
    registry = yaml.safe_load(REGISTRY)
    registry["project"]["online"] = {"kind": "redis", "url": "redis://:${PASSWORD}@127.0.0.1:1/0"}
    (tmp_path / "feature_store.yaml").write_text(yaml.safe_dump(registry, sort_keys=False))
    monkeypatch.setenv("PASSWORD", "hidden-1")
    spec = load({"model_config": STORE}, {}, base_dir=tmp_path)

    with tables_of(spec):
        logging.getLogger("recserve").warning("no answer from redis://:hidden-1@127.0.0.1:1/0")

    assert "hidden" not in log.getvalue()
    assert "redis://:***@127.0.0.1:1/0" in log.getvalue()
