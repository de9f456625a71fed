from __future__ import annotations

from typing import Any

import pytest

from recserve.deploy.aliases import plain
from recserve.deploy.backends.backend import Mount, Probe, Repository
from recserve.deploy.containers import crash_block, mounts, order_fields, probe, start_seconds, variables
from recserve.deploy.errors import RefusedError

ONE = {"script": "python app.py"}


def fields(storage: Any = None, **container: Any) -> dict[str, Any]:
    return order_fields({"containers": [{**ONE, **container}], "storage": storage}, plain)


def test_a_script_alone_is_enough() -> None:
    found = fields()

    assert (found["script"], found["port"], found["image"]) == ("python app.py", 8000, "")
    assert found["readiness"] == Probe()
    assert found["startup"] is None


def test_what_the_sdk_writes_is_understood() -> None:
    found = fields(
        image="env://python",
        port=8501,
        env=[{"name": "A", "value": "x"}, {"name": "B", "value": 2}, {"name": "C"}],
        prepare={"pythonRequirements": ["flask"], "pythonRequirementsPath": "/ml/usercode/requirements.txt"},
        health_check={"http_get": {"path": "/health", "port": 8501}, "period_seconds": 5},
        startup_check={"tcp_socket": {"port": 8501}, "failure_threshold": 30, "period_seconds": 2},
        storage=[
            {"mount_path": "/ml/usercode/", "oss": {"path": "/data/code", "readOnly": True}},
            {"mount_path": "/data", "nfs": {"path": "/share", "server": "nas", "readOnly": False}},
            {"mount_path": "/scratch", "empty_dir": {}},
            {"mount_path": "/dev/shm", "empty_dir": {"medium": "memory", "size_limit": 2}},
        ],
    )

    assert found["environment"] == {"A": "x", "B": "2", "C": ""}
    assert (found["requirements"], found["requirements_path"]) == (("flask",), "")
    assert found["readiness"] == Probe(path="/health", period_s=5)
    assert start_seconds(found["startup"]) == 60
    assert found["mounts"] == (
        Mount("/ml/usercode", "/data/code", read_only=True),
        Mount("/data", "/share"),
        Mount("/scratch", ""),
        Mount("/dev/shm", "", memory_gb=2),
    )


@pytest.mark.parametrize(
    ("containers", "said"),
    [
        (None, "containers is no list"),
        ([], "containers is no list"),
        (["python app.py"], "containers is no list"),
        ([ONE, ONE], "Kubernetes several"),
        ([{"script": "  "}], "neither script nor command"),
        ([{**ONE, "port": 8080}], "which the platform keeps for itself"),
        ([{**ONE, "port": 70_000}], "from 1 to 65535"),
        ([{**ONE, "port": True}], "port is True"),
        ([{**ONE, "env": {"A": "x"}}], r"containers\[0\].env"),
        ([{**ONE, "prepare": {"pythonRequirements": "flask"}}], "no list of texts"),
        ([{**ONE, "prepare": ["flask"]}], "prepare is a list"),
        ([{**ONE, "health_check": {"exec": {"command": ["true"]}}}], "commands are not run"),
        ([{**ONE, "health_check": {"http_get": {"path": "health"}}}], "a path such as /health"),
        ([{**ONE, "health_check": {"http_get": {"path": "/a b"}}}], "a path such as /health"),
        ([{**ONE, "health_check": {"http_get": {"path": "/", "port": 9000}}}], "port is 9000"),
        ([{**ONE, "startup_check": {"tcp_socket": {"port": 9000}}}], "the container's is 8000"),
        ([{**ONE, "health_check": {"period_seconds": 0}}], "period_seconds is 0"),
    ],
)
def test_what_cannot_be_run_is_refused_by_name(containers: Any, said: str) -> None:
    with pytest.raises(RefusedError, match=said):
        order_fields({"containers": containers}, plain)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"mount_path": "data", "empty_dir": {}}, "an absolute path"),
        ({"mount_path": "/", "empty_dir": {}}, "an absolute path"),
        ({"mount_path": "/x/..", "empty_dir": {}}, "an absolute path"),
        ({"empty_dir": {}}, "mount_path is None"),
        ({"mount_path": "/d"}, "has nothing"),
        ({"mount_path": "/d", "dataset": {"id": "d-1"}}, "has dataset"),
        ({"mount_path": "/d", "oss": {}}, "oss has no path"),
        ({"mount_path": "/d", "nfs": "nas:/share"}, "nfs is a str"),
        ({"mount_path": "/d", "host_path": {"path": "data"}}, "not an absolute path"),
        ({"mount_path": "/d", "empty_dir": {"size_limit": 0}}, "size_limit is 0"),
    ],
)
def test_what_cannot_be_mounted_is_refused_by_name(entry: dict[str, Any], said: str) -> None:
    with pytest.raises(RefusedError, match=said):
        mounts([entry], plain)


