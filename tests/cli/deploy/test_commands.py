"""eascmd's words, on a control plane of their own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from tests.cli.deploy.conftest import app_file

from recserve.cli.deploy.logs import newer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.cli.conftest import Folder
    from tests.end_to_end.deployed import Deployed
    from typer.testing import Result

    Call = Callable[..., Result]


@pytest.fixture
def shop(call: Call, folder: Folder, plane: Deployed) -> Iterator[str]:
    """A service that a test may change."""
    folder.write("shop.json", app_file(plane, "shop"))
    assert call("create", "shop.json").exit_code == 0
    yield "shop"
    call("lock", "shop", "none")
    assert call("delete", "shop", "-y").exit_code == 0


def said(result: Result) -> dict[str, Any]:
    """The JSON that a command prints."""
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def rows(result: Result) -> list[list[str]]:
    """The words of each line of a table."""
    assert result.exit_code == 0, result.output
    return [line.split() for line in result.stdout.splitlines()]


def test_create_shows_endpoint_and_token_and_follows_the_service_until_it_runs(
    call: Call, folder: Folder, plane: Deployed
) -> None:
    folder.write("new.json", app_file(plane, "new"))

    result = call("create", "new.json")

    found = plane.client.service("new")
    assert rows(result) == [
        ["Service", "new"],
        ["Endpoint", found["InternetEndpoint"]],
        ["Token", found["AccessToken"]],
    ]
    progress = result.stderr.splitlines()
    assert progress[0].startswith("[OK] Waiting [Total: 1, Pending: 1, Running: 0]")
    assert progress[-2:] == ["[OK] Running [Total: 1, Pending: 0, Running: 1]", "[OK] Service is running"]
    assert call("delete", "new", "-y").exit_code == 0


def test_the_command_lines_of_the_documentation_work(call: Call, folder: Folder, plane: Deployed) -> None:
    folder.write("rank.json", app_file(plane, "rank"))
    before = ("-i", "AK", "-k", "SK", "-e", plane.client.url)

    assert call(*before, "create", "rank.json").exit_code == 0
    assert call(*before, "modify", "rank", "-s", "rank.json").exit_code == 0
    assert call("update", "cn-shanghai/rank", "-s", "rank.json", "-i", "AK", "-k", "SK").exit_code == 0
    assert json.loads(call("-o", "json", "ls", "rank").stdout)[0]["ServiceName"] == "rank"
    assert call("-e", plane.client.url, "-y", "delete", "rank").exit_code == 0


def test_a_name_that_is_taken_is_refused_and_nothing_changes(
    call: Call, app: str, folder: Folder, plane: Deployed
) -> None:
    folder.write("again.json", app_file(plane, app))
    before = plane.client.service(app)["LatestVersion"]

    result = call("create", "again.json")

    assert result.exit_code == 1
    assert f"service {app} exists" in result.stderr
    assert plane.client.service(app)["LatestVersion"] == before


def test_a_file_that_is_not_json_is_told_by_line_and_column(call: Call, folder: Folder) -> None:
    (folder.path / "broken.json").write_text('{\n  "name": "a",\n  "metadata": {"instance": 1},\n}\n')

    result = call("create", "broken.json")

    assert result.exit_code == 1
    assert "broken.json, line 4, column 1: not JSON: a comma before a closing bracket" in result.stderr


def test_services_are_listed_and_described(call: Call, app: str, plane: Deployed) -> None:
    listed = rows(call("ls", app))
    described = said(call("desc", app, "-o", "json"))

    head = ["SERVICE", "REGION", "INSTANCE", "CREATE", "UPDATE", "STATUS", "WEIGHT", "PATH"]
    assert listed[0] == head
    assert listed[1][:3] == [app, "local", "1"]
    assert listed == rows(call("list", app))
    assert described["AccessToken"] == plane.client.service(app)["AccessToken"]
    assert described["AccessToken"] not in call("ls", "-o", "json").stdout
    assert '"script"' in call("desc", app).stdout


def test_services_are_listed_by_their_labels(call: Call, shop: str) -> None:
    assert call("modify", shop, "-Dlabels.team=search", "-Dlabels.tier=gold").exit_code == 0

    assert [row[0] for row in rows(call("ls", "-l", "team=search"))[1:]] == [shop]
    assert [row[0] for row in rows(call("ls", shop, "--label", "team=search", "-l", "tier=gold"))[1:]] == [
        shop
    ]
    assert rows(call("ls", "-l", "team=search", "-l", "tier=none"))[1:] == []
    assert call("ls", "-l", "team").exit_code == 2


def test_workers_are_shown_and_replaced(call: Call, shop: str, plane: Deployed) -> None:
    (instance,) = plane.instances(shop)
    name = instance["InstanceName"]

    def others() -> list[str]:
        ready = [one["InstanceName"] for one in plane.instances(shop) if one["Status"] == "Ready"]
        return [one for one in ready if one != name] if name not in ready else []

    shown = rows(call("w", shop))
    assert call("dw", shop, name, "-y").exit_code == 0
    plane.wait(shop, lambda found: found["Status"] == "Running" and len(others()) == 1)

    assert shown[0][:4] == ["INSTANCENAME", "VERSION", "INNERIP", "HOSTIP"]
    assert shown[1][:3] == [name, "1", f"127.0.0.1:{instance['InstancePort']}"]
    assert "[1/1]" in shown[1]


def test_the_number_of_instances_changes_without_a_version(call: Call, shop: str) -> None:
    assigned = said(call("modify", shop, "-Dmetadata.instance=2", "-o", "json"))
    scaled = said(call("scale", shop, "1", "-o", "json"))

    assert [(one["TotalInstance"], one["CurrentVersion"]) for one in (assigned, scaled)] == [(2, 1), (1, 1)]


def test_other_changes_make_a_version_and_older_ones_come_back(call: Call, shop: str) -> None:
    changed = said(call("modify", shop, "-Dmetadata.cpu=1", "-Dlabels.team=search", "-o", "json"))
    back = said(call("version", shop, "1", "-o", "json"))

    assert (changed["CurrentVersion"], changed["Cpu"]) == (2, 1)
    assert changed["Labels"] == [{"LabelKey": "team", "LabelValue": "search"}]
    assert back["CurrentVersion"] == 1
    assert [(row[0], row[-1]) for row in rows(call("version", shop))[2:]] == [("1", "*")]


def test_a_version_is_rolled_out_in_part_and_then_to_all(call: Call, shop: str, plane: Deployed) -> None:
    def versions() -> list[int]:
        return sorted(one["Version"] for one in plane.instances(shop) if one["Status"] == "Ready")

    assert call("scale", shop, "2").exit_code == 0

    part = call("modify", shop, "-Dmetadata.cpu=1", "--partition", "1")

    assert part.exit_code == 0
    assert "version 2 has 1 instances, as its partition says" in part.stderr
    plane.wait(shop, lambda _: versions() == [1, 2])
    assert said(call("rollout", shop, "-o", "json"))["Partition"] == {"Partition": 1}
    assert said(call("rollout", shop, "--partition", "2", "-o", "json"))["State"] == "Rolling"
    plane.wait(shop, lambda _: versions() == [2, 2])
    plane.wait(shop, lambda _: plane.client.get(shop, "rollout")["State"] == "Done")
    refused = call("rollout", shop, "--pause")
    assert (refused.exit_code, "is not being rolled" in refused.stderr) == (1, True)


def test_a_version_that_does_not_get_ready_is_exit_code_1_with_its_reason(
    call: Call, shop: str, plane: Deployed
) -> None:
    result = call("modify", shop, '-Dcontainers=[{"image": "env://python", "script": "exit 3"}]')

    assert result.exit_code == 1
    assert "version 2 did not get ready, version 1 serves" in result.stderr
    assert f"see `recserve logs {shop}`" in result.stderr
    assert said(call("scale", shop, "2", "-o", "json"))["RunningInstance"] == 2
    assert said(call("version", shop, "1", "-o", "json"))["Status"] == "Running"
    plane.wait(shop, lambda found: found["Message"] == "")


def test_what_takes_too_long_is_exit_code_1_and_goes_on(call: Call, shop: str) -> None:
    result = call("modify", shop, "-Dmetadata.cpu=2", "--timeout", "0")

    assert result.exit_code == 1
    assert "after 0 s, and goes on" in result.stderr
    assert said(call("version", shop, "2", "-o", "json"))["Status"] == "Running"


def test_a_service_stops_and_starts(call: Call, shop: str) -> None:
    stopped = said(call("stop", shop, "-y", "-o", "json"))
    started = said(call("start", shop, "-o", "json"))

    assert (stopped["Status"], stopped["RunningInstance"]) == ("Stopped", 0)
    assert (started["Status"], started["RunningInstance"]) == ("Running", 1)


@pytest.mark.parametrize("command", [("stop", "app"), ("delete", "app"), ("dw", "app", "x")])
def test_what_cannot_be_undone_asks_and_without_a_terminal_does_nothing(
    call: Call, app: str, plane: Deployed, command: tuple[str, ...]
) -> None:
    result = call(*command)

    assert result.exit_code == 2
    assert "say -y" in result.stderr
    assert plane.client.service(app)["Status"] == "Running"


def test_a_lock_protects_from_mistakes(call: Call, shop: str) -> None:
    assert said(call("lock", shop, "dangerous", "-o", "json"))["SafetyLock"] == "dangerous"

    result = call("delete", shop, "-y")

    assert result.exit_code == 1
    assert "is locked (dangerous)" in result.stderr


def test_weights_and_groups(call: Call, app: str) -> None:
    released = said(call("release", app, "--weight", "30", "-o", "json"))
    (group,) = json.loads(call("groups", "-o", "json").stdout)
    apart = said(call("release", app, "--standalone", "-o", "json"))

    assert (released["Weight"], released["TrafficState"]) == (30, "grouping")
    assert (group["Name"], [one["ServiceName"] for one in group["Services"]]) == ("apps", [app])
    assert apart["TrafficState"] == "standalone"
    assert rows(call("groups"))[1][:3] == ["apps", app, "standalone"]


def test_machines(call: Call) -> None:
    assert rows(call("nodes"))[1][:3] == ["local", "127.0.0.1", "Ready"]


def test_scalers_are_set_shown_and_removed(call: Call, shop: str, folder: Folder) -> None:
    jobs = {"scaleJobs": [{"name": "night", "schedule": "0 0 22 * * *", "targetSize": 1}]}
    folder.write("night.json", jobs)

    rule = said(call("autoscale", shop, "-Dmin=1", "-Dmax=3", "-Dstrategies.qps=50", "-o", "json"))
    scheduled = said(call("cronscale", shop, "-s", "night.json", "-o", "json"))

    assert (rule["MinReplica"], rule["MaxReplica"]) == (1, 3)
    assert rule["ScaleStrategies"][0]["MetricName"] == "qps"
    assert [job["Name"] for job in scheduled["ScaleJobs"]] == ["night"]
    assert said(call("autoscale", "get", shop, "-o", "json")) == rule
    for command in ("autoscale", "cronscale"):
        assert call(command, "rm", shop).exit_code == 0
    assert said(call("cronscale", shop, "-o", "json"))["ScaleJobs"] == []
    assert call("autoscale", "set", shop).exit_code == 2
    assert call("autoscale", "some", shop).exit_code == 2


def test_logs_and_events(call: Call, app: str) -> None:
    (line,) = [line for line in call("logs", app).stdout.splitlines() if "begins with" in line]
    events = rows(call("events", app))

    assert line.startswith(f"{app}-1-")
    assert line.endswith("begins with hi")
    assert call("logs", app, "--keyword", "nothing of the kind").stdout == ""
    assert events[0] == ["TIME", "TYPE", "REASON", "INSTANCE", "MESSAGE"]
    assert events[1][1:3] == ["Normal", "Created"]


@pytest.mark.parametrize(
    ("seen", "now", "expected"),
    [
        ("", "ab", "ab"),
        ("ab", "ab", ""),
        ("ab", "abc", "c"),
        ("abc", "bcd", "d"),
        ("aab", "aba", "a"),
        ("aa", "aaa", "a"),  # the log is not long yet: nothing has left it at its beginning
        ("abc", "de", "de"),  # it was turned, or more has come than is looked at
        ("abc", "", ""),
    ],
)
def test_what_is_new_in_a_log_is_what_stands_behind_its_last_end(seen: str, now: str, expected: str) -> None:
    assert newer(list(seen), list(now)) == list(expected)


def test_logs_are_followed_to_instances_that_come_later(call: Call, shop: str, plane: Deployed) -> None:
    (old,) = plane.instances(shop)
    with subprocess.Popen(
        [sys.executable, "-m", "recserve", "logs", shop, "-f", "--keyword", "begins with"],
        stdout=subprocess.PIPE,
        text=True,
    ) as followed:
        assert followed.stdout is not None
        first = followed.stdout.readline()
        assert call("deleteworkers", shop, old["InstanceName"], "-y").exit_code == 0
        second = followed.stdout.readline()
        followed.send_signal(signal.SIGINT)
        rest = followed.stdout.read()

    assert first == f"{old['InstanceName']} begins with hi\n"
    assert second.partition(" ")[2] == "begins with hi\n"
    assert second != first
    assert (rest, followed.returncode) == ("", 0)


def test_a_name_that_is_almost_right_is_told(call: Call, app: str) -> None:
    result = call("desc", "aap")

    assert result.exit_code == 1
    assert result.stderr == f"recserve: there is no service aap; did you mean {app}?\n"


def test_who_has_not_the_token_changes_nothing(
    call: Call, app: str, plane: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECSERVE_TOKEN", "guessed")

    result = call("stop", app, "-y")

    assert result.exit_code == 1
    assert "token is wrong" in result.stderr
    assert "guessed" not in result.stderr
    assert plane.client.service(app)["Status"] == "Running"


def test_a_file_may_say_which_control_plane(
    call: Call, app: str, plane: Deployed, monkeypatch: pytest.MonkeyPatch, folder: Folder
) -> None:
    monkeypatch.setenv("RECSERVE_HOME", str(folder.path / "none"))
    context = {"url": plane.client.url, "token": (plane.home / "token").read_text()}
    folder.write("there.json", context)

    nobody = call("ls")
    found = call("ls", app, "-c", "there.json")

    assert nobody.exit_code == 1
    assert "start one with `recserve up`" in nobody.stderr
    assert rows(found)[1][0] == app


def test_a_control_plane_that_is_not_there_is_told(call: Call) -> None:
    result = call("ls", "-e", "http://127.0.0.1:1")

    assert result.exit_code == 1
    assert "http://127.0.0.1:1 cannot be reached" in result.stderr


def test_aliases_are_kept_in_the_folder_of_state(call: Call, plane: Deployed, tmp_path: Path) -> None:
    assert call("alias", "oss://bucket", str(tmp_path)).exit_code == 0
    assert rows(call("alias"))[1] == ["oss://bucket", str(tmp_path)]
    assert json.loads((plane.home / "aliases.json").read_text()) == {"oss://bucket": str(tmp_path)}

    assert call("alias", "oss://bucket/below", str(tmp_path)).exit_code == 1
    assert call("alias", "oss://bucket", "--rm").exit_code == 0
    assert rows(call("alias"))[1:] == []


def test_creating_loads_neither_torch_nor_arrow_nor_numpy(
    python: Callable[..., Any], folder: Folder, plane: Deployed
) -> None:
    folder.write("light.json", app_file(plane, "light"))
    path = str(folder.path / "light.json")
    script = (
        "import sys\nfrom recserve.cli.app import main\n"
        f"sys.argv = ['recserve', 'create', {path!r}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "heavy = ('torch', 'pyarrow', 'numpy', 'uvicorn', 'starlette', 'sqlite3', 'recserve._core')\n"
        "print('LOADED', [name for name in heavy if name in sys.modules])"
    )

    result = python("-c", script)

    assert result.stdout.splitlines()[-1] == "LOADED []", result.stderr
    plane.client.delete("light")
