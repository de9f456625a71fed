from __future__ import annotations

import copy
import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from recserve.sdk.exception import DuplicatedMountException, PAIException
from recserve.sdk.image import ImageInfo
from recserve.sdk.model import (
    InferenceSpec,
    NfsStorageConfig,
    NodeStorageConfig,
    OssStorageConfig,
    RawStorageConfig,
    SharedMemoryConfig,
    container_serving_spec,
)
from recserve.sdk.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def idle(tmp_path: Path) -> Session:
    """A session that never needs a control plane."""
    return Session(home_folder=tmp_path / "home")


# --- documents ---------------------------------------------------------------------------------------------


def test_nodes_on_the_way_are_made_when_something_is_set_and_not_when_it_is_read() -> None:
    spec = InferenceSpec()

    _ = spec.metadata.rpc.keepalive
    assert spec.to_dict() == {}
    spec.metadata.rpc.keepalive = 1000
    spec.metadata.rpc.update({"batching": True})
    spec.labels.update(team="search")
    spec.name = "echo"

    assert spec.to_dict() == {
        "name": "echo",
        "labels": {"team": "search"},
        "metadata": {"rpc": {"keepalive": 1000, "batching": True}},
    }
    assert spec.metadata.rpc.keepalive == 1000
    assert "metadata" in spec
    assert "rpc" not in spec


def test_a_document_is_copied_and_its_hidden_keys_are_dropped() -> None:
    document = {"containers": [{"env": [{"name": "A"}]}], "_note": 1}
    spec = InferenceSpec.from_dict(document)
    again = copy.deepcopy(spec)

    spec.containers[0].env[0].name = "B"
    spec["processor"] = "x"

    assert document == {"containers": [{"env": [{"name": "A"}]}], "_note": 1}
    assert again.to_dict() == {"containers": [{"env": [{"name": "A"}]}]}
    assert again != spec
    assert again == InferenceSpec(containers=[{"env": [{"name": "A"}]}])
    assert json.loads(repr(spec)) == spec.to_dict()


def test_what_is_secret_is_not_shown() -> None:
    variables = [{"name": "KEY", "value": "hidden"}]
    spec = InferenceSpec(token="hidden", containers=[{"env": variables, "git": {"password": "hidden"}}])

    assert "hidden" not in repr(spec)
    assert '"name": "KEY"' in repr(spec)
    assert spec.to_dict()["token"] == "hidden"


def test_two_documents_are_one_too_many() -> None:
    with pytest.raises(TypeError, match="one document, not 2"):
        InferenceSpec({}, {})


def test_options_are_merged_into_what_is_there() -> None:
    spec = InferenceSpec(metadata={"rpc": {"keepalive": 1}, "cpu": 2})

    spec.merge_options({"metadata.rpc": {"batching": True}, "metadata.instance": 3, "labels.team": "search"})
    spec.add_option(r"metadata.eas\.termination_grace_period", 60)
    spec.add_option(["features", "eas.aliyun.com/driver"], "550")

    assert spec.to_dict() == {
        "metadata": {
            "rpc": {"keepalive": 1, "batching": True},
            "cpu": 2,
            "instance": 3,
            "eas.termination_grace_period": 60,
        },
        "labels": {"team": "search"},
        "features": {"eas.aliyun.com/driver": "550"},
    }


@pytest.mark.parametrize(
    ("path", "message"), [("", "no path"), ("a..b", "no path"), ([], "no path"), ("name.x", "name is 'echo'")]
)
def test_a_path_that_leads_nowhere_is_refused(path: Any, message: str) -> None:
    spec = InferenceSpec(name="echo")

    with pytest.raises(ValueError, match=message):
        spec.add_option(path, 1)
    assert spec.to_dict() == {"name": "echo"}


# --- mounts ------------------------------------------------------------------------------------------------


def test_a_directory_is_uploaded_and_mounted(idle: Session, tmp_path: Path) -> None:
    (tmp_path / "data" / "deep").mkdir(parents=True)
    (tmp_path / "data" / "deep" / "a.txt").write_text("a")
    (tmp_path / "data" / "__pycache__").mkdir()
    spec = InferenceSpec(containers=[{}])

    entry = spec.mount(str(tmp_path / "data"), "/ml/data/", idle)

    uri = entry["oss"]["path"]
    assert uri.startswith("oss://recserve/pai/model_data/")
    assert uri.endswith("/")
    assert list(idle.store.files(uri)) == ["deep/a.txt"]
    assert spec.storage == [{"mount_path": "/ml/data/", "oss": {"path": uri}}]


