from __future__ import annotations

import io
import logging
import sys

import pytest

from recserve.server import progress
from recserve.server.progress import LoggedProgress, ProgressBars, Stage, WatchedProgress, shown_progress


def test_without_a_terminal_a_step_is_logged_when_it_begins_every_five_seconds_and_when_it_ends(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(progress, "monotonic", lambda: now)
    logged = LoggedProgress()

    with caplog.at_level(logging.INFO):
        for done in range(13):
            logged("loading items", done, 12)
            now += 1.0

    assert [vars(record)["done"] for record in caplog.records] == [0, 5, 10, 12]


def test_a_line_about_rows_says_how_fast_and_how_long_still(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(progress, "monotonic", lambda: now)
    logged = LoggedProgress()

    with caplog.at_level(logging.INFO):
        logged("loading items", 0, 1000)
        now += 6.0
        logged("loading items", 600, 1000, 1 << 20)

    figures = {name: vars(caplog.records[1])[name] for name in ("per_second", "seconds_left", "memory_bytes")}
    assert figures == {"per_second": 100, "seconds_left": 4.0, "memory_bytes": 1 << 20}


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        (Stage("loading"), "loading"),
        (Stage("loading the model", 0, 1), "loading the model"),
        (Stage("warming up", 3, 12, 0, 2.0), "warming up: 3 of 12"),
        (
            Stage("loading items", 1_200_000, 10_000_000, 3 << 29, 2.0),
            "loading items: 1,200,000 of 10,000,000 rows, 600,000 per second, 1.50 GiB, 15 s to go",
        ),
        (
            Stage("loading items", 5000, 0, 1 << 30, 2.0),
            "loading items: 5,000 rows, 2,500 per second, 1.00 GiB",
        ),
        (
            Stage("loading items", 7, 5, 1 << 30, 7.0),
            "loading items: 7 of 5 rows, 1 per second, 1.00 GiB, 0 s to go",
        ),
        (Stage("loading items", 0, 5, 1 << 30, 7.0), "loading items: 0 of 5 rows, 0 per second, 1.00 GiB"),
    ],
)
def test_a_stage_in_words(stage: Stage, words: str) -> None:
    assert stage.in_words() == words


def test_what_is_watched_is_shown_too_and_each_step_has_a_clock_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr(progress, "monotonic", lambda: now)
    shown: list[tuple[str, int, int, int]] = []
    watched = WatchedProgress(lambda step, done, total, size=0: shown.append((step, done, total, size)))

    watched("loading the model", 0, 1)
    now += 30.0
    watched("loading items", 0, 10, 5)
    now += 2.0
    watched("loading items", 4, 10, 6)
    now += 2.0

    assert shown == [
        ("loading the model", 0, 1, 0),
        ("loading items", 0, 10, 5),
        ("loading items", 4, 10, 6),
    ]
    assert watched.now() == Stage("loading items", 4, 10, 6, 4.0)


@pytest.mark.parametrize(("terminal", "kind"), [(True, ProgressBars), (False, LoggedProgress)])
def test_a_terminal_gets_bars_and_a_file_gets_lines(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, kind: type
) -> None:
    class Stream(io.StringIO):
        def isatty(self) -> bool:
            return terminal

    monkeypatch.setattr(sys, "stderr", Stream())

    with shown_progress() as shown:
        shown("loading items", 0, 10)
        shown("loading items", 10, 10, 1 << 20)
        assert isinstance(shown, kind)
