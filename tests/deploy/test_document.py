"""Documents as users of the hosted product have them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from tests.config.test_service import (
    PROCESSOR_PAGE_BYPASS,
    PROCESSOR_PAGE_NORMAL,
    REQUEST_LOG,
    TORCHEASYREC_DOCS,
    WARM_UP,
)

from recserve.config.document import parse_json
from recserve.deploy.aliases import Aliases
from recserve.deploy.backends.backend import Node, Resources
from recserve.deploy.document import merged, order, read
from recserve.deploy.errors import RefusedError
from recserve.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

SMALL = Node("local", "127.0.0.1", cpu=2, memory_mb=8_000)

#: The page of the TensorFlow processor, mended where it is no JSON.
EASYREC: dict[str, Any] = {
    "name": "ali_rec_rnk_with_fg",
    "metadata": {"instance": 2, "rpc": {"enable_jemalloc": 1, "max_queue_size": 100}},
    "cloud": {"computing": {"instance_type": "ecs.g7.large", "instances": None}},
    "model_config": {
        "remote_type": "hologres",
        "url": "postgresql://<AccessKeyID>:<AccessKeySecret>@<DomainName>:<port>/<database>",
        "tables": [{"name": "<schema>.<table_name>", "key": "<index_column_name>", "value": "<column_name>"}],
        "period": 2880,
        "fg_mode": "tf",
        "outputs": "probs_ctr,probs_cvr",
    },
    "model_path": "",
    "processor": "easyrec-1.9",
    "storage": [
        {
            "mount_path": "/home/admin/docker_ml/workspace/model/",
            "oss": {"path": "oss://easyrec/ali_rec_sln_acc_rnk/20221122/export/final_with_fg"},
        }
    ],
}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A control plane's folder that has the bucket of the samples."""
    (tmp_path / "store" / "xxx" / "xxx" / "export").mkdir(parents=True)
    (tmp_path / "feature_store.yaml").write_text("")
    return tmp_path


def files_of(found: Any, token: str = "made") -> dict[str, Any]:
    result: dict[str, Any] = json.loads(order(found, 1, "i", token).files["service.json"])
    return result


@pytest.mark.parametrize(
    ("sample", "resources"),
    [
        (TORCHEASYREC_DOCS, Resources(cpu=16, memory_mb=20_000)),
        (PROCESSOR_PAGE_NORMAL, Resources(cpu=16, gpu=1)),
        (PROCESSOR_PAGE_BYPASS, Resources(cpu=16, gpu=1)),
    ],
)
def test_the_samples_of_the_hosted_product_are_taken_as_written(
    state: Path, sample: dict[str, Any], resources: Resources
) -> None:
    found = read(sample, Aliases(state), state)
    assert found.name == sample["metadata"]["name"]
    assert found.resources == resources
    assert found.absent() == []
    assert not [one for one in found.remarks if "unknown" in one]
    (mount,) = found.what_runs["mounts"]
    assert mount.source == str(state / "store" / "xxx" / "xxx" / "export")
    file = files_of(found)
    assert file["token"] == "made"
    assert file["metadata"]["rpc"] == sample["metadata"]["rpc"]
    if "fs_project" in sample["model_config"]:
        assert file["model_config"]["fs_registry"] == str(state / "feature_store.yaml")


def test_what_the_machine_lacks_is_cut_and_said(state: Path) -> None:
    found = read(TORCHEASYREC_DOCS, Aliases(state), state)
    assert len(found.fitted([SMALL])[2]) == 3
    assert "eas-r-xxx" in str(found.fitted([SMALL])[2])
    made = order(found, 1, "i", "token", nodes=[SMALL])
    assert (made.resources.cpu, made.resources.memory_mb, made.pool) == (2, 8_000, "")


def test_storage_that_is_written_in_capitals_is_storage(state: Path) -> None:
    (state / "store" / "my-bucket").mkdir()
    model = {"path": "oss://my-bucket/my-model/20260316", "readOnly": False}
    sample = {
        "name": "rank",
        "processor": "easyrec-torch-1.12",
        "model_config": {**REQUEST_LOG, **WARM_UP},
        "storage": [
            {"mount_path": "/request_log", "OSS": {"path": "oss://my-bucket/requests/", "readOnly": False}},
            {"mount_path": "/home/admin/docker_ml/workspace/model/", "OSS": model},
            {"mount_path": "/warmup", "oss": {"path": "oss://my-bucket/warm-up", "readOnly": False}},
        ],
    }
    found = read(sample, Aliases(state), state)
    assert [one.path for one in found.what_runs["mounts"]] == [
        "/request_log",
        "/home/admin/docker_ml/workspace/model",
        "/warmup",
    ]
    assert "does not exist" in found.absent()[0]


