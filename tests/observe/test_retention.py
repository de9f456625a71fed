from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from recserve.observe.capture_files import HourFolders
from recserve.observe.retention import Retention

if TYPE_CHECKING:
    from pathlib import Path

HOUR = 3600.0
START = 1_774_018_800.0  # 2026-03-20 15:00 UTC


class Clocks:
    """The system's clock, which may jump, and one that goes on by itself."""

    def __init__(self) -> None:
        self.wall = START
        self.steady = 50.0

    def go_on(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds

    def retention(self, max_bytes: int = 0, max_age_h: float = 0) -> Retention:
        return Retention(max_bytes, max_age_h * HOUR, now=lambda: self.wall, steady=lambda: self.steady)


def hours(root: Path) -> dict[str, int]:
    """Captures per hour."""
    return {folder.name: len(os.listdir(folder)) for folder in sorted(root.iterdir())}


def contents(root: Path) -> set[bytes]:
    return {file.read_bytes() for file in root.rglob("*.pb")}


def test_the_oldest_captures_go_when_there_are_too_many_bytes(tmp_path: Path) -> None:
    clocks = Clocks()
    retention = clocks.retention(max_bytes=40)
    shelf = HourFolders(tmp_path, retention)

    for number in range(10):
        shelf.write("r", b"%010d" % number)
        clocks.go_on(HOUR / 2)

    assert contents(tmp_path) == {b"%010d" % number for number in range(6, 10)}
    assert hours(tmp_path) == {"2026032018": 2, "2026032019": 2}
    assert retention.kept_bytes == 40
    assert retention.removed == 6


def test_the_bound_holds_within_one_hour_too(tmp_path: Path) -> None:
    retention = Clocks().retention(max_bytes=100)
    shelf = HourFolders(tmp_path, retention)

    for number in range(300):
        shelf.write("r", b"%010d" % number)
        assert sum(file.stat().st_size for file in tmp_path.rglob("*.pb")) <= 100

    assert len(contents(tmp_path)) == 10
    assert retention.kept_bytes == 100


def test_captures_that_are_too_old_go_with_their_folder(tmp_path: Path) -> None:
    clocks = Clocks()
    retention = clocks.retention(max_age_h=2)
    shelf = HourFolders(tmp_path, retention)
    shelf.write("r", b"old")
    clocks.go_on(1.5 * HOUR)
    shelf.write("r", b"young")

    clocks.go_on(2 * HOUR)
    retention.tidy()

    assert hours(tmp_path) == {"2026032016": 1}
    assert contents(tmp_path) == {b"young"}


def test_all_folders_have_one_bound(tmp_path: Path) -> None:
    clocks = Clocks()
    retention = clocks.retention(max_bytes=10)
    one, other = (HourFolders(tmp_path / name, retention) for name in ("one", "other"))
    one.write("r", b"12345")
    clocks.go_on(HOUR)
    other.write("r", b"12345")
    clocks.go_on(HOUR)
    other.write("r", b"12345")

    assert contents(tmp_path / "one") == set()
    assert len(list((tmp_path / "other").rglob("*.pb"))) == 2


def test_what_earlier_processes_left_counts(tmp_path: Path) -> None:
    clocks = Clocks()
    HourFolders(tmp_path, clocks.retention()).write("r", b"x" * 60)
    clocks.go_on(HOUR)

    retention = clocks.retention(max_bytes=100)
    shelf = HourFolders(tmp_path, retention)
    shelf.prepare()
    assert retention.kept_bytes == 60
    shelf.write("r", b"y" * 60)

    assert contents(tmp_path) == {b"y" * 60}
    assert hours(tmp_path) == {"2026032016": 1}


@pytest.mark.parametrize("jump", [-400 * 24 * HOUR, 400 * 24 * HOUR])
def test_a_jump_of_the_clock_removes_nothing(tmp_path: Path, jump: float) -> None:
    clocks = Clocks()
    shelf = HourFolders(tmp_path, clocks.retention(max_age_h=168))
    shelf.write("r", b"before")
    clocks.wall += jump
    shelf.write("r", b"after")
    clocks.wall -= jump
    shelf.write("r", b"again")

    assert contents(tmp_path) == {b"before", b"after", b"again"}


def test_what_others_remove_or_have_put_there_does_no_harm(tmp_path: Path) -> None:
    clocks = Clocks()
    retention = clocks.retention(max_bytes=30)
    shelf = HourFolders(tmp_path, retention)
    for _ in range(3):
        shelf.write("r", b"x" * 10)
    for file in tmp_path.rglob("*.pb"):
        file.unlink()
    mine = tmp_path / "2026032015" / "readme.txt"
    mine.write_text("mine")
    (tmp_path / "2026010100").mkdir()
    clocks.go_on(HOUR)

    for _ in range(3):
        shelf.write("r", b"y" * 10)

    assert contents(tmp_path) == {b"y" * 10}
    assert len(list(tmp_path.rglob("*.pb"))) == 3
    assert mine.exists()


def test_captures_that_cannot_be_removed_are_told_once_and_do_not_stop_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Stubborn(Retention):
        """The hour of 15 is on a disk that lets nothing go: as root, no mode of a folder does that."""

        def _next_to_go(self) -> Path | None:
            file = super()._next_to_go()
            return file.with_name("taken.pb") if file and file.parent.name == "2026032015" else file

    clocks = Clocks()
    retention = Stubborn(20, now=lambda: clocks.wall, steady=lambda: clocks.steady)
    shelf = HourFolders(tmp_path, retention)
    (tmp_path / "2026032015" / "taken.pb").mkdir(parents=True)
    for _ in range(6):
        shelf.write("r", b"x" * 10)
        clocks.go_on(HOUR)

    assert hours(tmp_path) == {"2026032015": 2, "2026032019": 1, "2026032020": 1}
    assert [record.message for record in caplog.records] == ["cannot remove old captures"]
