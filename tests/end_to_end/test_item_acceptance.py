"""What the item store has to stand up to in service, one test a line of the acceptance list, against a real
PostgreSQL: service file → sources → keeper → scores.

Not here: torn rows and memory during a refresh (`make bench-items`), sequences of unknown ids
(test_items_and_features.py), Redis (tests/feature_store/test_stores.py), outages (`make soak-items`).
"""

from __future__ import annotations

import logging
import subprocess
import sys
from contextlib import closing
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from tests.processors.conftest import service_of, write_bundle

from recserve.bundle import Bundle
from recserve.columns import column_from_arrow, to_arrow
from recserve.config import service
from recserve.errors import LoadError
from recserve.items.keeper import Keeper
from recserve.processors.load import load
from recserve.processors.normal import Normal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from tests.servers.postgres import PostgresServer

COLUMNS = ("a", "b", "c")
FEATURES: list[dict[str, Any]] = [
    {
        "feature_type": "raw_feature",
        "feature_name": f"f_{name}",
        "expression": f"item:{name}",
        "default_value": "0",
    }
    for name in COLUMNS
]
SUMS = {"score": [f"f_{name}.values" for name in COLUMNS]}
EMPTY_SCORE = -1.0


class Shop:
    """A database, and services over its tables."""

    def __init__(self, server: PostgresServer, url: str, bundle: Path) -> None:
        self.server = server
        self.url = url
        self.bundle = bundle
        self._open: list[Normal] = []

    def execute(self, *statements: str) -> None:
        for statement in statements:
            self.server.execute(statement, url=self.url)

    def serve(self, *tables: Mapping[str, Any], **model_config: Any) -> Normal:
        """Load the service as the server does, following its tables."""
        document = service_of(
            remote_type="hologres",
            url=self.url,
            tables=list(tables),
            item_empty_score=EMPTY_SCORE,
            **{"poll_interval_ms": 20, **model_config},
        )
        rank = load(Bundle.open(self.bundle), service.load(document, {}, base_dir=self.bundle.parent))
        assert isinstance(rank, Normal)
        self._open.append(rank)
        return rank

    def close(self) -> None:
        for rank in self._open:
            rank.close()


@pytest.fixture
def shop(postgres: PostgresServer, database: str, tmp_path: Path) -> Iterator[Shop]:
    with closing(Shop(postgres, database, write_bundle(tmp_path, features=FEATURES, sums=SUMS))) as opened:
        yield opened


def keeper_of(rank: Normal) -> Keeper:
    assert isinstance(rank.items, Keeper)
    return rank.items


def cells(rank: Normal, *ids: str) -> list[tuple[Any, ...]]:
    """Raw columns of items, in the order of COLUMNS."""
    with keeper_of(rank).pin() as rows:
        raw = rows.look_up(column_from_arrow(pa.array(ids)), COLUMNS).raw
    return list(zip(*(to_arrow(raw[name]).to_pylist() for name in COLUMNS), strict=True))


def scores(rank: Normal, *ids: str) -> list[float]:
    sample = rank.sample(len(ids))
    item_ids = column_from_arrow(pa.array(ids, pa.string()))
    request = type(sample)(sample.user, item_ids, sample.context, sample.item_features, sample.rows)
    return [float(score) for score in rank.score(request).outputs["score"]]


def soon(condition: Callable[[], bool]) -> None:
    """Wait until something is so; half a minute is for machines that do much else."""
    end = monotonic() + 30
    while not condition():
        assert monotonic() < end, "it did not become so"
        sleep(0.01)


THREE_TABLES = (
    "CREATE TABLE one (id text, a int, b int, c int)",
    "CREATE TABLE two (id text, b int)",
    "CREATE TABLE three (id text, b int, c int)",
    "INSERT INTO one VALUES ('x', 1, 1, 1), ('y', 1, 1, 1), ('z', 1, 1, 1)",
    "INSERT INTO two VALUES ('x', 2), ('y', 2), ('only two', 2)",
    "INSERT INTO three VALUES ('y', 3, NULL)",
)
TABLES = [{"name": name, "key": "id"} for name in ("one", "two", "three")]


