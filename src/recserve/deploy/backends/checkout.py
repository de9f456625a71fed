"""What a mount has from a git repository: one commit, and no history where the server allows that.

Credentials travel in a variable of git's process: not in its command line, which everybody on the machine can
see, and not in the folder, which the app reads.
"""

from __future__ import annotations

import base64
import re
import shutil
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from recserve.config.environment import process_environ
from recserve.deploy.backends.commands import GivenUpError, run
from recserve.errors import RecserveError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from recserve.deploy.backends.backend import Repository

_LAST_LINES, _LAST_CHARACTERS = 3, 400
_EVERYTHING = ("+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*")


class CheckoutError(RecserveError):
    """A repository cannot be fetched, or does not have what is asked for."""


def checkout(repository: Repository, folder: Path, *, given_up: Callable[[], bool] = lambda: False) -> None:
    """Fill an empty folder, whole or not at all; what holds something already is left as it is."""
    if any(folder.iterdir()):
        return
    new = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    git = _Git(repository, new, given_up)
    git.do("init", "--quiet", str(new))
    git.do("checkout", "--quiet", "--detach", _fetched(git, repository))
    folder.rmdir()
    new.replace(folder)


def _fetched(git: _Git, repository: Repository) -> str:
    """Fetch what is wanted, and what is needed beside it; says what it is called then."""
    fetch, wanted = ("fetch", "--quiet"), repository.commit or repository.branch or "HEAD"
    if not repository.commit or re.fullmatch(r"[0-9a-f]{40}", repository.commit):
        code, _ = git.run(*fetch, "--depth", "1", repository.url, wanted)
        if code == 0:
            return "FETCH_HEAD"
    if repository.commit:  # shortened, or of a server that gives nothing but branches
        git.do(*fetch, repository.url, *_EVERYTHING)
        return wanted
    git.do(*fetch, repository.url, wanted)  # of a server that only has files to give
    return "FETCH_HEAD"


class _Git:
    """git, in one folder and for one repository."""

    def __init__(self, repository: Repository, folder: Path, given_up: Callable[[], bool]) -> None:
        self._repository = repository
        self._folder = folder
        self._given_up = given_up
        self._program = shutil.which("git")
        self._environment = _environment(repository)

    def do(self, *arguments: str) -> None:
        """Run it; CheckoutError with its last words if it fails."""
        code, said = self.run(*arguments)
        if code != 0:
            raise self.failed(said)

    def run(self, *arguments: str) -> tuple[int, list[str]]:
        """Its exit code and what it wrote."""
        if self._program is None:
            raise CheckoutError("git is not installed on this machine; install it, or mount a directory")
        where = () if arguments[0] == "init" else ("-C", str(self._folder))
        try:
            return run(
                [self._program, *where, *arguments], given_up=self._given_up, environment=self._environment
            )
        except GivenUpError as error:
            raise CheckoutError(f"{self._repository.url}: {error}") from None

    def failed(self, said: list[str]) -> CheckoutError:
        """With what git said; it was never told a secret that it could repeat."""
        words = " ".join(said[-_LAST_LINES:])[-_LAST_CHARACTERS:]
        return CheckoutError(f"{self._repository} cannot be fetched: {words}")


def _environment(repository: Repository) -> dict[str, str]:
    inherited = {name: value for name, value in process_environ().items() if not name.startswith("GIT_")}
    own = {
        "GIT_TERMINAL_PROMPT": "0",  # nobody is there to answer
        "GIT_ALLOW_PROTOCOL": "https:http:ssh:file",  # others run commands
        "GIT_SSH_COMMAND": "ssh -oBatchMode=yes",
        "LC_ALL": "C",
    }
    if repository.secret:
        server = urlsplit(repository.url)
        pair = f"{repository.user or 'oauth2'}:{repository.secret}".encode()
        own |= {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"http.{server.scheme}://{server.netloc}/.extraHeader",  # for no other server
            "GIT_CONFIG_VALUE_0": f"Authorization: Basic {base64.b64encode(pair).decode()}",
        }
    return {**inherited, **own}