def test_a_mount_path_has_one_source_and_a_source_one_mount_path(idle: Session) -> None:
    spec = InferenceSpec(containers=[{}])

    spec.mount("oss://bucket/a/", "/ml/data", idle)
    spec.mount("oss://bucket/b", "/ml/data/", idle)

    assert [one["oss"]["path"] for one in spec.storage] == ["oss://bucket/b/"]
    with pytest.raises(DuplicatedMountException, match="/ml/data/"):
        spec.mount("oss://bucket/b/", "/ml/other", idle)


def test_a_file_mounts_the_directory_around_it(idle: Session) -> None:
    bucket = idle.home / "store" / "bucket"
    bucket.mkdir(parents=True)
    (bucket / "model.pt").write_text("weights")

    entry = InferenceSpec(containers=[{}]).mount("oss://bucket/model.pt", "/ml/model", idle)

    assert entry["oss"]["path"] == "oss://bucket/"


@pytest.mark.parametrize(
    ("source", "path", "message"),
    [
        (3, "/ml/data", "a path or a URI"),
        ("", "/ml/data", "a path or a URI"),
        ("no/such/folder", "/ml/data", "no/such/folder does not exist"),
        ("oss://bucket/a", "ml/data", "an absolute path"),
    ],
)
def test_what_cannot_be_mounted_is_refused(idle: Session, source: Any, path: str, message: str) -> None:
    spec = InferenceSpec(containers=[{}])

    with pytest.raises(ValueError, match=message):
        spec.mount(source, path, idle)
    assert spec.to_dict() == {"containers": [{}]}


def test_a_directory_that_holds_the_store_is_refused(idle: Session, tmp_path: Path) -> None:
    idle.home.mkdir()

    with pytest.raises(ValueError, match="holds the store itself"):
        idle.upload(tmp_path)


def test_model_data_goes_where_the_kind_of_service_wants_it(idle: Session) -> None:
    processor = InferenceSpec(processor="easyrec-torch-1.12")
    app, told = InferenceSpec(containers=[{}]), InferenceSpec(containers=[{}])
    told["storage"] = [
        {"mount_path": "/m/", "nfs": {"path": "/x"}},
        {"mount_path": "/model/", "oss": {"path": "oss://old/"}, "properties": {"resource_type": "model"}},
    ]

    for spec in (processor, app, told):
        spec.set_model_data("oss://bucket/m/", session=idle)
    app.set_model_data("oss://bucket/n/", session=idle)

    model = {"resource_type": "model", "resource_use": "base"}
    assert processor.to_dict() == {"processor": "easyrec-torch-1.12", "model_path": "oss://bucket/m/"}
    assert app.storage == [
        {"mount_path": "/eas/workspace/model/", "oss": {"path": "oss://bucket/n/"}, "properties": model}
    ]
    assert [one.get("oss") for one in told.storage] == [None, {"path": "oss://bucket/m/"}]


# --- apps --------------------------------------------------------------------------------------------------


def test_a_container_is_what_was_asked_for(idle: Session, tmp_path: Path) -> None:
    check = {"http_get": {"path": "/health"}, "period_seconds": 1}
    spec = container_serving_spec(
        "python app.py",
        ImageInfo("ours", "env://ours", "PyTorch", "inference"),
        port=5000,
        environment_variables={"A": 1, "B": "two"},
        requirements=["flask"],
        health_check=check,
        storage_configs=[
            OssStorageConfig("/a", "oss://bucket/a", "oss-endpoint"),
            NfsStorageConfig("/b", "server", "/files", True),
            NodeStorageConfig("/c"),
            SharedMemoryConfig(2),
            RawStorageConfig({"mount_path": "/d", "host_path": {"path": "/data"}}),
        ],
        session=idle,
    )

    assert spec.is_container_serving()
    assert spec.to_dict() == {
        "containers": [
            {
                "image": "env://ours",
                "port": 5000,
                "script": "python app.py",
                "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "two"}],
                "health_check": check,
                "prepare": {"pythonRequirements": ["flask"]},
            }
        ],
        "storage": [
            {"mount_path": "/a", "oss": {"path": "oss://bucket/a", "endpoint": "oss-endpoint"}},
            {"mount_path": "/b", "nfs": {"path": "/files", "readOnly": True, "server": "server"}},
            {"mount_path": "/c", "empty_dir": {}},
            {"mount_path": "/dev/shm", "empty_dir": {"medium": "memory", "size_limit": 2}},
            {"mount_path": "/d", "host_path": {"path": "/data"}},
        ],
    }


