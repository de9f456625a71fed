from __future__ import annotations

import errno
import os
import re
import stat
from typing import TYPE_CHECKING

import pytest

from recserve.observe.capture_files import HourFolders, OneFolder, file_name, write_whole
from recserve.observe.retention import Retention

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("request_id", "readable"),
    [
        ("r-1.a_b", "r-1.a_b"),
        ("", "request"),
        ("..", "request"),
        ("../../etc/passwd", "etc_passwd"),
        ("/etc/passwd", "etc_passwd"),
        (".hidden", "hidden"),
        ("a\nb\x00c\td e", "a_b_c_d_e"),
        ("中文", "request"),
        ("x" * 10_240, "x" * 64),
        ("C:\\con", "C_con"),
        ("\ud800", "request"),  # half of a surrogate pair
    ],
)
def test_a_file_name_is_harmless_whatever_the_request_is_called(request_id: str, readable: str) -> None:
    name = file_name(request_id)

    assert re.fullmatch(re.escape(readable) + r"_[0-9a-f]{12}\.pb", name)


def test_two_captures_of_one_request_have_two_names() -> None:
    assert file_name("r") != file_name("r")


def test_captures_lie_in_a_folder_per_hour_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    root = tmp_path / "new" / "log"
    shelf = HourFolders(root, Retention(now=lambda: 1_774_018_800.0))
    shelf.prepare()

    shelf.write("r1", b"content")

    (file,) = root.rglob("*.pb")
    assert file.parent == root / "2026032015"  # in UTC
    assert file.read_bytes() == b"content"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(root.stat().st_mode) == 0o700


def test_a_folder_that_vanished_is_made_again(tmp_path: Path) -> None:
    shelf = OneFolder(tmp_path / "warm")
    shelf.prepare()
    (tmp_path / "warm").rmdir()

    shelf.write("r1", b"1")

    assert len(list((tmp_path / "warm").iterdir())) == 1


def test_a_start_removes_what_was_not_finished_and_nothing_else(tmp_path: Path) -> None:
    hour = tmp_path / "2026032015"
    other = tmp_path / "notes"
    for folder in (hour, other):
        folder.mkdir()
        (folder / ".r_1.pb.part").write_bytes(b"half")
        (folder / "r_2.pb").write_bytes(b"whole")
        (folder / "readme.txt").write_bytes(b"mine")

    HourFolders(tmp_path, Retention()).prepare()

    assert sorted(os.listdir(hour)) == ["r_2.pb", "readme.txt"]
    assert sorted(os.listdir(other)) == [".r_1.pb.part", "r_2.pb", "readme.txt"]


def test_a_start_removes_what_was_not_finished_in_one_folder(tmp_path: Path) -> None:
    (tmp_path / ".r_1.pb.part").write_bytes(b"half")
    (tmp_path / "r_2.pb").write_bytes(b"whole")

    OneFolder(tmp_path).prepare()

    assert os.listdir(tmp_path) == ["r_2.pb"]


def test_a_file_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "taken.pb").mkdir()  # so it cannot be given its name

    with pytest.raises(OSError, match="directory") as raised:
        write_whole(tmp_path, "taken.pb", b"content")

    assert raised.value.errno == errno.EISDIR
    assert os.listdir(tmp_path) == ["taken.pb"]


def test_a_link_in_the_place_of_a_file_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("mine")
    folder = tmp_path / "log"
    folder.mkdir()
    (folder / ".r.pb.part").symlink_to(secret)

    with pytest.raises(FileExistsError):
        write_whole(folder, "r.pb", b"theirs")

    assert secret.read_text() == "mine"
