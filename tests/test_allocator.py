"""The allocator of a process: found, laid over by beginning again, told, given back to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from recserve import allocator
from recserve.allocator import LIBRARIES, PACKAGES, described, find, first_installed, laid_over
from recserve.config.rpc import Rpc

if TYPE_CHECKING:
    from pathlib import Path

#: Those of this machine; a machine without one runs what is the same for all.
INSTALLED = [name for name in LIBRARIES if find(name)]
PROGRAM = """
import json, os, sys
from recserve.allocator import described, give_back_memory, laid_over, relaunch, tune_allocator
names = sys.argv[1].split(",")
relaunch(names, dict(os.environ))
tune_allocator()
give_back_memory()
print(json.dumps([laid_over(), described(names), os.getpid(), sys.argv[2:]]))
"""


def run(names: str, **variables: str) -> tuple[str, str, bool, list[str]]:
    """What a process had in the end, what it said, whether it was the same process, and its arguments."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, names, "a b", "--c"],
        stdout=subprocess.PIPE,
        text=True,
        env={**{k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}, **variables},
    )
    printed, _ = process.communicate(timeout=60)
    has, said, pid, arguments = json.loads(printed)
    return has, said, pid == process.pid, arguments


@pytest.mark.parametrize("name", INSTALLED)
def test_a_process_begins_again_with_the_allocator_it_wants_and_stays_itself(name: str) -> None:
    assert run(f"{name},glibc") == (name, name, True, ["a b", "--c"])


def test_glibc_is_there_without_beginning_again() -> None:
    assert run("glibc") == ("", "glibc", True, ["a b", "--c"])


def test_a_process_begins_again_once(tmp_path: Path) -> None:
    """Where the loader did not do as it was told, the second process must not try for ever."""
    names = [*INSTALLED, "glibc"]
    has, said, _, _ = run(",".join(names), RECSERVE_ALLOCATOR="tcmalloc")

    assert has == ""
    assert said == "glibc" if not INSTALLED else said.startswith(f"glibc, not {names[0]}: whoever started")


@pytest.mark.parametrize("name", INSTALLED)
def test_what_was_preloaded_already_is_left(name: str) -> None:
    library = str(find(name))
    has, said, _, _ = run("glibc", LD_PRELOAD=library)

    assert has == name
    assert said == f"{name}, not glibc: whoever started the process decided so"


def test_a_library_is_found_under_any_of_its_names_and_the_first_folder_counts(tmp_path: Path) -> None:
    first, second, third = (tmp_path / name for name in "abc")
    for folder in (first, second, third):
        folder.mkdir()
    (second / "libtcmalloc.so.4").touch()
    (third / "libtcmalloc_minimal.so.4").touch()

    assert find("tcmalloc", [first, second, third]) == second / "libtcmalloc.so.4"
    assert find("jemalloc", [first, second, third]) is None
    assert find("glibc", [first]) is None


def test_the_first_that_is_installed_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(allocator, "_library_folders", lambda: [tmp_path])
    assert first_installed(("tcmalloc", "jemalloc", "glibc")) == "glibc"
    assert described(("tcmalloc", "glibc")) == (
        f"{laid_over() or 'glibc'}, not tcmalloc, which is not installed; "
        f"try: apt-get install {PACKAGES['tcmalloc']}"
    )

    (tmp_path / "libjemalloc.so.2").touch()
    assert first_installed(("tcmalloc", "jemalloc", "glibc")) == "jemalloc"


@pytest.mark.parametrize(
    ("rpc", "expected"),
    [
        (Rpc(), ("tcmalloc", "glibc")),
        (Rpc(enable_jemalloc=True), ("tcmalloc", "glibc")),
        (Rpc(allocator="jemalloc"), ("jemalloc",)),
        (Rpc(allocator="glibc", enable_jemalloc=True), ("glibc",)),
    ],
)
def test_a_service_says_whom_to_take(rpc: Rpc, expected: tuple[str, ...]) -> None:
    assert rpc.allocators == expected
