from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from tests.feature_store.shop import REGISTRY, at, user_base, write_shop

from recserve.columns import Batch, batch_from_arrow, to_arrow
from recserve.config.items import feature_store_settings
from recserve.errors import ConfigError, SourceError
from recserve.feature_store.feature_table import FeatureTable
from recserve.feature_store.registry import load
from recserve.feature_store.sequences import merged, packed_schema
from recserve.feature_store.users import UserFeatures, open_users
from recserve.sources import open_source
from recserve.sources.memory import MemorySource

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine
    from pathlib import Path

    from recserve.source import Source, TableSpec

LONG = 60_000.0


class Slow(MemorySource):
    """Point reads wait until they may go on, and count."""

    def __init__(self, table: pa.Table, key: str) -> None:
        super().__init__(table, key, name=key)
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.asked = threading.Semaphore(0)
        self.error: Exception | None = None
        self.away: Exception | None = None
        self.gets = 0

    def schema(self) -> pa.Schema:
        if self.away:
            raise self.away
        return super().schema()

    def get(self, keys: pa.Array, columns: Collection[str] | None = None) -> pa.RecordBatch:
        self.gets += 1
        self.asked.release()
        assert self.may_answer.wait(60)
        if self.error:
            raise self.error
        return super().get(keys, columns)


def clicks(folder: Path) -> pa.Table:
    view = load(folder / "feature_store.yaml").views["clicks"]
    minutes = {"i1": -30, "i2": -10, "i3": -20}
    behaviours = [
        (int(at(m).timestamp()) * 1_000_000, (item, "click", None, f"c{item}")) for item, m in minutes.items()
    ]
    packed = merged(view, behaviours).packed()
    return pa.table(
        {"user_id": ["u1"], "behaviours": [packed], "newest": [at(-10)]}, packed_schema(view, pa.string())
    )


@pytest.fixture
def sources(tmp_path: Path) -> dict[str, Slow]:
    write_shop(tmp_path)
    return {
        "online/user_base.parquet": Slow(user_base(), "user_id"),
        "online/clicks.parquet": Slow(clicks(tmp_path), "user_id"),
    }


