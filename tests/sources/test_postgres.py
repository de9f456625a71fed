"""PostgreSQL: what every source promises, against a real server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from tests.servers.postgres import PASSWORD
from tests.sources.changing import Changing
from tests.sources.contract import SourceContract
from tests.sources.postgres_place import PostgresPlace
from tests.sources.reading import Reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.sources.place import Place

NO_MAPS = frozenset({"map<string,float64>", "map<int64,string>"})
VECTORS_AS_LISTS = {"float32[3]": pa.list_(pa.float32())}


class TestPostgres(SourceContract):
    can = frozenset({"changes", "profile", "get", "write", "row count", "once", "pages", "moments"})
    lacks_types = NO_MAPS
    reads_as = VECTORS_AS_LISTS
    own_columns = frozenset({"changed"})
    page_rows = 100
    secret = PASSWORD

    @pytest.fixture
    def place(self, database: str) -> Iterator[Place]:
        place = PostgresPlace(database, timekey="changed", page_rows=self.page_rows)
        yield place
        place.close()


class TestPostgresWithoutTimekey(SourceContract):
    """Then the order of the table counts."""

    can = frozenset({"profile", "get", "write", "row count", "moments", "order", "null keys"})
    lacks_types = NO_MAPS
    reads_as = VECTORS_AS_LISTS
    secret = PASSWORD

    @pytest.fixture
    def place(self, database: str) -> Iterator[Place]:
        place = PostgresPlace(database)
        yield place
        place.close()


class TestPostgresView(Reading, Changing):
    """Rows of a view do not know who wrote them; nothing is written through one."""

    can = frozenset({"changes", "profile", "get", "write", "row count", "once", "pages", "moments"})
    lacks_types = NO_MAPS | {"list<list<float32>>"}
    reads_as = VECTORS_AS_LISTS
    own_columns = frozenset({"changed"})
    page_rows = 100
    secret = PASSWORD

    @pytest.fixture
    def place(self, database: str) -> Iterator[Place]:
        place = PostgresPlace(database, timekey="changed", page_rows=self.page_rows, views=True)
        yield place
        place.close()
