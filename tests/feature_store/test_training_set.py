from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.feature_store.as_of import as_of, sequence_as_of
from tests.feature_store.shop import REGISTRY, at, item_base, times, write_shop

from recserve.errors import ConfigError, DataError, SourceError
from recserve.feature_store.places import Tables
from recserve.feature_store.registry import load
from recserve.feature_store.training_set import LabelRows, TrainingReport, write_training_set
from recserve.sources import open_source
from recserve.sources.memory import MemorySource

if TYPE_CHECKING:
    from recserve.source import Source, TableSpec

Row = dict[str, Any]


def seconds(rows: list[Row], column: str = "time") -> pa.Array:
    return pa.array([None if r[column] is None else r[column] * 1_000_000 for r in rows], pa.timestamp("us"))


def column(rows: list[Row], name: str, kind: pa.DataType) -> pa.Array:
    return pa.array([row[name] for row in rows], kind)


def user_table(rows: list[Row]) -> pa.Table:
    return pa.table(
        {
            "user_id": column(rows, "key", pa.string()),
            "city": column(rows, "value", pa.string()),
            "ages": pa.nulls(len(rows), pa.list_(pa.int32())),
            "updated": seconds(rows),
        }
    )


def item_table(rows: list[Row]) -> pa.Table:
    prices = pa.array([None if r["value"] is None else len(r["value"]) for r in rows], pa.float32())
    return pa.table(
        {
            "iid": column(rows, "key", pa.string()),
            "price": prices,
            "brand": column(rows, "value", pa.string()),
            "updated": seconds(rows),
        }
    )


def live_table(rows: list[Row]) -> pa.Table:
    clicks = pa.array([None if r["value"] is None else len(r["value"]) for r in rows], pa.int64())
    return pa.table({"item_id": column(rows, "key", pa.string()), "clicks_1h": clicks, "seen": seconds(rows)})


def clicks_table(rows: list[Row]) -> pa.Table:
    return pa.table(
        {
            "user_id": column(rows, "key", pa.string()),
            "item": column(rows, "item", pa.string()),
            "event": column(rows, "event", pa.string()),
            "ts": seconds(rows),
            "seconds": column(rows, "seconds", pa.float64()),
            "category": column(rows, "category", pa.string()),
        }
    )


def label_table(rows: list[Row]) -> pa.Table:
    return pa.table(
        {
            "user_id": column(rows, "user", pa.string()),
            "item_id": column(rows, "item", pa.string()),
            "ts": seconds(rows),
            "clicked": column(rows, "clicked", pa.int32()),
        }
    )


def joined(
    folder: Path, tables: dict[str, pa.Table], *, registry: str = REGISTRY, **options: Any
) -> tuple[list[Row], TrainingReport]:
    """The training set of model rank_v1 over tables at hand."""
    (folder / "store.yaml").write_text(registry)
    read = load(folder / "store.yaml")

    def source_of(kind: str, spec: TableSpec) -> Source:
        name = Path(spec.name).stem
        return MemorySource(tables[name], spec.key, name=name)

    opened = Tables(read, source_of)
    labels = LabelRows(opened.labels(read.labels["impressions"]), "ts")
    target = folder / "out.parquet"
    report = write_training_set(opened, read.models["rank_v1"], labels, target, force=True, **options)
    rows: list[Row] = pq.read_table(target).to_pylist()
    return rows, report


KEYS = st.sampled_from(["a", "b", "é"])
MOMENTS = st.integers(0, 12)
VERSIONS = st.lists(
    st.fixed_dictionaries(
        {"key": KEYS, "time": st.none() | MOMENTS, "value": st.none() | st.sampled_from(["x", "yy", "zzz"])}
    ),
    max_size=25,
)
BEHAVIOURS = st.lists(
    st.fixed_dictionaries(
        {
            "key": KEYS,
            "time": st.none() | MOMENTS,
            "item": st.none() | st.sampled_from(["i1", "i2", "i3", "i4"]),
            "event": st.none() | st.sampled_from(["click", "play"]),
            "seconds": st.none() | st.sampled_from([1.0, 5.0, 5.5, 9.0]),
            "category": st.none() | st.sampled_from(["c", "d"]),
        }
    ),
    max_size=60,
)
LABELS = st.lists(
    st.fixed_dictionaries(
        {"user": st.none() | KEYS, "item": KEYS, "time": MOMENTS, "clicked": st.none() | st.integers(0, 1)}
    ),
    max_size=20,
)
SHORT = REGISTRY.replace("length: 50", "length: 3").replace("ttl: 3600", "ttl: 4")


def text(values: list[Any]) -> str:
    return ";".join("" if value is None else str(value) for value in values)


def sequence_columns(name: str, newest: list[Row] | None, moment: int, *more: str) -> Row:
    names = [name, f"{name}__item_id", f"{name}__event", f"{name}__event_time", f"{name}__ts"]
    if newest is None:
        return dict.fromkeys([*names, *(f"{name}__{field}" for field in more)])
    items, events = [b["item"] for b in newest], [b["event"] for b in newest]
    ages = [moment - b["time"] for b in newest]
    found = [text(items), text(items), text(events), text([b["time"] for b in newest]), text(ages)]
    return {
        **dict(zip(names, found, strict=True)),
        **{f"{name}__{field}": text([b[field] for b in newest]) for field in more},
    }


