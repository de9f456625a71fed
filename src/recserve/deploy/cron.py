"""Scaling by the clock: `{"scaleJobs": [{"name", "schedule", "targetSize"}], "excludeDates": […]}`.

A schedule is a cron expression of five fields (minute hour day month weekday) or, as the platform writes it,
six, with seconds first. Fields are `*`, `?`, numbers, lists, ranges and steps (`*/15`, `8-18/2`); weekdays
are 0 to 7 (0 and 7 are Sunday) or names, months 1 to 12 or names. As everywhere in cron, where both day and
weekday are restricted, either will do. Times are those of the control plane's time zone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from recserve.deploy.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
#: name, least, most, names and what the first of them is
_FIELDS: tuple[tuple[str, int, int, list[str], int], ...] = (
    ("second", 0, 59, [], 0),
    ("minute", 0, 59, [], 0),
    ("hour", 0, 23, [], 0),
    ("day", 1, 31, [], 0),
    ("month", 1, 12, _MONTHS, 1),
    ("weekday", 0, 7, _WEEKDAYS, 0),
)
_MOST_JOBS = 100


@dataclass(frozen=True, slots=True)
class Schedule:
    """The values that each field may have."""

    fields: tuple[frozenset[int], ...]  # second minute hour day month weekday; 7 is 0
    any_day: bool
    any_weekday: bool

    def on(self, day: datetime) -> bool:
        """Whether it holds on this day, whatever the time."""
        days, months, weekdays = self.fields[3:]
        by_day, by_weekday = day.day in days, (day.isoweekday() % 7) in weekdays
        both = by_day and by_weekday
        return day.month in months and (both if self.any_day or self.any_weekday else by_day or by_weekday)

    def within(self, after: datetime, until: datetime) -> bool:
        """Whether it strikes in (after, until], of which no more than the last day is looked at."""
        second, minute, hour = self.fields[:3]
        at = max(after, until - timedelta(days=1)).replace(microsecond=0) + timedelta(seconds=1)
        while at <= until:
            if at.hour not in hour or not self.on(at):
                at = (at + timedelta(hours=1)).replace(minute=0, second=0)
            elif at.minute not in minute:
                at = (at + timedelta(minutes=1)).replace(second=0)
            elif at.second not in second:
                at += timedelta(seconds=1)
            else:
                return True
        return False


@dataclass(frozen=True, slots=True)
class Job:
    """At a time, so many instances."""

    name: str
    schedule: Schedule
    instances: int


@dataclass(frozen=True, slots=True)
class Timetable:
    """A cron scaler, checked."""

    jobs: tuple[Job, ...]
    excluded: tuple[Schedule, ...] = ()  # days on which nothing is scaled

    def wanted(self, after: datetime, until: datetime) -> Job | None:
        """The job that struck in (after, until]: of several the last in the list."""
        if any(one.on(until) for one in self.excluded):
            return None
        return next((job for job in reversed(self.jobs) if job.schedule.within(after, until)), None)


def timetable(values: Mapping[str, Any]) -> Timetable:
    """Check a cron scaler; RefusedError with everything that is wrong."""
    jobs = values.get("scaleJobs")
    if not isinstance(jobs, list) or not jobs or len(jobs) > _MOST_JOBS:
        raise RefusedError([f"cronscaler.scaleJobs: a list of 1 to {_MOST_JOBS} jobs is expected"])
    problems: list[str] = []
    found = []
    for place, job in enumerate(jobs):
        size = job.get("targetSize") if isinstance(job, dict) else None
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= 10_000:
            problems.append(
                f"cronscaler.scaleJobs[{place}].targetSize is {size!r}; from 0 to 10,000 is expected"
            )
            continue
        try:
            found.append(Job(str(job.get("name", place)), schedule(job.get("schedule")), size))
        except RefusedError as error:
            problems += [f"cronscaler.scaleJobs[{place}].schedule: {one}" for one in error.problems]
    excluded = []
    dates = values.get("excludeDates") or []
    if not isinstance(dates, list):
        problems.append(f"cronscaler.excludeDates is {dates!r}; a list of schedules is expected")
        dates = []
    for place, text in enumerate(dates):
        try:
            excluded.append(schedule(text))
        except RefusedError as error:
            problems += [f"cronscaler.excludeDates[{place}]: {one}" for one in error.problems]
    if problems:
        raise RefusedError(problems)
    return Timetable(tuple(found), tuple(excluded))


def schedule(text: Any) -> Schedule:
    """Read a cron expression."""
    parts = text.split() if isinstance(text, str) else []
    if len(parts) not in (5, 6):
        raise RefusedError([f"{text!r} has {len(parts)} fields; 5 or 6 are expected, such as '0 0 8 * * *'"])
    parts = parts if len(parts) == 6 else ["0", *parts]
    fields = [_values(part, known) for part, known in zip(parts, _FIELDS, strict=True)]
    fields[5] = frozenset(day % 7 for day in fields[5])
    return Schedule(tuple(fields), any_day=parts[3] in "*?", any_weekday=parts[5] in "*?")


def _values(text: str, known: tuple[str, int, int, list[str], int]) -> frozenset[int]:
    name, least, most, names, first = known
    found: set[int] = set()
    for part in text.lower().split(","):
        span, slash, step_text = part.partition("/")
        low, dash, high = span.partition("-")
        try:
            step = int(step_text) if slash else 1
            if span in ("*", "?"):
                begin, end = least, most
            else:
                begin = _number(low, names, first)
                end = _number(high, names, first) if dash else most if slash else begin
            if not (least <= begin <= end <= most and step >= 1):
                raise ValueError
        except ValueError:
            raise RefusedError(
                [f"{name} {part!r} is none; *, numbers from {least} to {most}, a-b and a-b/step are"]
            ) from None
        found.update(range(begin, end + 1, step))
    return frozenset(found)


def _number(text: str, names: list[str], first: int) -> int:
    return names.index(text) + first if text in names else int(text)
