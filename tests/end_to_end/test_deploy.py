"""Services are rolled, scaled, shifted and killed under traffic, by the commands that people type.

benchmarks/deploy.py does the same with a real model, and measures.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from tests.cli.conftest import REQUEST, make
from tests.end_to_end.deployed import (
    Deployed,
    EasTraffic,
    GatewayTraffic,
    RawTraffic,
    ask_with_eas,
    control_plane,
    settle,
)

from recserve.client.request import build_request
from recserve.wire.torchrec import encode_request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.end_to_end.deployed import Traffic

TOKEN = "s3cret"
CALLS: list[list[Any]] = [
    ["add_user_fea", "age", 30, "INT"],
    *[["add_item_id", item] for item in REQUEST["item_ids"]],
]


@dataclass(frozen=True)
class Stage:
    """A service of two instances, in a group, with traffic on it."""

    plane: Deployed
    traffic: tuple[Traffic, ...]

    def failures(self, instances: int = 2) -> list[str]:
        """Of all traffic since the last time; some of each kind comes to so many instances now."""
        return settle(*self.traffic, known=instances).failures

    def desc(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.plane.recserve("desc", "rank", "-o", "json"))
        return found

    def versions(self) -> list[int]:
        """Of the instances that are ready."""
        return sorted(one["Version"] for one in self.plane.instances("rank") if one["Status"] == "Ready")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = make(tmp_path_factory.mktemp("deploy"))
    service = {
        "name": "rank",
        "token": TOKEN,
        "processor": "easyrec-torch-1.12",
        "model_path": "bundle",
        "metadata": {"instance": 2, "group": "ranks"},
        "model_config": {
            "fg_mode": "normal",
            "remote_type": "file",
            "tables": [{"name": "items.parquet", "key": "item_id"}],
        },
    }
    folder.write("service.json", service)
    folder.write("canary.json", {**service, "name": "canary", "metadata": {"group": "ranks"}})
    body = encode_request(build_request(REQUEST["user"], REQUEST["item_ids"], context=REQUEST["context"]))
    with ExitStack() as stack:
        plane = stack.enter_context(control_plane(folder.path / "home"))
        plane.recserve("create", str(folder.path / "service.json"))
        url = plane.client.url
        traffic = (
            stack.enter_context(RawTraffic(url, "rank", TOKEN, body)),
            stack.enter_context(GatewayTraffic(plane.gateway, "rank", TOKEN, body)),
            stack.enter_context(EasTraffic(url, "rank", TOKEN, CALLS)),
        )
        made = Stage(plane, traffic)
        assert made.failures() == []
        yield made


def test_a_new_version_is_rolled_out_and_back_and_no_request_fails(stage: Stage) -> None:
    before = stage.desc()["CurrentVersion"]

    stage.plane.recserve("modify", "rank", '-Dprocessor_envs=[{"name": "STEP", "value": "2"}]')

    assert stage.desc()["CurrentVersion"] > before
    assert stage.versions() == [stage.desc()["CurrentVersion"]] * 2

    stage.plane.recserve("version", "rank", str(before))

    assert stage.versions() == [before] * 2
    assert stage.failures() == []


def test_more_and_fewer_instances_and_no_request_fails(stage: Stage) -> None:
    for count in (4, 1, 2):
        stage.plane.recserve("scale", "rank", str(count))
        assert len(stage.versions()) == count
        assert stage.failures(instances=count) == []


def test_an_instance_that_is_killed_comes_back_and_no_request_fails(stage: Stage) -> None:
    stage.plane.kill_one("rank")

    assert len(stage.versions()) == 2
    assert stage.failures() == []


def test_a_version_that_does_not_begin_leaves_the_old_one_serving(stage: Stage) -> None:
    before = stage.versions()
    empty = stage.plane.home.parent / "empty"
    empty.mkdir()

    stage.plane.recserve("modify", "rank", f"-Dmodel_path={empty}", status=1)

    assert stage.versions() == before
    assert "did not get ready" in stage.desc()["Message"]
    stage.plane.recserve("version", "rank", str(before[0]))
    stage.plane.wait("rank", lambda found: found["Message"] == "")
    assert stage.failures() == []


def test_a_canary_gets_its_share_of_the_group(stage: Stage) -> None:
    plane = stage.plane
    plane.recserve("create", str(plane.home.parent / "canary.json"))
    plane.recserve("release", "rank", "--weight", "90")
    plane.recserve("release", "canary", "--weight", "10")
    names = ("rank", "canary")
    others = plane.answered(*names)

    told = ask_with_eas(plane.client.url, "ranks", TOKEN, CALLS, 400)

    answered = plane.answered(*names)
    assert (told.requests, told.failures) == (400, [])
    assert answered["canary"] - others["canary"] == pytest.approx(40, abs=8)
    plane.recserve("delete", "canary", "-y")
    assert stage.failures() == []


def test_a_deployed_service_is_measured_by_its_name(stage: Stage) -> None:
    requests = stage.plane.home.parent / "requests.jsonl"
    requests.write_text(json.dumps(REQUEST))

    found = stage.plane.recserve(
        "bench", str(requests), "--service", "rank", "--count", "20", "-n", "2", "--warm-up", "0", "--json"
    )

    figures = json.loads(found)
    assert (figures["answered"], figures["failures"]) == (20, {})