@pytest.mark.parametrize(
    ("git", "expected"),
    [
        ({"repo": "https://host/a/b.git"}, Repository("https://host/a/b.git")),
        (
            {"repo": "https://host/b.git", "branch": "release/1.0", "commit": "abc1234"},
            Repository("https://host/b.git", "release/1.0", "abc1234"),
        ),
        (
            {"repo": "https://host/b.git", "username": "u", "password": "p"},
            Repository("https://host/b.git", user="u", secret="p"),
        ),
        (
            {"repo": "https://host/b.git", "password": "p", "token": "t"},
            Repository("https://host/b.git", secret="t"),
        ),
        (
            {"repo": "https://u:p%40@host:8443/b.git"},
            Repository("https://host:8443/b.git", user="u", secret="p@"),
        ),
        ({"repo": "ssh://git@host/b.git"}, Repository("ssh://git@host/b.git")),
        ({"repo": "git@host:team/b.git"}, Repository("ssh://git@host/team/b.git")),
        ({"repo": "file:///srv/b.git"}, Repository("file:///srv/b.git")),
    ],
)
def test_a_repository_is_mounted_without_its_credentials_in_the_url(
    git: dict[str, str], expected: Repository
) -> None:
    assert mounts([{"mount_path": "/ml/usercode", "git": git}], plain) == [
        Mount("/ml/usercode", "", repository=expected)
    ]


@pytest.mark.parametrize(
    ("git", "said"),
    [
        ({}, "repo is no URL"),
        ({"repo": "--upload-pack=touch /tmp/x"}, "repo is no URL"),
        ({"repo": "ext::sh -c touch% /tmp/x"}, "repo is no URL"),
        ({"repo": "https://host/a b"}, "repo is no URL"),
        ({"repo": "https://u:s3cret@"}, "repo is no URL"),
        ({"repo": ["https://host/b"]}, "repo is no text"),
        ({"repo": "https://host/b", "branch": "--upload-pack=x"}, "no name in git"),
        ({"repo": "https://host/b", "commit": "a..b"}, "no name in git"),
        ({"repo": "ssh://git@host/b", "token": "s3cret"}, "ssh has keys of its own"),
    ],
)
def test_a_repository_that_is_none_is_refused(git: dict[str, Any], said: str) -> None:
    with pytest.raises(RefusedError, match=said) as raised:
        mounts([{"mount_path": "/ml/usercode", "git": git}], plain)

    assert "s3cret" not in str(raised.value)


def test_variables_are_a_list_of_names_and_values() -> None:
    assert variables(None, "env") == {}
    with pytest.raises(RefusedError, match="env"):
        variables([{"value": "x"}], "env")


def test_crashed_instances_stay_where_that_is_asked_for() -> None:
    assert not crash_block({})
    assert crash_block({"runtime": {"enable_crash_block": True}})
    with pytest.raises(RefusedError, match="enable_crash_block is 'true'"):
        crash_block({"runtime": {"enable_crash_block": "true"}})


def test_a_probe_without_a_path_is_a_connection() -> None:
    assert probe({"tcp_socket": {"port": 8000}, "initial_delay_seconds": 3}, "check") == Probe(
        initial_delay_s=3
    )
    assert probe({"http_get": {}}, "check").path == "/"