def test_of_three_tables_that_have_a_column_the_last_with_the_id_counts(shop: Shop) -> None:
    shop.execute(*THREE_TABLES)
    rank = shop.serve(*TABLES)

    assert cells(rank, "x", "y", "z", "only two") == [(1, 2, 1), (1, 3, None), (1, 1, 1), (None, 2, None)]
    assert scores(rank, "x", "y", "z", "only two", "nobody") == [4.0, 4.0, 3.0, 2.0, EMPTY_SCORE]


def test_the_overwrite_order_holds_through_refreshes_and_deletions_of_single_tables(shop: Shop) -> None:
    shop.execute(*THREE_TABLES)
    rank = shop.serve(*TABLES, min_rows_percent=0)
    shop.execute(
        "DELETE FROM two WHERE id = 'x'",
        "UPDATE three SET b = 30, c = 30",
        "INSERT INTO three VALUES ('z', 31, 31)",
        "DELETE FROM two WHERE id = 'only two'",
    )

    assert keeper_of(rank).refresh_now().complete
    assert cells(rank, "x", "y", "z") == [(1, 1, 1), (1, 30, 30), (1, 31, 31)]
    assert scores(rank, "only two") == [EMPTY_SCORE]


@pytest.mark.parametrize(("overwrites", "c"), [(True, None), (False, 1)])
def test_a_null_of_a_later_table_hides_the_earlier_value_unless_told_otherwise(
    shop: Shop, overwrites: bool, c: int | None
) -> None:
    shop.execute(*THREE_TABLES)

    assert cells(shop.serve(*TABLES, null_overwrites=overwrites), "y") == [(1, 3, c)]


def test_integer_keys_are_numbers_and_text_keys_are_bytes(shop: Shop) -> None:
    shop.execute(
        "CREATE TABLE numbers (id bigint, a int)",
        "INSERT INTO numbers VALUES (7, 1)",
        "CREATE TABLE texts (id text, a int)",
        "INSERT INTO texts VALUES ('7', 1)",
    )
    numbers = shop.serve({"name": "numbers", "key": "id"})
    texts = shop.serve({"name": "texts", "key": "id"})

    assert scores(numbers, "7", "007", "seven") == [1.0, 1.0, EMPTY_SCORE]
    assert scores(texts, "7", "007") == [1.0, EMPTY_SCORE]


def test_a_condition_chooses_rows_and_value_chooses_columns(shop: Shop) -> None:
    shop.execute(
        "CREATE TABLE items (id text, a int, b int, style_id int)",
        "INSERT INTO items VALUES ('x', 1, 10, 5), ('y', 1, 10, 20000)",
    )
    table = {"name": "items", "key": "id", "condition": "style_id<10000"}

    assert scores(shop.serve(table), "x", "y") == [11.0, EMPTY_SCORE]
    assert scores(shop.serve({**table, "value": "b"}), "x", "y") == [10.0, EMPTY_SCORE]


def test_a_static_table_is_read_once_and_never_again(shop: Shop) -> None:
    shop.execute(
        "CREATE TABLE fixed_items (id text, a int, t int)",
        "INSERT INTO fixed_items VALUES ('x', 1, 1)",
        "CREATE TABLE items (id text, b int, t int)",
        "INSERT INTO items VALUES ('x', 1, 1)",
    )
    rank = shop.serve(
        {"name": "fixed_items", "key": "id", "static": True},
        {"name": "items", "key": "id", "timekey": "t"},
    )
    log = shop.server.statements(shop.url)
    asked = sum("fixed_items" in statement for statement in log)
    shop.execute("UPDATE items SET b = 2, t = 2")
    soon(lambda: scores(rank, "x") == [3.0])
    keeper_of(rank).refresh_now()

    assert asked > 0
    later = shop.server.statements(shop.url)[len(log) :]
    assert any('"items"' in statement for statement in later)
    assert not any("fixed_items" in statement for statement in later)


