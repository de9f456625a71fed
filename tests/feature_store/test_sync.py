from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.feature_store.shop import at, times, write_shop

from recserve.errors import ConfigError, DataError, SourceError
from recserve.feature_store.apply import online_schema
from recserve.feature_store.places import Tables
from recserve.feature_store.registry import load
from recserve.feature_store.sequences import PACKED, in_order, merged, unpacked
from recserve.feature_store.sync import state_of, sync
from recserve.feature_store.writing import write_table
from recserve.sources.memory import MemorySource

if TYPE_CHECKING:
    from recserve.feature_store.records import View
    from recserve.source import Source, TableSpec, WriteMode


class Breaking(MemorySource):
    """Breaks off after so many writes."""

    writes_left = 1_000

    def write(self, rows: pa.Table, *, mode: WriteMode = "replace") -> int:
        if not self.writes_left:
            raise SourceError("the server went away")
        self.writes_left -= 1
        return super().write(rows, mode=mode)


class Shop:
    """Two stores in memory; the offline tables are put there by the tests."""

    def __init__(self, folder: Path) -> None:
        self.registry = load(write_shop(folder))
        self.offline: dict[str, MemorySource] = {}
        self.online = {
            name: Breaking(online_schema(view).empty_table(), view.key, name=name)
            for name, view in self.registry.views.items()
        }
        self.tables = Tables(self.registry, self._open)

    def _open(self, kind: str, spec: TableSpec) -> Source:
        store, _, name = spec.name.removesuffix(".parquet").partition("/")
        return self.online[name] if store == "online" else self.offline[name]

    def put(self, name: str, table: pa.Table) -> None:
        """What the offline store has from now on."""
        key = self.registry.views[name].key
        self.offline.setdefault(name, MemorySource(table, key, name=name)).replace_table(table)

    def sync(self, name: str, **options: Any) -> tuple[int, int]:
        report = sync(self.tables, self.registry.views[name], **options)
        return report.rows, report.kept

    def rows(self, name: str) -> dict[str, dict[str, Any]]:
        batches = list(self.online[name].snapshot())
        key = self.registry.views[name].key
        return {row[key]: row for batch in batches for row in batch.to_pylist()}

    def view(self, name: str) -> View:
        return self.registry.views[name]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def live(*rows: tuple[str, int | None, float | None]) -> pa.Table:
    return pa.table(
        {
            "item_id": pa.array([item for item, _, _ in rows], pa.string()),
            "clicks_1h": pa.array([clicks for _, clicks, _ in rows], pa.int64()),
            "seen": times(*(minutes for _, _, minutes in rows)),
        }
    )


def base(*rows: tuple[str, float, float]) -> pa.Table:
    return pa.table(
        {
            "iid": [item for item, _, _ in rows],
            "price": pa.array([price for _, price, _ in rows], pa.float32()),
            "brand": pa.array([None] * len(rows), pa.string()),
            "updated": times(*(minutes for _, _, minutes in rows)),
        }
    )


def clicks(*rows: tuple[str, str, float]) -> pa.Table:
    return pa.table(
        {
            "user_id": [user for user, _, _ in rows],
            "item": [item for _, item, _ in rows],
            "event": ["click"] * len(rows),
            "ts": times(*(minutes for _, _, minutes in rows)),
            "seconds": pa.array([None] * len(rows), pa.float64()),
            "category": ["c"] * len(rows),
        }
    )


def items_of(shop: Shop, user: str) -> list[str]:
    view = shop.view("clicks")
    packed = shop.rows("clicks")[user][PACKED]
    return [values[0] for _, values in unpacked(view, packed, "here")]


def test_the_newest_row_of_each_key_goes_online(shop: Shop) -> None:
    shop.put("item_base", base(("i1", 1.0, 5), ("i1", 2.0, 9), ("i1", 3.0, 7), ("i2", 4.0, 1)))

    assert shop.sync("item_base") == (2, 0)
    assert {item: row["price"] for item, row in shop.rows("item_base").items()} == {"i1": 2.0, "i2": 4.0}
    assert shop.rows("item_base")["i1"]["updated"] == at(9)


