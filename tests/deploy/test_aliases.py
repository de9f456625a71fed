from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from recserve.deploy.aliases import Aliases
from recserve.deploy.errors import RefusedError
from recserve.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def aliases(folder: Path, **table: str) -> Aliases:
    (folder / "aliases.json").write_text(json.dumps(table))
    return Aliases(folder)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("/data/model", "/data/model"),
        ("/data/../data/./model/", "/data/model"),
        ("file:///data/model", "/data/model"),
        ("oss://rec/models/v1", "/buckets/rec/models/v1"),
        ("oss://rec/", "/buckets/rec"),
        ("oss://rec.oss-cn-hangzhou.aliyuncs.com/models", "/buckets/rec/models"),
        ("oss://other/x", "/all/other/x"),
    ],
)
def test_where_a_name_is(tmp_path: Path, name: str, expected: str) -> None:
    found = aliases(tmp_path, **{"oss://rec": "/buckets/rec", "oss://": "/all"})

    assert found(name) == expected


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("models/v1", "is not absolute"),
        ("file://host/data", "is not absolute"),
        ("oss://rec/../secret", "leaves its bucket"),
        ("oss://rec/a/../../secret", "leaves its bucket"),
        ("oss://../control.db", "leaves its bucket"),
        ("s3://rec/x", "where is s3://rec"),
    ],
)
def test_what_is_nowhere_is_refused_with_the_way_out(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "store").mkdir()
    found = aliases(tmp_path, **{"oss://rec": "/buckets/rec"})

    with pytest.raises(RefusedError, match=said):
        found(name)


def test_a_bucket_without_an_entry_is_where_the_sdk_uploads_to(tmp_path: Path) -> None:
    (tmp_path / "store" / "mine").mkdir(parents=True)

    assert Aliases(tmp_path)("oss://mine/x") == f"{tmp_path}/store/mine/x"


def test_a_changed_table_counts_at_once(tmp_path: Path) -> None:
    found = aliases(tmp_path, **{"oss://rec": "/old"})
    assert found("oss://rec/x") == "/old/x"

    aliases(tmp_path, **{"oss://rec": "/another"})

    assert found("oss://rec/x") == "/another/x"


@pytest.mark.parametrize("text", ["{", "[]", '{"oss://rec": "relative"}', '{"oss://rec": 1}'])
def test_a_table_that_is_none_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "aliases.json").write_text(text)

    with pytest.raises(ConfigError, match=r"aliases\.json"):
        Aliases(tmp_path)("oss://rec/x")
