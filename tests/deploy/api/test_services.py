from __future__ import annotations

import threading
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from starlette.testclient import TestClient
from tests.deploy.api.conftest import SERVICE, Api
from tests.deploy.simulation import TINY

from recserve.deploy.api.app import application, operations


def test_every_operation_asks_for_the_token(api: Api) -> None:
    stranger = TestClient(application(api.plane), raise_server_exceptions=False)
    for one in operations(api.plane):
        path = one.path.format(cluster="local", name="tiny")
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer "}):
            answer = stranger.request(one.method, path, headers=headers, json={})
            assert answer.status_code == 401, one.name
            assert "token" in answer.json()["Message"]
    assert not api.plane.store.services


def test_every_operation_on_an_unknown_service_is_404_or_says_what_it_expects(api: Api) -> None:
    for one in operations(api.plane):
        if "{name}" in one.path:
            answer = api.client.request(one.method, one.path.format(cluster="local", name="nobody"), json={})
            assert answer.status_code in (400, 404), (one.name, answer.text)
            assert answer.json()["Message"]


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"\xff", b'{"a": 1, "a": 2}', b'{"metadata": 3}'])
def test_a_broken_body_is_400_and_changes_nothing(api: Api, body: bytes) -> None:
    made = api.create()
    for one in operations(api.plane):
        if one.body is not None:
            path = one.path.format(cluster="local", name="tiny")
            answer = api.client.request(one.method, path, content=body)
            assert answer.status_code == 400, (one.name, answer.text)
    assert api.of("GET", "")["ServiceConfig"] == made["ServiceConfig"]
    assert list(api.plane.store.services) == ["tiny"]


def test_a_broken_document_is_answered_with_line_and_column(api: Api) -> None:
    answer = api.client.post("/api/v2/services", content=b'{\n  "name": "x",\n}')
    assert answer.status_code == 400
    assert "line 3, column 1" in answer.json()["Message"]


def test_a_body_without_end_is_refused(api: Api) -> None:
    answer = api.client.post("/api/v2/services", content=b" " * (4 * 2**20 + 1))
    assert answer.status_code == 413


def test_a_service_is_created_described_changed_and_deleted(api: Api) -> None:
    made = api.create()
    assert made["Status"] == "Creating"
    assert made["InternetEndpoint"] == "http://gateway:8080/api/predict/tiny"
    assert len(made["AccessToken"]) == 40
    api.ask("POST", "/api/v2/services", TINY, status=409)
    assert api.of("PUT", "", {"metadata": {"instance": 3}})["TotalInstance"] == 3
    assert api.of("GET", "")["CurrentVersion"] == 1
    assert api.of("PUT", "", {"metadata": {"rpc": {"worker_threads": 2}}})["LatestVersion"] == 2
    assert api.of("PUT", "version", {"Version": 1})["CurrentVersion"] == 1
    assert api.of("PUT", "version", {"Version": 9}, status=404)["Message"].endswith("it has [1, 2]")
    versions = api.of("GET", "versions")
    assert [one["Version"] for one in versions["Versions"]] == [2, 1]
    assert api.of("PUT", "stop")["Status"] == "Stopped"
    assert api.of("PUT", "start")["Status"] == "Creating"
    assert api.of("DELETE", "")["Status"] == "Deleting"
    api.step()
    api.of("GET", "", status=404)


def test_what_is_deleted_is_shown_though_the_next_pass_forgets_it_at_once(api: Api) -> None:
    ended = threading.Event()

    def spin() -> None:
        while not ended.is_set():
            api.plane.reconciler.reconcile()

    passes = threading.Thread(target=spin)
    passes.start()
    try:
        for turn in range(100):
            api.ask("POST", "/api/v2/services", {**TINY, "name": f"of_{turn}", "metadata": {"instance": 0}})
            assert api.ask("DELETE", f"/api/v2/services/local/of_{turn}")["Status"] == "Deleting"
    finally:
        ended.set()
        passes.join()


def test_replacing_a_document_drops_what_it_does_not_have(api: Api) -> None:
    api.create(labels={"team": "search"}, processor_envs=[{"name": "NO_GRAD_GUARD", "value": "1"}])
    api.of("PUT", "", TINY, UpdateType="replace")
    assert "NO_GRAD_GUARD" not in api.of("GET", "")["ServiceConfig"]
    assert api.of("GET", "")["Labels"] == []
    api.of("PUT", "", TINY, UpdateType="other", status=400)


