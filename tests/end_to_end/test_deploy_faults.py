"""What bad input and bad luck get, on real processes: a status, a message that says what to do, nothing
half-done."""

from __future__ import annotations

import random
import re
import resource
import shutil
import socket
import time
from typing import TYPE_CHECKING

import pytest
import urllib3
from tests.end_to_end.control_plane import (
    CODE,
    ControlPlane,
    DirectClient,
    app,
    free_port,
    up,
    upstreams,
    word,
)

from recserve.deploy.client import ControlError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with ControlPlane(tmp_path_factory.mktemp("state")) as started:
        yield started


def post(plane: ControlPlane, body: bytes) -> tuple[int, str]:
    headers = {"Authorization": (plane.folder / "token").read_text()}
    answer = urllib3.request("POST", f"{plane.url}/api/v2/services", body=body, headers=headers)
    return answer.status, str(answer.json()["Message"])


def failed(plane: ControlPlane, name: str) -> str:
    """Why, once it has failed."""
    return str(plane.wait(name, lambda seen: seen["Status"] == "Failed")["Message"])


def test_a_broken_json_is_refused_at_its_line_and_column(plane: ControlPlane) -> None:
    status, message = post(plane, b'{"name": "broken",\n "processor" "easyrec-torch-1.12"}')

    assert status == 400
    assert "line 2" in message
    assert "column 14" in message
    assert plane.client.services("broken") == []


@pytest.mark.parametrize("name", ["", "UPPER", "../up", "a b", "x" * 200])
def test_a_name_that_is_none_is_refused(plane: ControlPlane, name: str) -> None:
    with pytest.raises(ControlError, match="name is") as refused:
        plane.client.create({"name": name, "containers": [{"script": "true"}]})

    assert refused.value.status == 400


def test_an_unknown_instance_type_is_refused_with_some_that_are_known(plane: ControlPlane) -> None:
    with pytest.raises(
        ControlError, match=r"unknown instance type .ecs\.what.; write one such as"
    ) as refused:
        plane.create("typed", cloud={"computing": {"instance_type": "ecs.what"}})

    assert refused.value.status == 400
    assert plane.client.services("typed") == []


def test_a_model_directory_that_does_not_exist_is_refused(plane: ControlPlane) -> None:
    service = {"name": "nowhere", "processor": "easyrec-torch-1.12", "model_path": "/no/such/model"}

    with pytest.raises(ControlError, match="does not exist: /no/such/model") as refused:
        plane.client.create(service)

    assert refused.value.status == 400
    assert plane.client.services("nowhere") == []


def test_a_mounted_directory_that_does_not_exist_is_told(plane: ControlPlane) -> None:
    storage = [{"mount_path": CODE, "host_path": {"path": "/no/such/folder"}}]
    plane.create("unmounted", storage=storage)

    assert f"CannotPrepare mount {CODE}: /no/such/folder does not exist" in failed(plane, "unmounted")
    plane.client.delete("unmounted")


def test_a_requirement_that_cannot_be_installed_is_told_and_can_be_mended(plane: ControlPlane) -> None:
    wrong = {"prepare": {"pythonRequirements": ["/no/such/wheel-1.0-py3-none-any.whl"]}}
    plane.create("required", container=wrong)

    message = failed(plane, "required")

    assert "RequirementsFailed" in message
    assert "/no/such/wheel-1.0-py3-none-any.whl" in message
    plane.client.modify("required", {"containers": app(plane.folder, "required")["containers"]})
    plane.wait_until_running("required")
    plane.client.delete("required")


def test_a_command_that_exits_at_once_is_told_with_its_last_words(plane: ControlPlane) -> None:
    plane.create("short", "echo there is no such weight file; exit 3")

    message = failed(plane, "short")

    assert "there is no such weight file" in message
    assert plane.instances("short")[0]["LastState"][0]["exitCode"] == 3
    plane.client.delete("short")


def test_what_has_crashed_is_left_for_a_look_where_that_is_asked_for(plane: ControlPlane) -> None:
    plane.create("blocked", "echo look at me; exit 4", runtime={"enable_crash_block": True})

    message = failed(plane, "blocked")

    assert "enable_crash_block" in message
    assert "look at me" in message
    (one,) = plane.instances("blocked")
    assert (one["RestartCount"], one["LastState"][0]["exitCode"]) == (0, 4)
    plane.client.modify("blocked", {"containers": app(plane.folder, "blocked")["containers"]})
    plane.wait_until_running("blocked")
    plane.client.delete("blocked")


