from __future__ import annotations

import sqlite3
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from recserve.deploy import store as stores
from recserve.deploy.errors import ConflictError
from recserve.deploy.records import Instance, Phase, Rollout, RolloutState, Service, Version, Wanted
from recserve.deploy.store import Store
from recserve.errors import LoadError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERVICE = Service(
    name="rank",
    uid="eas-1",
    token="secret",
    version=1,
    instances=2,
    rollout=Rollout(2, 1, 7.0, RolloutState.PAUSED, partition=1, batch=2, interval_s=300.0),
    wanted=Wanted.STOPPED,
    labels={"team": "feed"},
    weight=10,
)
VERSION = Version("rank", 1, {"name": "rank", "metadata": {"instance": 2}}, 5.0)


def instance(number: int, phase: Phase = Phase.READY) -> Instance:
    exit = {"exitCode": -9, "finishedAt": 1.0, "reason": "OOMKilled"}
    return Instance(
        f"rank-1-{number}", "rank", 1, phase, float(number), 0.0, "node", "::1", 80, last_exit=exit
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "state")
    yield made
    made.close()


def filled(store: Store) -> None:
    with store.change() as change:
        change.put(SERVICE)
        change.put(VERSION)
        change.put(instance(1))
        change.tell("Created", "rank", "2 instances are wanted")


def test_records_are_the_same_after_a_restart(tmp_path: Path) -> None:
    store = Store(tmp_path)
    filled(store)
    store.close()

    again = Store(tmp_path)

    assert again.services == {"rank": SERVICE}
    assert again.versions == {("rank", 1): VERSION}
    assert again.instances == {"rank-1-1": instance(1)}
    assert [event.reason for event in again.events("rank")] == ["Created"]
    assert isinstance(again.services["rank"].rollout.state, RolloutState)
    again.close()


def test_a_change_that_fails_changes_nothing(store: Store) -> None:
    filled(store)

    def fail() -> None:
        with store.change() as change:
            change.put(replace(SERVICE, instances=9))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert store.services["rank"].instances == 2


def test_a_version_is_never_written_over(store: Store) -> None:
    filled(store)

    def write() -> None:
        with store.change() as change:
            change.put(replace(SERVICE, instances=9))
            change.put(VERSION)

    with pytest.raises(sqlite3.IntegrityError):
        write()

    assert store.services["rank"].instances == 2
    with store.change() as change:  # the next transaction is not in the failed one
        change.put(replace(SERVICE, instances=3))
    assert store.services["rank"].instances == 3


def test_a_full_disk_changes_nothing_and_is_told(store: Store) -> None:
    filled(store)
    store._database.execute("PRAGMA max_page_count = 1")  # SQLite's own limit: the pages that it has, no more

    with pytest.raises(sqlite3.OperationalError, match="full"), store.change() as change:
        change.put(replace(SERVICE, instances=9, labels={"long": "x" * 100_000}))

    assert store.services["rank"] == SERVICE


def test_a_second_controller_is_refused_and_told_who_the_first_is(store: Store, tmp_path: Path) -> None:
    code = "import sys, pathlib; from recserve.deploy.store import Store; Store(pathlib.Path(sys.argv[1]))"

    command = [sys.executable, "-c", code, str(store.folder)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)

    assert ended.returncode != 0
    assert "is in use by another control plane, process" in ended.stderr
    with pytest.raises(ConflictError, match="stop it, or give this one a folder of its own"):
        Store(store.folder)


def test_a_file_that_is_no_state_is_named(tmp_path: Path) -> None:
    (tmp_path / "control.db").write_bytes(b"not a database, but long enough to be taken for one" * 100)

    with pytest.raises(LoadError, match=r"control\.db is not a control plane's state: .*; move it away"):
        Store(tmp_path)


def test_only_the_owner_may_read_the_state(store: Store) -> None:
    modes = {path.name: path.stat().st_mode & 0o777 for path in store.folder.iterdir()}

    assert modes["control.db"] == 0o600
    assert modes["control.lock"] == 0o600
    assert store.folder.stat().st_mode & 0o777 == 0o700


def test_a_service_is_forgotten_with_all_but_its_events(store: Store) -> None:
    filled(store)

    with store.change() as change:
        change.forget("rank")

    assert (store.services, store.versions, store.instances) == ({}, {}, {})
    assert store.events("rank")
    filled(store)  # the name is free


def test_what_has_ended_is_remembered_for_a_while(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "GONE_KEPT", 3)
    filled(store)
    for number in range(2, 10):
        with store.change() as change:
            change.put(instance(number, Phase.GONE))

    gone = {one.id for one in store.history_of("rank") if one.phase is Phase.GONE}
    assert gone == {"rank-1-7", "rank-1-8", "rank-1-9"}


def test_events_are_bounded_and_the_newest_come_first(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "EVENTS_KEPT", 5)
    for number in range(12):
        with store.change() as change:
            change.tell("Counted", "rank", str(number))

    assert [event.message for event in store.events("rank")] == ["11", "10", "9", "8", "7"]
    assert [event.message for event in store.events(most=2)] == ["11", "10"]


def test_a_field_that_a_later_release_added_is_passed_over(tmp_path: Path) -> None:
    store = Store(tmp_path)
    filled(store)
    store._database.execute("UPDATE services SET record = json_set(record, '$.later', 1)")
    store.close()

    again = Store(tmp_path)

    assert again.services == {"rank": SERVICE}
    again.close()