@settings(max_examples=25, deadline=None)
@given(users=VERSIONS, items=VERSIONS, live=VERSIONS, clicks=BEHAVIOURS, labels=LABELS)
def test_a_label_has_the_features_of_its_moment_and_nothing_of_later(
    users: list[Row], items: list[Row], live: list[Row], clicks: list[Row], labels: list[Row]
) -> None:
    over = {"play": 5.0}
    expected = []
    for label in labels:
        user, item, moment = label["user"], label["item"], label["time"]
        item_row, live_row = as_of(items, item, moment), as_of(live, item, moment, ttl=4)
        user_row = as_of(users, user, moment)
        # None: no behaviour at all before, not even one that no sequence wants
        any_before = any(b["key"] == user and b["time"] is not None and b["time"] < moment for b in clicks)
        clicked = played = None
        if any_before:
            clicked = sequence_as_of(clicks, user, moment, events={"click"}, length=3, over=over)
            played = sequence_as_of(clicks, user, moment, events={"play"}, length=2, over=over)
        expected.append(
            {
                "user_id": user,
                "item_id": item,
                "ts": moment,
                "clicked": label["clicked"],
                "price": float(len(item_row["value"])) if item_row and item_row["value"] else None,
                "item_brand": item_row["value"] if item_row else None,
                "clicks_1h": len(live_row["value"]) if live_row and live_row["value"] else None,
                "city": user_row["value"] if user_row else None,
                "ages": None,
                **sequence_columns("click_50_seq", clicked, moment, "category"),
                **sequence_columns("plays", played, moment),
            }
        )
    with tempfile.TemporaryDirectory() as folder:
        tables = {
            "item_base": item_table(items),
            "item_live": live_table(live),
            "user_base": user_table(users),
            "clicks": clicks_table(clicks),
            "impressions": label_table(labels),
        }
        result, report = joined(Path(folder), tables, registry=SHORT)
        assert not list(Path(folder).glob(".*"))

    for row in result:
        row["ts"] = int(row["ts"].timestamp()) if row["ts"].tzinfo else _utc(row["ts"])
    assert result == expected
    assert report.rows == len(labels)


def _utc(moment: Any) -> int:
    from datetime import UTC

    return int(moment.replace(tzinfo=UTC).timestamp())


def shop_tables() -> dict[str, pa.Table]:
    clicks = [
        {"key": "u1", "time": t, "item": f"i{t}", "event": "click", "seconds": None, "category": "c"}
        for t in (1, 2, 3)
    ]
    versions = [{"key": "i1", "time": 1, "value": "x"}]
    return {
        "item_base": item_table(versions),
        "item_live": live_table(versions),
        "user_base": user_table([{"key": "u1", "time": 2, "value": "yy"}]),
        "clicks": clicks_table(clicks),
        "impressions": label_table([{"user": "u1", "item": "i1", "time": 3, "clicked": 1}]),
    }


def test_a_behaviour_of_the_moment_of_the_label_is_not_seen(tmp_path: Path) -> None:
    ((row,), report) = joined(tmp_path, shop_tables())

    assert row["click_50_seq"] == "i2;i1"
    assert row["click_50_seq__ts"] == "1;2"
    assert report.found == {"item_base": 1, "item_live": 1, "user_base": 1, "clicks": 1}


def test_of_rows_with_equal_key_and_time_the_later_one_counts(tmp_path: Path) -> None:
    tables = shop_tables()
    tables["user_base"] = user_table(
        [{"key": "u1", "time": 2, "value": value} for value in ("first", "second", "third")]
    )

    ((row,), _) = joined(tmp_path, tables)

    assert row["city"] == "third"


def test_rows_stand_in_the_order_of_the_labels(tmp_path: Path) -> None:
    tables = shop_tables()
    labels = [{"user": f"u{n % 7}", "item": "i1", "time": n * 13 % 50, "clicked": n} for n in range(70_000)]
    tables["impressions"] = label_table(labels)

    rows, report = joined(tmp_path, tables, memory_mb=100)

    assert [row["clicked"] for row in rows] == list(range(70_000))
    assert report.rows == 70_000


def test_a_view_without_event_time_gives_its_last_row_and_is_told(tmp_path: Path) -> None:
    registry = REGISTRY.replace("    event_time: updated\n    offline_table: user", "    offline_table: user")
    tables = shop_tables()
    tables["user_base"] = user_table(
        [{"key": "u1", "time": 9, "value": "late"}, {"key": "u1", "time": None, "value": "last"}]
    )

    ((row,), report) = joined(tmp_path, tables, registry=registry)

    assert row["city"] == "last"
    assert report.timeless == ("user_base",)


