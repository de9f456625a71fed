"""Relative paths of a service file mean what they mean to `recserve serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recserve.deploy.paths import absolute

FOLDER = Path("/srv/rank")


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"model_path": "bundle"}, {"model_path": "/srv/rank/bundle"}),
        ({"model_path": "../other"}, {"model_path": "/srv/other"}),
        ({"model_path": "/data/b"}, {"model_path": "/data/b"}),
        ({"model_path": "oss://b/x"}, {"model_path": "oss://b/x"}),
        ({"model_path": "${MODELS}/b"}, {"model_path": "${MODELS}/b"}),
        ({"warm_up_data_path": ["a.pb", "/b.pb"]}, {"warm_up_data_path": ["/srv/rank/a.pb", "/b.pb"]}),
        (
            {"model_config": {"remote_type": "file", "tables": {"name": "items.parquet", "key": "id"}}},
            {
                "model_config": {
                    "remote_type": "file",
                    "tables": [{"name": "/srv/rank/items.parquet", "key": "id"}],
                }
            },
        ),
        (
            {"model_config": {"remote_type": "hologres", "tables": [{"name": "items"}]}},
            {"model_config": {"remote_type": "hologres", "tables": [{"name": "items"}]}},
        ),
        (
            {"model_config": {"request_log_path": "log", "fg_mode": "normal"}},
            {"model_config": {"request_log_path": "/srv/rank/log", "fg_mode": "normal"}},
        ),
        (
            {"storage": [{"mount_path": "/m", "host_path": {"path": "code"}}, {"nfs": {"path": "x"}}]},
            {
                "storage": [
                    {"mount_path": "/m", "host_path": {"path": "/srv/rank/code"}},
                    {"nfs": {"path": "x"}},
                ]
            },
        ),
    ],
)
def test_paths_of_the_file_start_at_it_and_all_else_stays(
    document: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert absolute(document, FOLDER) == expected


def test_a_registry_beside_the_file_is_the_one_of_its_project(tmp_path: Path) -> None:
    document = {"model_config": {"fs_project": "shop"}}
    assert absolute(document, tmp_path) == document

    (tmp_path / "feature_store.yaml").write_text("project: shop")

    assert absolute(document, tmp_path)["model_config"]["fs_registry"] == str(tmp_path / "feature_store.yaml")
