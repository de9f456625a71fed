from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from recserve.deploy.cron import schedule, timetable
from recserve.deploy.errors import RefusedError

MONDAY = datetime(2026, 11, 16)


def times(text: str, day: datetime = MONDAY) -> list[str]:
    """Every minute of a day at which it strikes."""
    found = schedule(text)
    minutes = (day + timedelta(minutes=k) for k in range(24 * 60))
    return [
        f"{at:%H:%M}" for at in minutes if found.within(at - timedelta(seconds=1), at + timedelta(seconds=59))
    ]


def test_five_and_six_fields() -> None:
    assert times("30 8 * * *") == ["08:30"]
    assert times("0 30 8 * * *") == ["08:30"]
    assert times("0 0 8-12/2 * * ?") == ["08:00", "10:00", "12:00"]
    assert times("*/30 9,17 * * *") == ["09:00", "09:30", "17:00", "17:30"]
    assert times("0 22/1 * * *") == ["22:00", "23:00"]


def test_days() -> None:
    assert times("0 8 * * mon-fri") == ["08:00"]
    assert times("0 8 * * sat,7") == []
    assert times("0 8 * * sat,7", MONDAY - timedelta(days=1)) == ["08:00"]
    assert times("0 8 16 nov *") == ["08:00"]
    assert times("0 8 17 * *") == []
    assert times("0 8 17 * mon") == ["08:00"]  # either will do where both are restricted


def test_a_strike_counts_once_however_often_it_is_asked_for() -> None:
    found = schedule("0 0 8 * * *")
    at = MONDAY.replace(hour=7, minute=59, second=55)
    asked = [found.within(at + timedelta(seconds=k), at + timedelta(seconds=k + 1)) for k in range(10)]

    assert asked.count(True) == 1


def test_what_was_missed_while_nobody_looked_is_made_up_for_within_a_day() -> None:
    found = schedule("0 0 8 * * *")

    assert found.within(MONDAY, MONDAY + timedelta(hours=9))
    assert not found.within(MONDAY + timedelta(hours=9), MONDAY + timedelta(hours=20))
    assert found.within(MONDAY - timedelta(days=900), MONDAY)


def test_a_timetable_says_how_many_and_not_on_excluded_days() -> None:
    jobs = [
        {"name": "morning", "schedule": "0 0 8 * * *", "targetSize": 5},
        {"name": "night", "schedule": "0 0 22 * * *", "targetSize": 1},
    ]
    found = timetable({"scaleJobs": jobs, "excludeDates": ["* * * 17 11 ?"]})
    eight = MONDAY.replace(hour=8)

    job = found.wanted(eight - timedelta(seconds=1), eight)

    assert job is not None
    assert (job.name, job.instances) == ("morning", 5)
    assert found.wanted(eight, eight + timedelta(hours=1)) is None
    assert found.wanted(eight + timedelta(days=1, seconds=-1), eight + timedelta(days=1)) is None


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "a list of 1 to 100 jobs"),
        ({"scaleJobs": [{"schedule": "0 8 * * *"}]}, r"scaleJobs\[0\].targetSize is None"),
        ({"scaleJobs": [{"schedule": "8", "targetSize": 1}]}, "'8' has 1 fields; 5 or 6 are expected"),
        ({"scaleJobs": [{"schedule": "0 25 * * *", "targetSize": 1}]}, "hour '25' is none"),
        ({"scaleJobs": [{"schedule": "0 8 * * */0", "targetSize": 1}]}, r"weekday '\*/0' is none"),
        ({"scaleJobs": [{"schedule": "0 5-2 * * *", "targetSize": 1}]}, "hour '5-2' is none"),
        ({"scaleJobs": [{"schedule": "a b c d e", "targetSize": 1}]}, "minute 'a' is none"),
        (
            {"scaleJobs": [{"schedule": "0 8 * * *", "targetSize": 1}], "excludeDates": ["x"]},
            r"excludeDates\[0\]: 'x' has 1 fields",
        ),
    ],
)
def test_what_is_wrong_is_named(values: dict[str, object], said: str) -> None:
    with pytest.raises(RefusedError, match=said):
        timetable(values)
