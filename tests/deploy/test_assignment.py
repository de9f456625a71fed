from __future__ import annotations

from typing import Any

import pytest

from recserve.deploy.assignment import change
from recserve.errors import ConfigError


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["metadata.instance=3"], {"metadata": {"instance": 3}}),
        (["metadata.instance=3", "metadata.cpu=0.5"], {"metadata": {"instance": 3, "cpu": 0.5}}),
        ([r"metadata.eas\.termination=5"], {"metadata": {"eas.termination": 5}}),
        (["model_config.fg_mode=normal"], {"model_config": {"fg_mode": "normal"}}),
        (["labels.team=null"], {"labels": {"team": None}}),
        (["model_path="], {"model_path": ""}),
        (["token=a=b"], {"token": "a=b"}),
        (['storage=[{"mount_path": "/x"}]'], {"storage": [{"mount_path": "/x"}]}),
        (["a=NaN"], {"a": "NaN"}),
        (["a='quoted'"], {"a": "'quoted'"}),
    ],
)
def test_assignments_are_a_change(texts: list[str], expected: dict[str, Any]) -> None:
    assert change(texts) == expected


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["metadata.instance"], "a path and a value"),
        (["=3"], "a path and a value"),
        (["a..b=3"], "a path and a value"),
        (["containers[0].port=3"], "the whole list"),
        (["a=1", "a.b=2"], "another -D"),
        (["a.b=1", "a=2"], "another -D"),
        (["a=1", "a=2"], "another -D"),
    ],
)
def test_what_is_no_assignment_is_named(texts: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        change(texts)
    assert f"-D{texts[-1]}" in str(caught.value)
