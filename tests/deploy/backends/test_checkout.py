from __future__ import annotations

import base64
import http.server
import os
import subprocess
import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest

from recserve.deploy.backends.backend import Repository
from recserve.deploy.backends.checkout import CheckoutError, checkout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET = "t0p-secret"


def git(where: Path, *arguments: str) -> str:
    who = ("-c", "user.name=someone", "-c", "user.email=someone@example.org")
    command = ["git", "-C", str(where), *who, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Two commits on main, one on other."""
    made = tmp_path / "source"
    made.mkdir()
    git(made, "init", "--quiet", "--initial-branch", "main")
    for text in ("first", "second"):
        (made / "app.py").write_text(text)
        git(made, "add", ".")
        git(made, "commit", "--quiet", "-m", text)
    git(made, "checkout", "--quiet", "-b", "other")
    (made / "app.py").write_text("other")
    git(made, "commit", "--quiet", "-am", "other")
    git(made, "checkout", "--quiet", "main")
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "code"
    made.mkdir()
    return made


def test_a_branch_is_fetched_without_its_history(source: Path, folder: Path) -> None:
    checkout(Repository(source.as_uri()), folder)

    assert (folder / "app.py").read_text() == "second"
    assert git(folder, "rev-list", "--count", "HEAD") == "1"


def test_another_branch_is_fetched_by_its_name(source: Path, folder: Path) -> None:
    checkout(Repository(source.as_uri(), branch="other"), folder)

    assert (folder / "app.py").read_text() == "other"


@pytest.mark.parametrize("digits", [40, 10])
def test_a_commit_is_fetched_by_its_name_long_or_short(source: Path, folder: Path, digits: int) -> None:
    commit = git(source, "rev-parse", "HEAD~1")

    checkout(Repository(source.as_uri(), commit=commit[:digits]), folder)

    assert (folder / "app.py").read_text() == "first"


def test_what_is_fetched_already_is_left_as_it_is(source: Path, folder: Path) -> None:
    checkout(Repository(source.as_uri()), folder)
    (folder / "app.py").write_text("changed by the app")

    checkout(Repository(source.as_uri()), folder)

    assert (folder / "app.py").read_text() == "changed by the app"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"branch": "nowhere"}, "nowhere cannot be fetched"),
        ({"commit": "0" * 40}, "0000 cannot be fetched"),
        ({"url": "file:///no/such/repository"}, "file:///no/such/repository cannot be fetched"),
        ({"url": "ext::sh -c touch% /tmp/x"}, "cannot be fetched"),
    ],
)
def test_what_cannot_be_fetched_is_told_and_leaves_nothing(
    source: Path, folder: Path, changes: dict[str, str], said: str
) -> None:
    with pytest.raises(CheckoutError, match=said):
        checkout(Repository(**{"url": source.as_uri(), **changes}), folder)

    assert list(folder.iterdir()) == []


def test_whoever_does_not_want_it_any_more_does_not_wait(source: Path, folder: Path) -> None:
    os.mkfifo(source / ".git" / "stuck")
    os.rename(source / ".git" / "HEAD", source / ".git" / "kept")
    os.rename(source / ".git" / "stuck", source / ".git" / "HEAD")  # git reads it and never gets an answer

    with pytest.raises(CheckoutError, match="given up"):
        checkout(Repository(source.as_uri()), folder, given_up=lambda: True)


class Guarded(http.server.SimpleHTTPRequestHandler):
    """Files for those who have the token."""

    def do_GET(self) -> None:
        pair = base64.b64encode(f"oauth2:{SECRET}".encode()).decode()
        if self.headers["Authorization"] == f"Basic {pair}":
            super().do_GET()
        else:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="files"')
            self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def hosted(source: Path) -> Iterator[str]:
    git(source, "update-server-info")
    handler = partial(Guarded, directory=str(source.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/source/.git"
        server.shutdown()
        thread.join()


def test_a_token_opens_a_repository_and_is_written_nowhere(source: Path, folder: Path) -> None:
    with hosted(source) as url:
        checkout(Repository(url, secret=SECRET), folder)

    assert (folder / "app.py").read_text() == "second"
    for path in folder.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes()


def test_a_wrong_token_is_told_and_not_shown(source: Path, folder: Path) -> None:
    with hosted(source) as url, pytest.raises(CheckoutError, match="cannot be fetched") as raised:
        checkout(Repository(url, secret="wr0ng-secret"), folder)

    assert "wr0ng" not in str(raised.value)
    assert "wr0ng" not in repr(Repository(url, secret="wr0ng-secret"))