def test_lists_are_paged_and_filtered_and_have_no_secrets(api: Api) -> None:
    for name in ("b", "a", "rank"):
        group = {"group": "home"} if name == "rank" else {}
        api.create(name=name, metadata={"instance": 1, **group}, labels={"team": name}, token="hidden-secret")
    found = api.ask("GET", "/api/v2/services")
    assert [one["ServiceName"] for one in found["Services"]] == ["a", "b", "rank"]
    assert "hidden-secret" not in str(found)
    found = api.ask("GET", "/api/v2/services", PageSize=2, PageNumber=2)
    assert [one["ServiceName"] for one in found["Services"]] == ["rank"]
    assert found["TotalCount"] == 3

    def names(**query: Any) -> list[str]:
        return [one["ServiceName"] for one in api.ask("GET", "/api/v2/services", **query)["Services"]]

    assert names(Filter="an") == ["rank"]
    assert names(GroupName="home") == ["rank"]
    assert names(Label='{"team": "b"}') == ["b"]
    assert names(ServiceStatus="Running") == []
    assert names(Order="desc") == ["rank", "b", "a"]


@pytest.mark.parametrize(
    "query",
    [
        {"PageSize": "0"},
        {"PageSize": "x"},
        {"PageSize": "1001"},
        {"PageNumber": "-1"},
        {"PageNumber": "9" * 30},
        {"Label": "{"},
        {"Sort": "Token"},
        {"Order": "up"},
    ],
)
def test_a_list_that_cannot_be_asked_for_is_400(api: Api, query: dict[str, Any]) -> None:
    api.ask("GET", "/api/v2/services", status=400, **query)


def test_labels_change_without_a_new_version(api: Api) -> None:
    api.create(labels={"team": "search"})
    api.of("POST", "label", {"Labels": {"tier": "gold"}})
    assert api.of("DELETE", "label", Keys="team")["Labels"] == [{"LabelKey": "tier", "LabelValue": "gold"}]
    api.of("PUT", "", {"metadata": {"instance": 3}})
    assert api.of("GET", "")["Labels"] == [{"LabelKey": "tier", "LabelValue": "gold"}]
    assert api.of("GET", "")["LatestVersion"] == 1
    api.of("POST", "label", {"Labels": {"tier": 3}}, status=400)


def test_a_locked_service_is_not_changed(api: Api) -> None:
    api.create()
    assert api.of("PUT", "lock", {"Lock": "all"})["SafetyLock"] == "all"
    for method, what, body in (
        ("PUT", "", {"metadata": {"instance": 3}}),
        ("DELETE", "", None),
        ("PUT", "stop", None),
        ("PUT", "version", {"Version": 1}),
        ("POST", "label", {"Labels": {"a": "b"}}),
        ("PUT", "autoscaler", {"min": 1, "max": 3, "strategies": {"qps": 5}}),
    ):
        assert "locked" in api.of(method, what, body, status=409)["Message"]
    api.of("PUT", "lock", {"Lock": "some"}, status=400)
    assert api.of("PUT", "lock", {"Lock": "none"})["SafetyLock"] == "none"
    api.of("DELETE", "")


def test_a_group_shows_its_members_and_their_weights(api: Api) -> None:
    api.create(metadata={"group": "home", "instance": 1})
    api.create(name="other", metadata={"group": "home", "instance": 3})
    api.of("PUT", "release", {"Weight": 10, "TrafficState": "grouping"})
    api.of("PUT", "release", {"Weight": 1001}, status=400)
    api.of("PUT", "release", {"TrafficState": "some"}, status=400)
    api.of("PUT", "release", {}, status=400)
    listed = api.ask("GET", "/api/v2/groups")["Groups"]
    assert [one["Name"] for one in listed] == ["home"]
    one = api.ask("GET", "/api/v2/groups/local/home")
    assert one["InternetEndpoint"] == "http://gateway:8080/api/predict/home"
    weights = {m["ServiceName"]: (m["Weight"], m["TrafficState"]) for m in one["Services"]}
    assert weights == {"tiny": (10, "grouping"), "other": (-1, "standalone")}
    api.ask("GET", "/api/v2/groups/local/away", status=404)


def test_paths_that_do_not_exist_say_where_the_list_is(api: Api) -> None:
    assert "openapi.json" in api.ask("GET", "/api/v2/nothing", status=404)["Message"]
    assert api.ask("PATCH", SERVICE, status=405)["Code"] == "MethodNotAllowed"


def test_the_api_describes_every_operation_to_anybody(api: Api) -> None:
    found = TestClient(application(api.plane)).get("/api/v2/openapi.json").json()
    OpenAPIV31SpecValidator(found).validate()
    described = {method["operationId"] for path in found["paths"].values() for method in path.values()}
    assert described == {one.name for one in operations(api.plane)}
    assert len(described) == len(operations(api.plane))
    assert {"CreateService", "DescribeServiceAutoScaler", "DeleteServiceInstances"} <= described