def test_a_health_check_that_never_passes_is_told(plane: ControlPlane) -> None:
    check = {"http_get": {"path": "/never"}, "period_seconds": 1, "failure_threshold": 2}
    plane.create("ill", container={"startup_check": check})

    message = failed(plane, "ill")

    assert "is not ready after 2 s" in message
    assert "/never answers 503" in message
    assert plane.client.service("ill")["RunningInstance"] == 0
    plane.client.delete("ill")


def test_a_version_that_never_gets_ready_leaves_the_old_one_serving(plane: ControlPlane) -> None:
    plane.create("kept", container=word("one"))
    plane.wait_until_running("kept")
    check = {"http_get": {"path": "/never"}, "period_seconds": 1, "failure_threshold": 2}
    broken = app(plane.folder, "kept", container={**word("two"), "startup_check": check})

    plane.client.modify("kept", {"containers": broken["containers"]})
    found = plane.wait("kept", lambda seen: "did not get ready" in seen["Message"])

    assert found["Status"] == "Running"
    assert "version 1 serves" in found["Message"]
    assert plane.say("kept") == {"one"}
    plane.client.put("kept", "version", {"Version": 1})
    plane.wait_until_running("kept")
    plane.client.delete("kept")


def test_an_app_whose_port_is_taken_is_told(plane: ControlPlane) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        plane.create("second", f"python {CODE}/app.py {port}", container={"port": port})

        message = failed(plane, "second")

    assert f"port {port} is taken" in message
    assert "LISTENING_PORT" in message
    plane.wait_until_running("second")  # the port is free now
    plane.client.delete("second")


def test_a_control_plane_whose_port_is_taken_says_so_and_ends(plane: ControlPlane, tmp_path: Path) -> None:
    second = up(tmp_path, int(plane.url.rpartition(":")[2]))
    said, _ = second.communicate(timeout=60)

    assert second.returncode != 0
    assert "cannot be listened on" in said
    assert "choose another --port" in said
    assert "Traceback" not in said


def test_a_second_control_plane_on_one_state_says_so_and_ends(plane: ControlPlane) -> None:
    second = up(plane.folder)
    said, _ = second.communicate(timeout=60)

    assert second.returncode != 0
    assert str(plane.pid) in said
    assert "Traceback" not in said
    plane.create("going_on", container=word("going on"))
    plane.wait_until_running("going_on")
    plane.client.delete("going_on")


def test_a_state_that_is_none_is_told_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "control.db").write_bytes(b"no database at all, but the only copy of something" * 100)

    began = up(tmp_path)
    said, _ = began.communicate(timeout=60)

    assert began.returncode != 0
    assert "is not a control plane's state" in said
    assert "Traceback" not in said
    assert (tmp_path / "control.db").read_bytes().startswith(b"no database at all")


@pytest.mark.parametrize("token", [None, "", "wrong", "Bearer wrong", "Basic d3Jvbmc="])
def test_without_the_token_nothing_is_shown_or_changed(plane: ControlPlane, token: str | None) -> None:
    headers = {} if token is None else {"Authorization": token}
    described = plane.client.ask("GET", "/api/v2/openapi.json")["paths"]
    asked = [
        (method.upper(), re.sub(r"{\w+}", "any", path))
        for path, found in described.items()
        for method in found
    ]
    assert len(asked) > 20

    for method, path in [*asked, ("PUT", "/api/v2/nothing")]:
        answer = urllib3.request(method, plane.url + path, headers=headers, body=b"{}", retries=False)
        assert answer.status == 401, (method, path)
        assert "token" in answer.json()["Message"]