def test_a_feature_store_without_a_registry_says_where_one_belongs(state: Path) -> None:
    (state / "feature_store.yaml").unlink()
    (problem,) = read(TORCHEASYREC_DOCS, Aliases(state), state).absent()
    assert "YOUR_FS_PROJECT" in problem
    assert str(state / "feature_store.yaml") in problem


def test_the_tensorflow_processor_is_refused_in_one_line_and_nothing_else_is_wrong() -> None:
    with pytest.raises(RefusedError) as caught:
        read(EASYREC)
    (problem,) = caught.value.problems
    assert "'easyrec-1.9'" in problem
    assert "\n" not in str(caught.value)


def test_its_keys_are_checked_one_by_one() -> None:
    config = {**EASYREC["model_config"], "perid": 1, "remote_type": "redis", "fg_mode": "normal"}
    with pytest.raises(RefusedError) as caught:
        read({**EASYREC, "model_config": config, "metadata": {"instance": 2, "cpu": "many"}})
    assert len(caught.value.problems) == 5
    assert "did you mean 'period'" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{\n  "cloud": {"computing": {\n    "instance_type": "ecs.g7.large"",\n', "line 3, column 36"),
        ('{\n  "outputs": "a,b",\n}', "line 3, column 1: not JSON: a comma before a closing bracket"),
        (
            '{"warmup_data_path": "/warmup", # the folder\n}',
            "line 1, column 33: not JSON: JSON has no comments",
        ),
        ('{"load_feature_from_offlinestore": True}', "line 1, column 36: not JSON: JSON writes true"),
    ],
)
def test_typing_errors_of_the_pages_are_told_by_line_and_column(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        parse_json(text, "service.json")


CASES: list[tuple[dict[str, Any], str]] = [
    ({"name": "Rank"}, "name is 'Rank'"),
    ({"name": "../etc"}, "name is '../etc'"),
    ({"name": None}, "name is None"),
    ({"metadata": 3}, "metadata is a int"),
    ({"metadata": {"instance": -1}}, "metadata.instance is -1"),
    ({"metadata": {"instance": "2"}}, "metadata.instance is '2'"),
    ({"metadata": {"group": "a/b"}}, "metadata.group is 'a/b'"),
    ({"dockerAuth": "user:password"}, "dockerAuth: base64 of user:password is expected"),
    ({"dockerAuth": ["dTpw"]}, "dockerAuth: base64 of user:password is expected"),
    ({"metadata": {"type": "Async"}}, "metadata.type is 'Async'"),
    ({"metadata": {"workload_type": "elasticjob"}}, "workload_type is not supported"),
    ({"metadata": {"rolling_strategy": {"max_surge": "many"}}}, "max_surge is 'many'"),
    ({"metadata": {"eas.termination_grace_period": -1}}, "termination_grace_period is -1"),
    ({"metadata": {"scheduling": {"spread": {"policy": "moon"}}}}, "policy is 'moon'"),
    ({"metadata": {"rpc": {"max_queue_size": "x"}}}, "max_queue_size"),
    ({"metadata": {"rpc": {"tls_key": "/k"}}}, "give TLS to the gateway"),
    ({"cloud": {"computing": {"instance_type": "ecs.huge"}}}, "unknown instance type 'ecs.huge'"),
    ({"cloud": {"computing": {"instances": "ecs.g7.large"}}}, "cloud.computing.instances"),
    ({"unit": {"size": 2}}, "unit.size is 2"),
    ({"labels": {"a": 1}}, "labels"),
    ({"labels": [1]}, "labels"),
    ({"autoscaler": {"min": 2, "max": 1}}, "autoscaler.max"),
    ({"cronscaler": {"scaleJobs": []}}, "cronscaler"),
    ({"confidential": {}}, "confidential is not supported"),
    ({"sinker": {"type": "sls"}}, "sinker is not supported"),
    ({"processor": "pmml"}, "'pmml' is not served"),
    ({"processor": "easyrec-torch-new"}, "'easyrec-torch-new' is not served"),
    ({"processor": ["easyrec-torch"]}, "is not served"),
    ({"processor_path": "x.py"}, "containers with a script"),
    ({"processor": None, "model_path": None}, "nothing to run"),
    ({"processor_envs": {"A": 1}}, "processor_envs"),
    ({"model_config": {"fg_mode": "tf"}}, "fg_mode: 'tf'"),
    ({"model_config": "{"}, "model_config, line 1"),
    ({"model_path": "https://x/model.tar.gz"}, "archives are not fetched"),
    ({"model_path": "relative"}, "absolute"),
    ({"model_path": None}, "there is no model"),
    ({"token": "${TOKEN}"}, "reads no variables"),
    ({"token": "two words"}, "without blanks"),
    ({"token": 5}, "token is no text"),
    ({"storage": [{"mount_path": "/x", "dataset": {"id": "d"}}]}, "dataset"),
    ({"storage": [{"mount_path": "x", "host_path": {"path": "/x"}}]}, "absolute path"),
]
GOOD = {"name": "rank", "processor": "easyrec-torch-1.12", "model_path": "/usr"}


@pytest.mark.parametrize(("change", "message"), CASES)
def test_what_is_wrong_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(RefusedError, match=re.escape(message)):
        read(GOOD | change)


def test_everything_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(RefusedError) as caught:
        read({**GOOD, "name": "A", "unit": {"size": 2}, "sinker": {}, "token": 5, "model_path": "x"})
    assert len(caught.value.problems) == 5


def test_secrets_are_in_no_error_and_no_repr() -> None:
    secret = "pass-word-of-mine"
    url = f"postgresql://me:{secret}@db/shop"
    config = {
        "fg_mode": "normal",
        "remote_type": "postgresql",
        "url": url,
        "tables": [],
        "access_key_id": secret,
    }
    with pytest.raises(RefusedError) as caught:
        read({**GOOD, "token": secret, "model_config": config, "unit": {"size": 3}})
    assert secret not in str(caught.value)
    found = read({**GOOD, "token": secret, "processor_envs": [{"name": "X", "value": secret}]})
    assert secret not in repr(found)
    assert secret not in repr(order(found, 1, "i", secret))


@pytest.mark.parametrize(
    ("change", "own", "expected"),
    [
        ({}, "made", "made"),
        ({"token": "mine"}, "mine", "mine"),
        ({"metadata": {"token": "mine"}}, "mine", "mine"),
        ({"token": ["new", "old"]}, "new", ["new", "old"]),
        ({"token": ""}, "", None),
        ({"generate_token": "false"}, "", None),
        ({"generate_token": False, "token": "mine"}, "mine", "mine"),
    ],
)
def test_instances_get_the_services_token(change: dict[str, Any], own: str, expected: Any) -> None:
    assert files_of(read(GOOD | change), own)["token"] == expected


def test_members_of_a_group_take_the_groups_token_too() -> None:
    found = read({**GOOD, "metadata": {"group": "home"}})
    file = json.loads(order(found, 1, "i", "own", group_token="shared").files["service.json"])
    assert file["token"] == ["own", "shared"]
    assert file["metadata"]["group"] == "home"


def test_an_instances_file_has_nothing_of_the_control_plane() -> None:
    found = read(
        {
            **GOOD,
            "labels": {"a": "b"},
            "metadata": {"instance": 3, "cpu": 1, "resource": "p", "rpc.worker_threads": 2},
            "autoscaler": {"min": 1, "max": 2, "strategies": {"qps": 1}},
            "warm_up_data_path": "/data/warm.bin",
            "model_config": '{"fg_mode": "bypass"}',
        }
    )
    assert files_of(found) == {
        "name": "rank",
        "processor": "easyrec-torch-1.12",
        "warm_up_data_path": ["/data/warm.bin"],
        "metadata": {"rpc": {"worker_threads": 2}, "group": None},
        "model_config": {"fg_mode": "bypass"},
        "token": "made",
    }


def test_both_ways_to_say_how_an_instance_ends_are_taken() -> None:
    assert read({**GOOD, "metadata": {"eas.termination_grace_period": 7}}).grace_s == 7
    assert read({**GOOD, "runtime": {"termination_grace_period": 8}}).grace_s == 8
    assert read(GOOD).grace_s == 30
    assert read({**GOOD, "runtime": {"enable_crash_block": True}}).strategy.crash_block


def test_a_version_that_nobody_knows_is_taken_for_the_newest() -> None:
    assert read(GOOD).remarks == ()
    assert read({**GOOD, "processor": "easyrec-torch"}).remarks == ()
    (remark,) = read({**GOOD, "processor": "easyrec-torch-9.9"}).remarks
    assert "9.9" in remark


def test_an_app_is_told_which_limits_it_has_to_keep_itself() -> None:
    found = read(
        {
            "name": "app",
            "metadata": {"rpc": {"worker_threads": 2, "proxy_path": "/"}},
            "containers": [{"script": "python app.py", "image": "env://any"}],
        }
    )
    assert found.remarks == (
        "metadata.rpc.worker_threads: no effect here: an app of one's own has limits of its own",
    )


def test_a_change_is_laid_over_objects_and_null_takes_away() -> None:
    old = {"a": {"b": 1, "c": 2}, "d": [1, 2]}
    assert merged(old, {"a": {"b": None, "e": 3}, "d": [3]}) == {"a": {"c": 2, "e": 3}, "d": [3]}
    assert old == {"a": {"b": 1, "c": 2}, "d": [1, 2]}