class Clock:
    """Seconds that pass when a test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def opened(tmp_path: Path, sources: dict[str, Slow]) -> Callable[..., UserFeatures]:
    def open_them(**keys: Any) -> UserFeatures:
        settings = feature_store_settings(
            {
                "fs_project": "shop",
                "fs_model": "rank_v1",
                "fs_user_entity": "user",
                "fs_user_timeout_ms": 60_000,
                **keys,
            }
        )
        assert settings is not None

        def source_of(kind: str, spec: TableSpec) -> Source:
            assert kind == "file"
            return sources[spec.name]

        users = open_users(settings, tmp_path, source_of, now=lambda: at(0).timestamp())
        assert users is not None
        return users

    return open_them


def plain(batch: Batch) -> dict[str, Any]:
    return {name: to_arrow(batch[name]).to_pylist()[0] for name in batch.names}


def asked(users: UserFeatures, *ids: str) -> list[dict[str, Any]]:
    async def all_of_them() -> list[Batch]:
        return [await users.look_up(user) for user in ids]

    return [plain(batch) for batch in asyncio.run(all_of_them())]


def together(*lookups: Coroutine[Any, Any, Batch]) -> list[dict[str, Any]]:
    async def all_of_them() -> list[Batch]:
        return await asyncio.gather(*lookups)

    return [plain(batch) for batch in asyncio.run(all_of_them())]


def test_the_views_of_a_user_become_one_row(opened: Callable[..., UserFeatures]) -> None:
    users = opened()

    (found,) = asked(users, "u1")

    assert found == {
        "city": "oslo",
        "ages": [1, 2],
        "click_50_seq": "i2;i3;i1",
        "click_50_seq__item_id": "i2;i3;i1",
        "click_50_seq__event": "click;click;click",
        "click_50_seq__event_time": ";".join(str(int(at(m).timestamp())) for m in (-10, -20, -30)),
        "click_50_seq__ts": "600;1200;1800",
        "click_50_seq__category": "ci2;ci3;ci1",
        "play_2_seq": "",
        "play_2_seq__item_id": "",
        "play_2_seq__event": "",
        "play_2_seq__event_time": "",
        "play_2_seq__ts": "",
    }
    assert set(users.names) == found.keys()
    assert users.key == "user_id"


def test_an_unknown_user_has_missing_features_and_is_remembered(
    opened: Callable[..., UserFeatures], sources: dict[str, Slow]
) -> None:
    users = opened()

    first, again, empty = asked(users, "nobody", "nobody", "")

    assert first == again == empty == dict.fromkeys(users.names)
    assert (users.figures.unknown, users.figures.cached) == (2, 1)
    assert sources["online/user_base.parquet"].gets == 1


def test_a_user_of_whom_a_part_is_known_has_that_part(opened: Callable[..., UserFeatures]) -> None:
    (found,) = asked(opened(), "u2")

    assert found["city"] == "rome"
    assert found["ages"] is None
    assert found["click_50_seq"] is None


def test_what_is_cached_is_asked_for_again_when_its_time_is_over(
    tmp_path: Path, sources: dict[str, Slow], opened: Callable[..., UserFeatures]
) -> None:
    clock = Clock()
    table = opened()._tables[0]
    users = UserFeatures([table], key="user_id", timeout_ms=LONG, cache_s=10, clock=clock)
    source = sources["online/user_base.parquet"]
    asked(users, "u1", "u1")
    clock.now = 9.9
    asked(users, "u1")
    assert source.gets == 1
    source.write(pa.table({"user_id": ["u1"], "city": ["bonn"]}), mode="merge")
    clock.now = 10.0

    (found,) = asked(users, "u1")

    assert found["city"] == "bonn"
    assert source.gets == 2


def test_no_cache_is_a_look_up_each_time(
    opened: Callable[..., UserFeatures], sources: dict[str, Slow]
) -> None:
    users = opened(fs_user_cache_s=0)

    asked(users, "u1", "u1")

    assert sources["online/user_base.parquet"].gets == 2
    assert users.figures.cached_rows == 0


def test_look_ups_of_one_user_share_one(
    opened: Callable[..., UserFeatures], sources: dict[str, Slow]
) -> None:
    users = opened()
    source = sources["online/user_base.parquet"]
    source.may_answer.clear()

    async def begin() -> list[Batch]:
        waiting = [asyncio.create_task(users.look_up("u1")) for _ in range(20)]
        while not source.asked.acquire(blocking=False):
            await asyncio.sleep(0)  # the loop runs while a thread waits for the store
        source.may_answer.set()
        return list(await asyncio.gather(*waiting))

    found = [plain(batch) for batch in asyncio.run(begin())]

    assert [row["city"] for row in found] == ["oslo"] * 20
    assert source.gets == 1


def test_a_late_answer_is_missing_features_now_and_cached_for_the_next(
    opened: Callable[..., UserFeatures], sources: dict[str, Slow]
) -> None:
    users = opened(fs_user_timeout_ms=1)
    source = sources["online/user_base.parquet"]
    source.may_answer.clear()

    (late,) = asked(users, "u1")
    pending = users._asking["u1"]
    source.may_answer.set()
    pending.result(60)
    while "u1" in users._asking:  # the thread tells the cache after it tells who waits
        threading.Event().wait(0.001)
    (found,) = asked(users, "u1")

    assert late == dict.fromkeys(users.names)
    assert found["city"] == "oslo"
    assert (users.figures.late, users.figures.cached) == (1, 1)


def test_a_store_that_fails_is_counted_and_told_once(
    opened: Callable[..., UserFeatures], sources: dict[str, Slow], caplog: pytest.LogCaptureFixture
) -> None:
    users = opened()
    sources["online/user_base.parquet"].error = SourceError("redis 10.0.0.1 cannot be reached")
    with caplog.at_level(logging.WARNING):
        found = asked(users, "u1", "u1", "u2")

    assert found == [dict.fromkeys(users.names)] * 3
    assert users.figures.failed == 3
    (record,) = [record for record in caplog.records if "reason" in vars(record)]
    assert vars(record)["reason"] == "redis 10.0.0.1 cannot be reached"


def test_no_more_than_so_many_wait(opened: Callable[..., UserFeatures], sources: dict[str, Slow]) -> None:
    users = opened(fs_user_timeout_ms=1)
    source = sources["online/user_base.parquet"]
    source.may_answer.clear()

    together(*(users.look_up(f"user {n}") for n in range(300)))
    source.may_answer.set()

    assert users.figures.late == 256
    assert users.figures.refused == 44
    users.close()


@pytest.mark.parametrize("bound", [{"cached_rows": 10}, {"cached_bytes": 10 * 600}])
def test_the_cache_is_bounded(opened: Callable[..., UserFeatures], bound: dict[str, Any]) -> None:
    users = UserFeatures(opened()._tables, key="user_id", timeout_ms=LONG, **bound)

    asked(users, *(f"user {n}" for n in range(50)))

    assert 0 < users.figures.cached_rows <= 11
    assert users.figures.cached_rows == len(users._cache)
    assert users.figures.cached_bytes == sum(entry.size for entry in users._cache.values())


def test_ids_of_numbers_are_asked_for_as_numbers(tmp_path: Path) -> None:
    registry = load(write_shop(tmp_path, REGISTRY.replace("user_id: string, city", "user_id: int64, city")))
    source = MemorySource(user_base().set_column(0, "user_id", pa.array([7, 8])), "user_id")
    table = FeatureTable(source, registry.views["user_base"], {"city": "city"}, join_id="user_id")
    users = UserFeatures([table], key="user_id", key_kind="int64", timeout_ms=LONG)

    found = asked(users, "007", "x7", "9" * 30)

    assert [row["city"] for row in found] == ["oslo", None, None]


def test_what_the_request_sends_wins(opened: Callable[..., UserFeatures]) -> None:
    users = opened()
    sent = batch_from_arrow({"city": pa.array([None], pa.string()), "age": pa.array([3])})

    found = plain(users.completed(sent, asyncio.run(users.look_up("u1"))))

    assert (found["city"], found["age"], found["ages"]) == (None, 3, [1, 2])


def test_a_store_without_point_reads_is_refused(tmp_path: Path) -> None:
    write_shop(tmp_path)
    settings = feature_store_settings({"fs_project": "shop", "fs_model": "rank_v1", "fs_user_entity": "user"})
    assert settings is not None

    def without_get(kind: str, spec: TableSpec) -> Source:
        return MemorySource(user_base(), "user_id", abilities=frozenset())

    with pytest.raises(ConfigError, match=r"'user_base': .*no look-up of single rows"):
        open_users(settings, tmp_path, without_get)
    settings = feature_store_settings({"fs_project": "shop", "fs_model": "rank_v1"})
    assert settings is not None
    assert open_users(settings, tmp_path, open_source) is None


def test_a_store_that_is_away_at_the_start_is_no_reason_not_to_start(
    opened: Callable[..., UserFeatures], sources: dict[str, Slow], caplog: pytest.LogCaptureFixture
) -> None:
    source = sources["online/user_base.parquet"]
    source.away = SourceError("redis 10.0.0.1 cannot be reached")

    users = opened()
    (missing,) = asked(users, "u1")
    source.away = None
    (found,) = asked(users, "u1")

    assert missing["city"] is None
    assert found["city"] == "oslo"
    assert "redis 10.0.0.1 cannot be reached" in [vars(record).get("reason") for record in caplog.records]