@pytest.mark.parametrize(("priority", "expected"), [("true", "label"), ("false", "x")])
def test_the_label_or_the_feature_wins_a_name_that_both_have(
    tmp_path: Path, priority: str, expected: str
) -> None:
    registry = REGISTRY.replace("  rank_v1:\n", f"  rank_v1:\n    label_priority: {priority}\n")
    registry = registry.replace("ts: timestamp, clicked: int32", "ts: timestamp, item_brand: string")
    tables = shop_tables()
    tables["impressions"] = tables["impressions"].append_column("item_brand", pa.array(["label"]))

    ((row,), report) = joined(tmp_path, tables, registry=registry)

    assert row["item_brand"] == expected
    assert report.replaced == (() if priority == "true" else ("item_brand",))


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_of_any_unit_are_compared(tmp_path: Path, unit: str) -> None:
    tables = shop_tables()
    clicks = tables["clicks"]
    tables["clicks"] = clicks.set_column(3, "ts", clicks["ts"].cast(pa.timestamp(unit)))

    ((row,), _) = joined(tmp_path, tables)

    assert row["click_50_seq"] == "i2;i1"


def test_a_nanosecond_later_is_later(tmp_path: Path) -> None:
    tables = shop_tables()
    base = tables["user_base"]
    later = pa.array([3_000_000_001], pa.int64()).cast(pa.timestamp("ns"))
    tables["user_base"] = base.set_column(3, "updated", later)

    ((row,), _) = joined(tmp_path, tables)

    assert row["city"] is None


@pytest.mark.parametrize(
    ("table", "changed", "said"),
    [
        ("impressions", {"ts": pa.array([None], pa.timestamp("us"))}, r"'ts' is null in 1 of 1 rows"),
        ("impressions", {"user_id": None}, r"no column 'user_id', the join id of entity 'user'"),
        ("user_base", {"city": None}, r"table user_base has no column 'city'; columns: user_id"),
        ("user_base", {"city": pa.array([[1]])}, r"field 'city' of user_base is list<.*does not fit string"),
        ("clicks", {"item": pa.array(["a;b", "c", "d"])}, r"item_id 'a;b' holds a ';'"),
        ("clicks", {"ts": pa.array(["x", "y", "z"])}, r"'ts' of clicks is string; an event time is"),
    ],
)
def test_what_is_wrong_with_a_table_is_told_and_nothing_is_left(
    tmp_path: Path, table: str, changed: dict[str, pa.Array | None], said: str
) -> None:
    tables = shop_tables()
    for name, array in changed.items():
        place = tables[table].schema.get_field_index(name)
        tables[table] = tables[table].remove_column(place)
        if array is not None:
            tables[table] = tables[table].add_column(place, name, array)

    with pytest.raises(DataError, match=said):
        joined(tmp_path, tables)
    assert [path.name for path in tmp_path.iterdir()] == ["store.yaml"]


def test_a_source_that_breaks_off_says_so_itself(tmp_path: Path) -> None:
    class Broken(MemorySource):
        def snapshot(self, columns: Any = None, *, at: Any = None) -> Any:
            yield from list(super().snapshot(columns, at=at))[:1]
            raise SourceError("the server at 10.0.0.1 went away")

    (tmp_path / "store.yaml").write_text(REGISTRY)
    registry = load(tmp_path / "store.yaml")
    kept = shop_tables()
    opened = Tables(registry, lambda _, spec: Broken(kept[Path(spec.name).stem], spec.key))
    labels = LabelRows(opened.labels(registry.labels["impressions"]), "ts")

    with pytest.raises(SourceError, match=r"^the server at 10.0.0.1 went away$"):
        write_training_set(opened, registry.models["rank_v1"], labels, tmp_path / "out.parquet")


def test_a_file_that_is_there_is_not_replaced_unasked(tmp_path: Path) -> None:
    (tmp_path / "out.parquet").write_text("kept")
    (tmp_path / "store.yaml").write_text(REGISTRY)
    registry = load(tmp_path / "store.yaml")
    opened = Tables(registry, open_source)

    with pytest.raises(ConfigError, match=r"out.parquet is there already; --force replaces it"):
        write_training_set(
            opened,
            registry.models["rank_v1"],
            LabelRows(MemorySource(pa.table({"ts": times(0)}), "ts"), "ts"),
            tmp_path / "out.parquet",
        )


def test_files_give_what_memory_gives(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    registry = load(write_shop(folder))
    pq.write_table(shop_tables()["clicks"], folder / "offline" / "clicks.parquet")
    labels = pa.table(
        {"user_id": ["u1", "u2"], "item_id": ["i1", "i3"], "ts": [at(0), at(-25)], "clicked": [1, 0]}
    )
    pq.write_table(labels, folder / "offline" / "impressions.parquet")
    opened = Tables(registry, open_source)

    write_training_set(
        opened,
        registry.models["rank_v1"],
        LabelRows(opened.labels(registry.labels["impressions"]), "ts"),
        tmp_path / "out.parquet",
    )

    first, second = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert (first["price"], first["clicks_1h"], first["city"], first["ages"]) == (1.5, 7, "oslo", [1, 2])
    assert (second["price"], second["item_brand"], second["city"]) == (None, None, None)
    assert item_base().num_rows == 3
