"""The service file: samples of the hosted product, our own keys, and what mistakes are answered with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from recserve.config.model import ModelConfig
from recserve.config.rpc import Rpc
from recserve.config.service import load
from recserve.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

# Source: TorchEasyRec docs, "Model service" (模型服务), the JSON inside the deployment command.
TORCHEASYREC_DOCS: dict[str, Any] = {
    "metadata": {
        "cpu": 16,
        "instance": 1,
        "memory": 20000,
        "name": "tzrec_rank",
        "resource": "eas-r-xxx",
        "resource_burstable": False,
        "rpc": {"enable_jemalloc": 1, "max_queue_size": 256, "worker_threads": 16},
    },
    "model_config": {
        "fg_mode": "normal",
        "fg_threads": 8,
        "region": "YOUR_REGION",
        "fs_project": "YOUR_FS_PROJECT",
        "fs_model": "YOUR_FS_MODEL",
        "fs_entity": "item",
        "load_feature_from_offlinestore": True,
        "access_key_id": "YOUR_ACCESS_KEY_ID",
        "access_key_secret": "YOUR_ACCESS_KEY_SECRET",
    },
    "storage": [
        {
            "mount_path": "/home/admin/docker_ml/workspace/model/",
            "oss": {"path": "oss://xxx/xxx/export", "readOnly": False},
            "properties": {"resource_type": "code"},
        }
    ],
    "processor": "easyrec-torch-1.5",
}

# Source: the hosted processor's page, "TorchEasyRec Processor", examples with and without FG.
PROCESSOR_PAGE_NORMAL: dict[str, Any] = {
    "metadata": {
        "instance": 1,
        "name": "alirec_rank_with_fg",
        "rpc": {"enable_jemalloc": 1, "max_queue_size": 256, "worker_threads": 16},
    },
    "cloud": {"computing": {"instance_type": "ecs.gn6i-c16g1.4xlarge"}},
    "model_config": TORCHEASYREC_DOCS["model_config"],
    "storage": TORCHEASYREC_DOCS["storage"],
    "processor": "easyrec-torch-1.12",
}
PROCESSOR_PAGE_BYPASS: dict[str, Any] = {
    **PROCESSOR_PAGE_NORMAL,
    "metadata": {**PROCESSOR_PAGE_NORMAL["metadata"], "name": "alirec_rank_no_fg"},
    "model_config": {"fg_mode": "bypass"},
}

# The same page, "Save and parse a Protobuf request" and "Model service warm-up": keys added to model_config.
REQUEST_LOG: dict[str, Any] = {
    "fg_mode": "normal",
    "fg_threads": 8,
    "request_log_path": "/request_log",
    "background_feature_thread_num": 8,
}
WARM_UP: dict[str, Any] = {
    "warmup_data_path": "/warmup",
    "warmup_cnt_per_file": 20,
    "warmup_pb_files_count": 64,
}

ITEMS = {"fg_mode": "normal", "remote_type": "file", "tables": [{"name": "items.parquet", "key": "item_id"}]}


def read(values: dict[str, Any], **environ: str) -> Any:
    return load(values, environ)


@pytest.mark.parametrize(
    ("sample", "name", "mode"),
    [
        (TORCHEASYREC_DOCS, "tzrec_rank", "normal"),
        (PROCESSOR_PAGE_NORMAL, "alirec_rank_with_fg", "normal"),
        (PROCESSOR_PAGE_BYPASS, "alirec_rank_no_fg", "bypass"),
    ],
)
def test_the_samples_of_the_hosted_product_are_accepted_as_written(
    sample: dict[str, Any], name: str, mode: str
) -> None:
    spec = read(sample)
    assert spec.name == name
    assert spec.model.fg_mode == mode
    assert spec.rpc == Rpc(max_queue_size=256, worker_threads=16, enable_jemalloc=True)
    assert not [warning for warning in spec.warnings if "unknown" in warning]


def test_a_feature_store_beside_a_file_is_a_leftover_and_not_warned_about() -> None:
    merged = {**TORCHEASYREC_DOCS, "model_config": {**TORCHEASYREC_DOCS["model_config"], **ITEMS}}
    assert read(merged).warnings == ()


@pytest.mark.parametrize("extra", [{"faiss_nprobe": 100}, {"tdm_retrieval_num": 200}])
def test_features_that_are_not_there_yet_are_warned_about_not_refused(extra: dict[str, Any]) -> None:
    assert all("no effect yet" in warning for warning in read({"model_config": extra}).warnings)
    assert read({"model_config": extra}).warnings


def test_every_documented_parameter_is_read() -> None:
    spec = read(
        {
            "model_config": {
                "fg_mode": "normal",
                "outputs": "probs_ctr,probs_cvr",
                "item_empty_score": -1,
            },
            "processor_envs": [{"name": "INPUT_TILE", "value": "2"}],
        }
    )
    assert spec.model.outputs == ("probs_ctr", "probs_cvr")
    assert spec.model.item_empty_score == -1.0
    assert spec.environment.input_tile == 2


def test_without_a_service_file_all_is_default_and_the_bundle_decides_on_fg() -> None:
    spec = load(None, {})
    assert (spec.name, spec.tokens, spec.rpc) == ("recserve", (), Rpc())
    assert spec.model == ModelConfig(fg_mode="auto")
    assert spec.model.generates_features(has_fg=True)
    assert not spec.model.generates_features(has_fg=False)


def test_a_service_file_without_fg_mode_means_bypass_as_in_the_hosted_product() -> None:
    assert not read({}).model.generates_features(has_fg=True)


def test_name_and_token_may_stand_at_the_top_or_in_metadata() -> None:
    for values in ({"name": "rank", "token": "s3cret"}, {"metadata": {"name": "rank", "token": "s3cret"}}):
        assert (read(values).name, read(values).tokens) == ("rank", ("s3cret",))


def test_a_list_of_tokens_allows_rotation_and_an_empty_token_means_everybody() -> None:
    assert read({"token": ["old", "new"]}).tokens == ("old", "new")
    assert read({"token": "a,b"}).tokens == ("a,b",)
    assert read({"token": ""}).tokens == ()


@pytest.mark.parametrize(
    "values",
    [
        {"metadata": {"rpc.max_queue_size": 7, "rpc": {"worker_threads": 2}}},
        {"metadata.rpc.max_queue_size": 7, "metadata": {"rpc": {"worker_threads": 2}}},
        {"metadata": {"rpc": {"max_queue_size": 7, "worker_threads": 2}}},
        {"metadata.rpc": {"max_queue_size": 7, "worker_threads": 2}},
    ],
)
def test_dotted_keys_mean_the_same_as_nested_ones(values: dict[str, Any]) -> None:
    assert read(values).rpc == Rpc(max_queue_size=7, worker_threads=2)
    assert read(values).warnings == ()


def test_model_config_may_be_a_text() -> None:
    assert read({"model_config": '{"fg_mode": "normal"}'}).model.fg_mode == "normal"


def test_numbers_and_switches_may_be_quoted_as_they_are_in_the_wild() -> None:
    spec = read({"metadata": {"rpc": {"keepalive": "300", "rate_limit": "2.5"}}})
    assert (spec.rpc.keepalive_ms, spec.rpc.rate_limit) == (300, 2.5)


def test_secrets_are_in_no_repr_and_no_message() -> None:
    secrets = {"name": "DB", "value": "hidden-1"}
    config = {**TORCHEASYREC_DOCS["model_config"], "access_key_secret": "hidden-2", "url": "hidden-3"}
    spec = read({"token": "hidden-4", "model_config": config, "processor_envs": [secrets]})
    assert "hidden" not in repr(spec)
    for token in ({"hidden": 1}, "hidden with space", ["hidden\nx"]):
        with pytest.raises(ConfigError) as raised:
            read({"token": token, "model_config": {"x": 1}})
        assert "hidden" not in str(raised.value)


@pytest.mark.parametrize(
    ("values", "warning"),
    [
        ({"procesor": "x"}, "unknown key 'procesor': did you mean 'processor'?"),
        (
            {"metadata": {"rpc": {"max_queue": 1}}},
            "unknown key 'metadata.rpc.max_queue': did you mean 'max_queue_size'?",
        ),
        ({"model_config": {"fgmode": 1}}, "unknown key 'model_config.fgmode': did you mean 'fg_mode'?"),
        ({"outputs": "probs"}, "unknown key 'outputs': it belongs into model_config"),
        (
            {"model_config": {"keepalive": 1}},
            "unknown key 'model_config.keepalive': it belongs into metadata.rpc",
        ),
        ({"metadata": {"zzz": 1}}, "unknown key 'metadata.zzz': it has no effect"),
        (
            {"model_config": {**ITEMS, "tables": {"name": "i", "key": "k", "vlaue": "a"}}},
            "unknown key 'model_config.tables.vlaue': did you mean 'value'?",
        ),
    ],
)
def test_an_unknown_key_is_warned_about_with_the_nearest_one(values: dict[str, Any], warning: str) -> None:
    assert read(values).warnings == (warning,)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"metadata": {"rpc": {"keepalive": "5s"}}},
            "metadata.rpc.keepalive: '5s' is not a whole number; write a number without quotes, such as 8",
        ),
        (
            {"metadata": {"rpc": {"keepalive": 0}}},
            "metadata.rpc.keepalive: 0 is too small; the least is 1 ms",
        ),
        (
            {"model_config": {"fg_mode": "norml"}},
            "model_config.fg_mode: 'norml' is none of its values; known: bypass, normal, auto",
        ),
        ({"model_config": {"fg_mode": "tf"}}, "'tf' is for TensorFlow models; known: bypass, normal, auto"),
        ({"model_config": {"outputs": [1]}}, 'is not a list of strings; write ["a", "b"] or "a,b"'),
        ({"model_config": []}, "model_config is a list; an object"),
        ({"name": "a/b"}, "name: 'a/b' cannot stand in a URL"),
        ({"name": "a", "metadata": {"name": "b"}}, "name and metadata.name differ; keep one of them"),
        ({"metadata.rpc.keepalive": 1, "metadata": {"rpc": {"keepalive": 2}}}, "say different things"),
        ({"processor": "easyrec-1.9"}, "processor: 'easyrec-1.9' is not served; known: easyrec-torch"),
        ({"processor_envs": ["INPUT_TILE=2"]}, "processor_envs[0] is not a variable"),
        (
            {"processor_envs": [{"name": "INPUT_TILE", "value": "5"}]},
            "environment.INPUT_TILE: '5' is none of its values; known: 0, 1, 2, 3",
        ),
        ({"sinker": {"type": "sls"}}, "sinker is not supported: requests and responses are not persisted"),
        ({"containers": []}, "containers is not supported"),
    ],
)
def test_a_wrong_value_is_refused_with_key_value_and_way_out(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read(values)
    assert message in str(raised.value)


def test_an_error_in_a_file_begins_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "service.json"
    path.write_text('{"name": 3}')
    with pytest.raises(ConfigError, match=r"service\.json: name: 3 is not a string"):
        load(path, {})