def test_a_full_disk_changes_nothing_and_serving_goes_on(plane: ControlPlane) -> None:
    plane.create("fed", container=word("fed"))
    plane.wait_until_running("fed")
    _, hard = resource.prlimit(plane.pid, resource.RLIMIT_FSIZE)

    resource.prlimit(plane.pid, resource.RLIMIT_FSIZE, (0, hard))  # not a byte can be written any more
    try:
        with pytest.raises(ControlError, match="nothing was changed") as refused:
            plane.create("hungry")
        assert plane.say("fed") == {"fed"}
    finally:
        resource.prlimit(plane.pid, resource.RLIMIT_FSIZE, (hard, hard))

    assert refused.value.status == 507
    assert plane.client.services("hungry") == []
    plane.create("hungry", container=word("hungry"))
    plane.wait_until_running("hungry")
    for name in ("fed", "hungry"):
        plane.client.delete(name)


def test_a_service_whose_model_has_gone_harms_no_other_and_can_be_deleted(tmp_path: Path) -> None:
    with ControlPlane(tmp_path) as plane:
        plane.create("other", container=word("other"))
        model = tmp_path / "model"
        model.mkdir()
        plane.client.create({"name": "lost", "processor": "easyrec-torch-1.12", "model_path": str(model)})
        plane.wait_until_running("other")
        plane.kill()
        shutil.rmtree(model)
        plane.begin()

        plane.wait("lost", lambda seen: str(model) in seen["Message"])
        plane.client.put("other", "start")
        plane.client.modify("other", {"metadata": {"instance": 2}})
        plane.wait("other", lambda seen: seen["RunningInstance"] == 2)
        plane.client.delete("lost")

        give_up_at = time.monotonic() + 60
        while plane.client.services("lost"):
            assert time.monotonic() < give_up_at
            time.sleep(0.05)


def test_a_control_plane_that_is_killed_at_any_point_of_a_roll_ends_it(tmp_path: Path) -> None:
    chance = random.Random(seed := random.randrange(10**6))
    metadata = {"instance": 2, "rolling_strategy": {"max_surge": 2}}
    with ControlPlane(tmp_path) as plane:
        plane.create("rolled", metadata=metadata, container=word("0"))
        plane.wait_until_running("rolled")
        with DirectClient(plane.url, "rolled") as client:
            for roll in ("1", "2"):
                changed = app(tmp_path, "rolled", container=word(roll))["containers"]
                plane.client.modify("rolled", {"containers": changed})
                for _ in range(5):
                    time.sleep(chance.uniform(0, 1.5))  # at which point is what is tried here
                    plane.kill()
                    plane.begin()
                plane.wait_until_running("rolled")
                assert plane.say("rolled") == {roll}, f"seed {seed}"
                while len(plane.instances("rolled")) > 2:  # those that clients have still to forget
                    time.sleep(0.05)
        found = plane.instances("rolled")
        addresses = {f"{one['InnerIP']}:{one['InstancePort']}" for one in found}

        assert client.failures == [], f"seed {seed}"
        assert {"0", "1", "2"} <= set(client.words)
        assert {one["Version"] for one in found} == {3}
        assert set(upstreams(plane.url, "rolled")) == addresses
        assert len(set(plane.processes().values())) == 2, f"seed {seed}"


def test_what_is_being_ended_when_the_control_plane_is_killed_ends(tmp_path: Path) -> None:
    with ControlPlane(tmp_path) as plane:
        deaf = "import signal; signal.signal(15, lambda *_: print('deaf', flush=True)); signal.pause()"
        metadata = {"instance": 1, "eas.termination_grace_period": 1}
        plane.create("deaf", f'python -c "{deaf}; signal.pause()"', metadata=metadata)
        plane.wait("deaf", lambda _: bool(plane.processes()))
        plane.client.delete("deaf")
        plane.kill()
        plane.begin()

        give_up_at = time.monotonic() + 60
        while plane.client.services("deaf") or plane.processes():
            assert time.monotonic() < give_up_at
            time.sleep(0.05)


def test_a_fixed_port_has_one_instance_for_each_machine_and_rolls(tmp_path: Path) -> None:
    port = free_port()
    script = f"python {CODE}/app.py {port}"
    with ControlPlane(tmp_path) as plane:
        plane.create("fixed", script, container={"port": port, **word("one")})
        plane.wait_until_running("fixed")
        assert upstreams(plane.url, "fixed") == [f"127.0.0.1:{port}"]

        changed = app(tmp_path, "fixed", script, container={"port": port, **word("two")})
        plane.client.modify("fixed", {"containers": changed["containers"]})
        plane.wait_until_running("fixed")

        assert plane.say("fixed") == {"two"}
