"""What operators see names the trouble and never a secret."""

from __future__ import annotations

import pytest

from recserve.errors import SourceError
from recserve.items.status import Alarm, Alarms, told, without_secrets


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql://me:hunter2@db:5432/shop refused", "postgresql://me:***@db:5432/shop refused"),
        ("redis://:p@ss:word@cache", "redis://:***@cache"),
        ("password=hunter2 host=db", "password=*** host=db"),
        ("https://store?token=abc&x=1", "https://store?token=***&x=1"),
        ("Secret: abc, user me", "Secret: ***, user me"),
        ("table 'items' has no column 'password'", "table 'items' has no column 'password'"),
        ("postgresql://db/shop", "postgresql://db/shop"),
    ],
)
def test_secrets_are_starred_out(text: str, expected: str) -> None:
    assert without_secrets(text) == expected
    assert told(SourceError(text)) == expected


def test_an_alarm_is_new_once_and_goes_with_what_raised_it() -> None:
    alarms = Alarms()
    refused = Alarm("items", "refused", "refreshing", "too few rows", 2.0)
    lost = Alarm("items", "source", "following", "gone", 1.0)

    assert alarms.raise_(refused)
    assert not alarms.raise_(Alarm("items", "refused", "refreshing", "too few rows", 3.0))
    assert alarms.raise_(Alarm("items", "refused", "refreshing", "no rows", 3.0))
    assert alarms.raise_(lost)
    assert [alarm.message for alarm in alarms.all()] == ["gone", "no rows"]
    assert alarms.clear("items", "refreshing")
    assert not alarms.clear("items", "refreshing")
    assert alarms.all() == (lost,)