def test_only_what_is_new_is_written_again(shop: Shop) -> None:
    shop.put("item_base", base(("i1", 1.0, 5), ("i2", 2.0, 9)))
    assert shop.sync("item_base") == (2, 0)
    assert shop.sync("item_base") == (0, 0)
    shop.put("item_base", base(("i1", 1.0, 5), ("i2", 2.0, 9), ("i3", 3.0, 9)))
    assert shop.sync("item_base") == (2, 0), "a row of the moment up to which it came may be new"
    shop.put("item_base", base(("i1", 1.5, 10), ("i2", 2.0, 9), ("i3", 3.0, 9)))

    assert shop.sync("item_base") == (1, 0)
    assert shop.rows("item_base")["i1"]["price"] == 1.5


def test_a_late_row_is_found_by_a_full_sync(shop: Shop) -> None:
    shop.put("item_base", base(("i1", 1.0, 5)))
    shop.sync("item_base")
    shop.put("item_base", base(("i1", 1.0, 5), ("i2", 2.0, 3)))

    assert shop.sync("item_base") == (0, 0)
    assert shop.sync("item_base", full=True) == (2, 0)
    assert set(shop.rows("item_base")) == {"i1", "i2"}


def test_a_stream_keeps_what_is_newer_online(shop: Shop) -> None:
    shop.online["item_live"].write(live(("i1", 99, 8)))
    shop.put("item_live", live(("i1", 1, 7), ("i2", 2, 7), ("i3", 3, None)))

    assert shop.sync("item_live") == (1, 1)
    assert {item: row["clicks_1h"] for item, row in shop.rows("item_live").items()} == {"i1": 99, "i2": 2}


