from __future__ import annotations

from typing import TYPE_CHECKING

from recserve.deploy.backends.logs import last_lines, turn

if TYPE_CHECKING:
    from pathlib import Path


def test_the_end_of_a_large_log_is_kept_and_who_writes_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("ab") as writer:
        writer.write(b"old\n" * 100 + b"last\n")
        writer.flush()

        turn(log, most_bytes=10)
        writer.write(b"new\n")

    assert (tmp_path / "log.1").read_text() == "ld\nold\nlast\n"[-10:]
    assert log.read_text() == "new\n"


def test_a_small_log_stays(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("few words\n")

    turn(log)

    assert log.read_text() == "few words\n"
    assert not (tmp_path / "log.1").exists()


def test_a_log_is_emptied_also_where_what_it_held_cannot_be_kept(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("many words " * 10)
    (tmp_path / "log.1").mkdir()

    turn(log, most_bytes=10)

    assert log.read_text() == ""


def test_the_last_lines_are_read_whatever_bytes_they_are(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"x" * 10_000 + b"\n\xff\xfe\nlast")

    assert last_lines(log, 2) == ["\ufffd\ufffd", "last"]
    assert last_lines(tmp_path / "none", 2) == []
