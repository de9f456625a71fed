"""-D: where a value goes, and which value it is."""

from __future__ import annotations

from typing import Any

import pytest

from recserve.deploy.assignment import assigned, laid_over
from recserve.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "change"),
    [
        ("metadata.instance=3", {"metadata": {"instance": 3}}),
        (r"metadata.eas\.termination_grace_period=60", {"metadata": {"eas.termination_grace_period": 60}}),
        ("labels.team=search", {"labels": {"team": "search"}}),
        ("labels.build=007", {"labels": {"build": "007"}}),
        ('labels.build="7"', {"labels": {"build": "7"}}),
        ("a.b=x=y", {"a": {"b": "x=y"}}),
        ("a=", {"a": ""}),
        ("a=true", {"a": True}),
        ("a=null", {"a": None}),
        ("a=NaN", {"a": "NaN"}),
        ('a=[{"name": "x"}]', {"a": [{"name": "x"}]}),
        ("a=/data/model", {"a": "/data/model"}),
    ],
)
def test_a_value_that_is_json_is_that_and_any_other_a_text(text: str, change: dict[str, Any]) -> None:
    assert assigned([text]) == change


def test_several_make_one_change() -> None:
    assert assigned(["metadata.cpu=2", "metadata.rpc.keepalive=1000", "metadata.cpu=4"]) == {
        "metadata": {"cpu": 4, "rpc": {"keepalive": 1000}}
    }


@pytest.mark.parametrize(
    ("texts", "why"),
    [
        (["metadata.instance"], "key=value is expected"),
        (["=3"], "key=value is expected"),
        (["a..b=3"], "key=value is expected"),
        (["a=1", "a.b=2"], "another -D gives a a value"),
        (["a.b=2", "a=1"], "another -D gives a keys"),
    ],
)
def test_what_is_no_assignment_or_contradicts_another_is_told(texts: list[str], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        assigned(texts)


def test_assignments_win_over_a_file_and_nulls_stay() -> None:
    file = {"metadata": {"cpu": 1, "memory": 2}, "labels": {"a": "b"}}

    assert laid_over(file, {"metadata": {"cpu": None}, "labels": "x"}) == {
        "metadata": {"cpu": None, "memory": 2},
        "labels": "x",
    }
