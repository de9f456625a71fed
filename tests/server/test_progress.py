from __future__ import annotations

import io
import logging
import sys

import pytest

from recserve.server import progress
from recserve.server.progress import LoggedProgress, ProgressBars, shown_progress


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
        shown("loading items", 10, 10)
        assert isinstance(shown, kind)