def test_requirements_of_the_source_are_found(idle: Session, tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.mkdir()
    (code / "requirements.txt").write_text("flask\n")

    found = container_serving_spec("python app.py", "env://x", str(code), session=idle)
    given = container_serving_spec(
        "python app.py", "env://x", str(code), requirements=["fastapi"], session=idle
    )
    alone = container_serving_spec("run", "env://x", requirements_path="/ml/r.txt", session=idle)

    assert found.containers[0].prepare == {"pythonRequirementsPath": "/ml/usercode/requirements.txt"}
    assert given.containers[0].prepare == {"pythonRequirements": ["fastapi"]}
    assert alone.containers[0].prepare == {"pythonRequirementsPath": "/ml/r.txt"}
    assert found.containers[0].script == "cd /ml/usercode/\npython app.py"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"port": 8080}, "port 8080 is reserved"),
        ({"port": 9090}, "port 9090 is reserved"),
        ({"command": " "}, "what starts the app"),
        ({"source_dir": "no/such"}, "'no/such', which is no directory"),
        ({"git_config": {"branch": "main"}}, "no URL of a repository"),
        ({"git_config": {"repo": "--upload-pack=evil"}}, "no URL of a repository"),
        ({"git_config": {"repo": "x", "user": "y"}}, "user; known are"),
    ],
)
def test_what_is_no_app_is_refused(idle: Session, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        container_serving_spec(**{"command": "run", "image_uri": "env://x", "session": idle, **wrong})


@pytest.fixture
def repository(tmp_path: Path) -> tuple[str, Callable[..., str]]:
    folder = tmp_path / "repository"
    (folder / "service").mkdir(parents=True)
    (folder / "service" / "app.py").write_text("first")

    def git(*arguments: str) -> str:
        named = ["-c", "user.name=a", "-c", "user.email=a@b"]
        done = subprocess.run(
            ["git", *named, *arguments], cwd=folder, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    git("init", "--quiet", "--initial-branch=main")
    git("add", ".")
    git("commit", "--quiet", "-m", "first")
    return folder.as_uri(), git


def test_code_is_cloned_at_a_branch_or_a_commit(
    idle: Session, repository: tuple[str, Callable[..., str]], tmp_path: Path
) -> None:
    uri, git = repository
    first = git("rev-parse", "HEAD")
    git("checkout", "--quiet", "-b", "next")
    (tmp_path / "repository" / "service" / "app.py").write_text("second")
    git("commit", "--quiet", "-a", "-m", "second")

    def code(**config: str) -> str:
        spec = container_serving_spec(
            "run", "env://x", "service", git_config={"repo": uri, **config}, session=idle
        )
        folder = idle.store.path(spec.storage[0].oss.path)
        assert folder is not None
        return (folder / "app.py").read_text()

    assert code() == "second"
    assert code(branch="main") == "first"
    assert code(commit=first) == "first"
    assert code(commit=first[:8], branch="next") == "first"


def test_a_repository_that_is_not_there_is_told_without_its_secrets(idle: Session) -> None:
    config = {"repo": "http://me:hidden@127.0.0.1:1/x.git", "token": "secret"}

    with pytest.raises(PAIException, match=r"http://127\.0\.0\.1:1/x\.git cannot be fetched") as raised:
        container_serving_spec("run", "env://x", git_config=config, session=idle)
    assert "hidden" not in str(raised.value)
    assert "secret" not in str(raised.value)


def test_a_link_out_of_the_clone_is_refused(
    idle: Session, repository: tuple[str, Callable[..., str]], tmp_path: Path
) -> None:
    uri, git = repository
    (tmp_path / "secret").write_text("hidden")
    (tmp_path / "repository" / "service" / "stolen").symlink_to(tmp_path / "secret")
    git("add", ".")
    git("commit", "--quiet", "-m", "second")

    with pytest.raises(ValueError, match="stolen is a link"):
        container_serving_spec("run", "env://x", "service", git_config={"repo": uri}, session=idle)


def test_a_source_outside_of_the_clone_is_refused(
    idle: Session, repository: tuple[str, Callable[..., str]]
) -> None:
    with pytest.raises(ValueError, match="leads out of the clone"):
        container_serving_spec("run", "env://x", "../..", git_config={"repo": repository[0]}, session=idle)