@pytest.mark.parametrize(
    ("kind", "first", "same", "later"),
    [
        ("bigint", "10", "10", "11"),
        # Clocks of writers differ from ours: a time of last century and one of the next are as good as now.
        ("timestamptz", "'1999-01-01 00:00Z'", "'1999-01-01 00:00Z'", "'1999-01-01 00:00:00.000001Z'"),
        ("timestamp", "'2099-12-31'", "'2099-12-31'", "'2100-01-01'"),
    ],
)
def test_newer_rows_are_followed_by_their_timekey_also_of_the_same_time(
    shop: Shop, kind: str, first: str, same: str, later: str
) -> None:
    shop.execute(
        f"CREATE TABLE items (id text PRIMARY KEY, a int, t {kind})",
        f"INSERT INTO items VALUES ('x', 1, {first}), ('y', 1, {first})",
    )
    rank = shop.serve({"name": "items", "key": "id", "timekey": "t"})

    shop.execute(f"INSERT INTO items VALUES ('z', 3, {same})")
    soon(lambda: scores(rank, "z") == [3.0])
    shop.execute(f"UPDATE items SET a = 2, t = {later} WHERE id = 'x'")
    soon(lambda: scores(rank, "x") == [2.0])
    assert scores(rank, "y") == [1.0]


def test_a_deletion_is_seen_after_the_next_full_refresh(shop: Shop) -> None:
    shop.execute(
        "CREATE TABLE items (id text, a int)",
        "INSERT INTO items SELECT i::text, 1 FROM generate_series(1, 9) i",
    )
    rank = shop.serve({"name": "items", "key": "id"})
    shop.execute("DELETE FROM items WHERE id = '5'")

    assert scores(rank, "5") == [1.0]
    keeper_of(rank).refresh_now()
    assert scores(rank, "4", "5") == [1.0, EMPTY_SCORE]


def test_a_table_that_became_empty_is_refused_and_the_rows_are_served(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    shop.execute("CREATE TABLE items (id text, a int)", "INSERT INTO items VALUES ('x', 1)")
    rank = shop.serve({"name": "items", "key": "id"})
    shop.execute("DELETE FROM items")

    assert not keeper_of(rank).refresh_now().complete
    assert scores(rank, "x") == [1.0]
    assert "an empty table is never taken" in caplog.text
    assert [alarm.kind for alarm in keeper_of(rank).status().alarms] == ["refused"]


def test_of_repeated_ids_the_newest_counts_and_they_are_counted(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    shop.execute(
        "CREATE TABLE items (id text, a int, t int)",
        "INSERT INTO items VALUES ('x', 2, 20), ('x', 1, 10), ('y', 1, 1)",
    )
    rank = shop.serve({"name": "items", "key": "id", "timekey": "t"})

    assert scores(rank, "x") == [2.0]
    assert "item table 'items' repeats keys: 1 rows are replaced" in caplog.text


def test_unknown_and_repeated_ids_keep_their_places(shop: Shop) -> None:
    shop.execute("CREATE TABLE items (id text, a int)", "INSERT INTO items VALUES ('x', 1), ('y', 2)")
    rank = shop.serve({"name": "items", "key": "id"})

    assert scores(rank, "y", "?", "x", "y", "") == [2.0, EMPTY_SCORE, 1.0, 2.0, EMPTY_SCORE]


def test_without_tables_no_driver_is_needed(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path, features=FEATURES, sums=SUMS)
    program = f"""
import sys
for name in ("psycopg", "adbc_driver_postgresql", "redis", "duckdb", "fsspec", "feast", "yaml"):
    sys.modules[name] = None  # as if it were not installed
from recserve.bundle import Bundle
from recserve.config import service
from recserve.processors.load import load
spec = service.load({service_of(remote_type="none", tables=[])!r}, {{}})
with open({str(tmp_path / "done")!r}, "w") as done:
    done.write(str(len(load(Bundle.open({str(bundle)!r}), spec).items)))
"""
    subprocess.run([sys.executable, "-c", program], check=True)

    assert (tmp_path / "done").read_text() == "0"


def test_a_password_is_in_no_error_log_or_status(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    shop.execute("CREATE TABLE items (id text, a int)", "INSERT INTO items VALUES ('x', 1)")
    rank = shop.serve({"name": "items", "key": "id"})
    password = shop.url.split(":")[2].split("@")[0]
    shop.execute("DROP TABLE items")
    report = keeper_of(rank).refresh_now()
    with pytest.raises(LoadError) as wrong:
        shop.serve({"name": "gone", "key": "id"})

    assert not report.complete
    for text in (caplog.text, str(wrong.value), repr(keeper_of(rank).status()), repr(report)):
        assert password not in text
        assert "items" in text or "gone" in text
