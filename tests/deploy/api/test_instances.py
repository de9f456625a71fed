from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.deploy.api.conftest import Api


def test_instances_are_listed_and_others_take_their_place(api: Api) -> None:
    api.create()
    api.step()
    found = api.of("GET", "instances")["Instances"]
    assert len(found) == 2
    first = found[0]["InstanceName"]
    assert api.of("GET", "instances", InstanceName=first)["TotalCount"] == 1
    api.of("DELETE", "instances", InstanceList=first)
    assert api.plane.store.instances[first].retired
    api.of("DELETE", "instances", status=400)
    assert "no instance ghost" in api.of("DELETE", "instances", InstanceList="ghost", status=404)["Message"]


def test_events_are_chosen_by_kind_instance_and_time(api: Api) -> None:
    api.create()
    api.step()
    events = api.of("GET", "events")["Events"]
    assert {"Created", "InstanceStarting"} <= {one["Reason"] for one in events}
    assert api.of("GET", "events", EventType="Warning")["Events"] == []
    name = api.of("GET", "instances")["Instances"][0]["InstanceName"]
    assert api.of("GET", "events", InstanceName=name)["TotalCount"] == 1
    assert api.of("GET", "events", StartTime="2100-01-01T00:00:00Z")["Events"] == []
    assert api.of("GET", "events", PageSize=1)["TotalCount"] == len(events)
    assert api.ask("GET", "/api/v2/events")["TotalCount"] == len(events)
    api.of("GET", "events", StartTime="yesterday", status=400)


def test_events_of_a_deleted_service_are_kept(api: Api) -> None:
    api.create()
    api.of("DELETE", "")
    api.step()
    api.of("GET", "", status=404)
    assert "Deleted" in {one["Reason"] for one in api.of("GET", "events")["Events"]}


def test_logs_are_those_of_the_instances_that_are_asked_for(api: Api) -> None:
    api.create()
    api.step()
    name = api.of("GET", "instances")["Instances"][0]["InstanceName"]
    assert "Logs" in api.of("GET", "logs", InstanceName=name, Keyword="x", PageSize=10)
    api.of("GET", "logs", InstanceName="../../etc/passwd", status=404)


@pytest.mark.parametrize("size", ["0", "x", "-1", "10001", "1e3"])
def test_a_page_of_logs_has_a_size(api: Api, size: str) -> None:
    api.create()
    api.of("GET", "logs", PageSize=size, status=400)


def test_nodes_show_what_runs_there(api: Api) -> None:
    api.create()
    api.step()
    found = api.ask("GET", "/api/v2/nodes")["Nodes"]
    assert [(one["Name"], one["InstanceCount"]) for one in found] == [("memory", 2)]
