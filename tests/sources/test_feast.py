"""Feature services of real Feast repositories: a registry, Parquet files, and Feast's own offline store."""

from __future__ import annotations

import datetime as dt
import os
import sys
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.sources.contract import SourceContract

from recserve.errors import ConfigError, DataError, SourceError
from recserve.source import TableSpec
from recserve.sources import open_source
from recserve.sources.feast import FeastSource

if TYPE_CHECKING:
    from pathlib import Path

    from tests.sources.place import Place

    from recserve.source import Source

NOW = dt.datetime.now(dt.UTC)
HOUR = dt.timedelta(hours=1)
WRITTEN = pa.timestamp("us", "UTC")

# Feast imports and calls what its own dependencies call deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


class Repository:
    """A folder with a feature repository, to which feature views are added."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.views: list[Any] = []
        folder.mkdir(exist_ok=True)
        (folder / "feature_store.yaml").write_text(
            "project: shop\nregistry: registry.db\nprovider: local\nentity_key_serialization_version: 3\n"
            "offline_store:\n  type: file\nonline_store:\n  type: sqlite\n  path: online.db\n"
        )

    def add(
        self,
        name: str,
        table: pa.Table,
        key: str = "item_id",
        *,
        ttl: dt.timedelta = dt.timedelta(0),
        mapping: dict[str, str] | None = None,
    ) -> Any:
        """Add a view of all columns of a Parquet file; rows without a time of their own are an hour old."""
        from feast import Entity, FeatureView, Field, FileSource
        from feast.type_map import pa_to_feast_value_type
        from feast.types import from_value_type

        if "at" not in table.schema.names:
            table = table.append_column("at", pa.array([NOW - HOUR] * table.num_rows, WRITTEN))
        pq.write_table(table, self.folder / f"{name}.parquet")
        mapping = mapping or {}
        names = {mapping.get(each.name, each.name): each.type for each in table.schema if each.name != "at"}
        values = {name: pa_to_feast_value_type(str(arrow)) for name, arrow in names.items()}
        types = {name: from_value_type(value) for name, value in values.items()}
        entity = Entity(name=f"entity_{key}", join_keys=[key], value_type=values[key])
        view = FeatureView(
            name=name,
            entities=[entity],
            ttl=ttl,
            schema=[Field(name=each, dtype=of) for each, of in types.items()],
            source=FileSource(path=f"{name}.parquet", timestamp_field="at", field_mapping=mapping),
        )
        self.views += [entity, view]
        return view

    def apply(self, *services: Any) -> None:
        from feast import FeatureStore

        FeatureStore(str(self.folder)).apply([*self.views, *services])


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repository")


def here(repository: Repository, name: str, key: str = "item_id") -> FeastSource:
    """The source with Feast in this process: importing it once is enough for the tests."""
    return FeastSource(repository.folder, name, key, python=None)


def rows_of(source: Source) -> dict[Any, dict[str, Any]]:
    return {row[source.key]: row for batch in source.snapshot() for row in batch.to_pylist()}


class FeastPlace:
    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    def make(self, table: pa.Table, key: str, name: str = "items") -> Source:
        self._repository.add(name, table, key if key in table.schema.names else "id")
        self._repository.apply()
        return here(self._repository, name, key)

    def absent(self, key: str) -> Source:
        return here(self._repository, "no_such_table", key)

    def upsert(self, source: Source, rows: pa.Table) -> None:
        raise NotImplementedError

    def delete(self, source: Source, keys: pa.Array) -> None:
        raise NotImplementedError


class TestFeast(SourceContract):
    many_rows = 40_000
    # Feast reads through pandas, where a NaN is a null and integers beside nulls are float64.
    lacks_types = frozenset(
        {
            *("float32", "float64", "list<float32>", "int64", "timestamp", "float32[3]"),
            *("list<list<float32>>", "map<string,float64>", "map<int64,string>"),
        }
    )

    @pytest.fixture
    def place(self, repository: Repository) -> Place:
        return FeastPlace(repository)


PRICES = pa.table({"item_id": [1, 2, 3], "price": pa.array([1.0, None, 3.0], pa.float32())})
CLICKS = pa.table({"item_id": [2, 3, 4], "clicks": [20, 30, 40], "views": [200, 300, 400]})


def test_a_service_joins_its_views_and_keeps_keys_that_one_of_them_has(repository: Repository) -> None:
    from feast import FeatureService

    prices, clicks = repository.add("prices", PRICES), repository.add("clicks", CLICKS)
    repository.apply(FeatureService(name="rank", features=[prices, clicks[["clicks"]]]))
    source = here(repository, "rank")

    assert source.schema() == pa.schema({"item_id": pa.int64(), "price": pa.float32(), "clicks": pa.int64()})
    assert rows_of(source) == {
        1: {"item_id": 1, "price": 1.0, "clicks": None},
        2: {"item_id": 2, "price": None, "clicks": 20},
        3: {"item_id": 3, "price": 3.0, "clicks": 30},
        4: {"item_id": 4, "price": None, "clicks": 40},
    }


def test_of_each_key_the_newest_row_counts_that_is_not_of_the_future(repository: Repository) -> None:
    times = [NOW - HOUR, NOW - 3 * HOUR, NOW + HOUR, NOW - 2 * HOUR]
    table = pa.table({"item_id": [1, 1, 1, 2], "n": [1, 2, 3, 4], "at": pa.array(times, WRITTEN)})
    repository.add("items", table)
    repository.apply()

    assert rows_of(here(repository, "items")) == {1: {"item_id": 1, "n": 1}, 2: {"item_id": 2, "n": 4}}


def test_rows_past_their_ttl_do_not_count(repository: Repository) -> None:
    from feast import FeatureService

    times = pa.array([NOW - HOUR, NOW - 30 * HOUR], WRITTEN)
    short = repository.add("short", pa.table({"item_id": [1, 2], "a": [1, 2], "at": times}), ttl=24 * HOUR)
    long = repository.add("long", pa.table({"item_id": [1, 2], "b": [1, 2], "at": times}))
    repository.apply(FeatureService(name="both", features=[short, long]))

    assert rows_of(here(repository, "short")).keys() == {1}
    assert rows_of(here(repository, "both"))[2] == {"item_id": 2, "a": None, "b": 2}


def test_columns_that_the_source_maps_have_the_features_names(repository: Repository) -> None:
    table = pa.table({"sku": [1, 2], "p": [1.5, 2.5]})
    repository.add("items", table, mapping={"sku": "item_id", "p": "price"})
    repository.apply()

    assert rows_of(here(repository, "items"))[2] == {"item_id": 2, "price": 2.5}


def test_features_of_one_name_are_refused(repository: Repository) -> None:
    from feast import FeatureService

    views = [repository.add(name, PRICES) for name in ("first", "second")]
    repository.apply(FeatureService(name="rank", features=views))

    with pytest.raises(DataError, match="'price' of feature view 'second' has the name of a feature of feat"):
        here(repository, "rank").schema()


def test_a_view_of_another_entity_is_refused(repository: Repository) -> None:
    from feast import FeatureService

    users = repository.add("users", pa.table({"user_id": [1], "age": [30]}), "user_id")
    repository.apply(FeatureService(name="rank", features=[repository.add("prices", PRICES), users]))

    with pytest.raises(DataError, match="feature view 'users' of 'rank' has the join keys user_id"):
        here(repository, "rank").schema()


def test_a_file_that_is_gone_is_told(repository: Repository) -> None:
    repository.add("items", PRICES)
    repository.apply()
    (repository.folder / "items.parquet").unlink()

    with pytest.raises(SourceError, match=r"Feast 'items' of .*items.parquet"):
        list(here(repository, "items").snapshot())


def test_integers_beside_nulls_are_integers_again(repository: Repository) -> None:
    repository.add("items", pa.table({"item_id": [1, 2, 3], "n": [7, None, 2**53]}))
    repository.apply()

    assert rows_of(here(repository, "items"))[1] == {"item_id": 1, "n": 7}


# --- the reader as a process ------------------------------------------------------------------------------


def test_a_service_file_reads_it_by_a_process_of_its_own(repository: Repository) -> None:
    repository.add("items", PRICES)
    repository.apply()
    spec = TableSpec(
        name="items", key="item_id", url=repository.folder.name, base_dir=repository.folder.parent
    )
    source = open_source("feast", spec)

    assert rows_of(source) == {row["item_id"]: row for row in PRICES.to_pylist()}
    with pytest.raises(DataError, match=r"no feature service or feature view 'shoes'; known: items"):
        FeastSource(repository.folder, "shoes", "item_id").schema()


def test_a_folder_without_a_repository_is_named(tmp_path: Path) -> None:
    for python in (sys.executable, None):
        with pytest.raises(DataError, match=f"of {tmp_path}: the folder is no Feast repository"):
            FeastSource(tmp_path, "items", "item_id", python=python).schema()


def test_another_environment_is_named_by_its_python(tmp_path: Path) -> None:
    source = open_source("feast", TableSpec(name="items", key="id", url=f"{tmp_path}?python=/no/python"))
    with pytest.raises(ConfigError, match="no Python '/no/python'"):
        source.schema()


@pytest.fixture
def python_that(tmp_path: Path) -> Any:
    """Make a program that stands for the Python of another environment."""

    def make(script: str) -> str:
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return str(path)

    return make


@pytest.mark.parametrize(
    ("script", "error", "message"),
    [
        ("echo noise", SourceError, "its reader ended with 0"),
        ("echo 'Killed by postgresql://u:hunter2@h/d' >&2; exit 9", SourceError, "://[*]+@h/d"),
        (
            """echo '{"wrong": false, "text": "ModuleNotFoundError: No module named '"'feast'"'"}' >&2""",
            ConfigError,
            r"has no Feast; try: pip install \"recserve\[feast\]\"",
        ),
    ],
)
def test_a_reader_that_ends_without_rows_is_told(
    python_that: Any, tmp_path: Path, script: str, error: type[Exception], message: str
) -> None:
    source = FeastSource(tmp_path, "items", "item_id", python=python_that(script))
    for ask in (source.schema, lambda: list(source.snapshot())):
        with pytest.raises(error, match=message) as raised:
            ask()
        assert "hunter2" not in str(raised.value)


def test_a_reader_that_dies_among_the_rows_is_an_error_and_no_smaller_table(
    python_that: Any, tmp_path: Path
) -> None:
    batch = pa.record_batch({"item_id": list(range(1000))})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        for _ in range(5):
            stream.write_batch(batch)
    written = sink.getvalue().to_pybytes()
    rows = tmp_path / "rows.arrow"
    source = FeastSource(tmp_path, "items", "item_id", python=python_that(f"cat {rows}; exit 137"))

    for cut in (len(written) - 5000, len(written) - 8, len(written)):  # in a batch, behind one, at the end
        rows.write_bytes(written[:cut])
        with pytest.raises(SourceError, match="its reader ended with 137"):
            list(source.snapshot())


def test_a_snapshot_that_is_left_ends_the_reader(python_that: Any, tmp_path: Path) -> None:
    rows, pid = tmp_path / "rows.arrow", tmp_path / "pid"
    table = pa.table({"item_id": list(range(10_000))})
    with pa.ipc.new_stream(str(rows), table.schema) as stream:
        stream.write_table(table, 1000)
    script = f"echo $$ > {pid}; cat {rows}; exec sleep 1000"
    batches = FeastSource(tmp_path, "items", "item_id", python=python_that(script)).snapshot()
    next(batches)
    del batches

    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_a_condition_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a condition is SQL"):
        open_source("feast", TableSpec(name="items", key="id", url=str(tmp_path), condition="a > 1"))
    with pytest.raises(ConfigError, match="url is missing"):
        open_source("feast", TableSpec(name="items", key="id"))