def test_a_sync_that_broke_off_goes_on_there(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recserve.feature_store.sync._WRITTEN_ROWS", 1)
    rows = [(f"i{n}", float(n), float(n)) for n in range(70_000)]
    shop.put("item_base", base(*rows))
    shop.online["item_base"].writes_left = 1

    with pytest.raises(SourceError, match="went away"):
        shop.sync("item_base")
    first = len(shop.rows("item_base"))
    shop.online["item_base"].writes_left = 1_000
    rest, _ = shop.sync("item_base")

    assert 0 < first < 70_000
    assert rest == 70_000 - first + 1  # that of the moment up to which it came is written again
    assert len(shop.rows("item_base")) == 70_000


def test_behaviours_become_one_row_per_user_and_are_added_to(shop: Shop) -> None:
    shop.put("clicks", clicks(("u1", "a", 1), ("u2", "b", 2), ("u1", "c", 3)))
    assert shop.sync("clicks") == (2, 0)
    shop.put("clicks", clicks(("u1", "d", 4), ("u1", "a", 5), ("u3", "e", 4)))  # the rest was cleaned up

    assert shop.sync("clicks") == (2, 0)
    assert items_of(shop, "u1") == ["c", "d", "a"]
    assert items_of(shop, "u2") == ["b"]
    assert shop.rows("clicks")["u1"]["newest"] == at(5)


def test_a_sync_of_behaviours_that_broke_off_goes_on_behind_the_last_user(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recserve.feature_store.sync.USERS", 2)
    shop.put("clicks", clicks(*((f"u{n}", "a", n) for n in range(6))))
    shop.online["clicks"].writes_left = 2
    with pytest.raises(SourceError):
        shop.sync("clicks")
    shop.online["clicks"].writes_left = 1_000
    assert state_of(shop.tables).of("clicks")["after"] == "u3"
    shop.put("clicks", clicks(*((f"u{n}", "a", n) for n in range(6)), ("u0", "late", 99)))

    assert shop.sync("clicks") == (2, 0)
    assert shop.sync("clicks")[0] >= 1, "what came after the sync that broke off"
    assert items_of(shop, "u0") == ["a", "late"]
    assert {user: items_of(shop, user) for user in ("u1", "u5")} == {"u1": ["a"], "u5": ["a"]}


def test_a_view_without_event_time_is_written_whole(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    registry = tmp_path / "feature_store.yaml"
    registry.write_text(
        registry.read_text().replace("    key: iid\n    event_time: updated\n", "    key: iid\n")
    )
    shop.registry = load(registry)
    shop.tables = Tables(shop.registry, shop._open)
    shop.put("item_base", base(("i1", 1.0, 5), ("i2", 2.0, 9), ("i1", 3.0, 1)))

    assert [shop.sync("item_base"), shop.sync("item_base")] == [(2, 0), (2, 0)]
    assert shop.rows("item_base")["i1"]["price"] == 3.0


def test_a_store_that_cannot_be_written_is_refused(shop: Shop) -> None:
    shop.put("item_base", base(("i1", 1.0, 5)))
    shop.online["item_base"].abilities = frozenset({"get"})

    with pytest.raises(ConfigError, match="'item_base': item_base cannot be written"):
        shop.sync("item_base")


def test_a_state_file_that_is_broken_is_told(shop: Shop) -> None:
    shop.put("item_base", base(("i1", 1.0, 5)))
    path = state_of(shop.tables).path
    path.parent.mkdir()
    path.write_text("{")

    with pytest.raises(ConfigError, match=r"sync.json cannot be read .*; remove it"):
        shop.sync("item_base")


def test_a_state_of_another_making_is_as_none(shop: Shop) -> None:
    shop.put("item_base", base(("i1", 1.0, 5)))
    shop.sync("item_base")
    state = state_of(shop.tables)
    state.put("item_base", {**state.of("item_base"), "time": "0; DROP TABLE h"})

    assert shop.sync("item_base") == (1, 0)


# --- rows at hand -----------------------------------------------------------------------------------------


def test_rows_are_replaced_or_merged(shop: Shop) -> None:
    view, target = shop.view("item_base"), shop.online["item_base"]
    write_table(view, target, base(("i1", 1.0, 5)))
    write_table(view, target, pa.table({"iid": ["i1"], "brand": ["b"]}), mode="merge")
    assert shop.rows("item_base")["i1"] == {"iid": "i1", "price": 1.0, "brand": "b", "updated": at(5)}

    write_table(view, target, pa.table({"iid": ["i1"], "brand": ["b"]}))
    assert shop.rows("item_base")["i1"]["price"] is None


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (pa.table({"iid": ["i1"], "prise": [1]}), "no field 'prise'; did you mean 'price'?"),
        (pa.table({"price": [1]}), "the column 'iid' of view 'item_base' is missing"),
        (pa.table({"iid": ["i1"], "price": [[1]]}), "column 'price' is list<.* does not fit float"),
    ],
)
def test_rows_that_do_not_fit_are_refused(shop: Shop, table: pa.Table, said: str) -> None:
    with pytest.raises(DataError, match=said):
        write_table(shop.view("item_base"), shop.online["item_base"], table)
    assert shop.rows("item_base") == {}


BEHAVIOURS = st.lists(
    st.tuples(
        st.integers(0, 9),
        st.tuples(
            st.none() | st.sampled_from("abcd"),
            st.sampled_from(["click", "play"]),
            st.none() | st.sampled_from([1.0, 9.0, float("nan")]),
            st.none() | st.just("c"),
        ),
    ),
    max_size=30,
)


@settings(deadline=None, max_examples=200)
@given(first=BEHAVIOURS, second=BEHAVIOURS)
def test_packing_in_two_steps_gives_what_one_gives(first: list[Any], second: list[Any]) -> None:
    from tests.feature_store.shop import REGISTRY

    view = _view_of(REGISTRY)
    at_once = merged(view, [*first, *second])
    stored = unpacked(view, merged(view, first).packed(), "here")
    called = {"click_50_seq": "c", "play_2_seq": "p"}

    in_steps = merged(view, [*stored, *second])

    assert in_steps.texts(called, 10) == at_once.texts(called, 10)
    assert sorted(map(repr, map(in_order, in_steps.behaviours()))) == sorted(
        map(repr, map(in_order, at_once.behaviours()))
    )


def _view_of(text: str) -> View:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.yaml"
        path.write_text(text.replace("length: 50", "length: 3"))
        return load(path).views["clicks"]


def test_a_packed_row_of_another_making_is_told() -> None:
    from tests.feature_store.shop import REGISTRY

    with pytest.raises(DataError, match="column 'behaviours' is not what `recserve store sync` writes"):
        unpacked(_view_of(REGISTRY), '{"rows": []}', "view 'clicks': redis")
