"""Failures inside of the contract show their values, as those of test files do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from recserve.sources.postgres import PostgresSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.postgres import PostgresServer
    from tests.sources.postgres_place import Execute, Open

pytest.register_assert_rewrite(
    *(f"tests.sources.{name}" for name in ("place", "reading", "changing", "asking"))
)


@pytest.fixture
def execute(postgres: PostgresServer, database: str) -> Execute:
    """Run a statement in the test's own PostgreSQL database."""

    def run(statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return postgres.execute(statement, *parameters, url=database)

    return run


@pytest.fixture
def opened(database: str) -> Iterator[Open]:
    """Open a table of the test's own PostgreSQL database, by default `items` under `id`."""
    sources: list[PostgresSource] = []

    def open_table(
        name: str = "items", key: str = "id", url: str = database, **options: Any
    ) -> PostgresSource:
        sources.append(PostgresSource(url, name, key, **options))
        return sources[-1]

    yield open_table
    for source in sources:
        source.close()
