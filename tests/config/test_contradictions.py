"""What cannot all be meant is an error, what is hardly meant a warning; defaults contradict nobody."""

from __future__ import annotations

from typing import Any

import pytest

from recserve.config.service import load
from recserve.errors import ConfigError

TILE = [{"name": "INPUT_TILE", "value": "2"}]
STORE = {"fg_mode": "normal", "fs_project": "shop", "fs_model": "rank"}
TABLE = {"remote_type": "file", "tables": [{"name": "items.parquet", "key": "item_id"}]}


def rpc(**keys: Any) -> dict[str, Any]:
    return {"metadata": {"rpc": keys}}


def model(**keys: Any) -> dict[str, Any]:
    return {"model_config": {"fg_mode": "normal", **keys}}


ERRORS: dict[str, tuple[dict[str, Any], str]] = {
    "a tile where no features are generated": (
        {"processor_envs": TILE},
        'processor_envs: INPUT_TILE 2 says how features are generated, and model_config.fg_mode is "bypass"',
    ),
    "a key without its certificate": (
        rpc(tls_key="key.pem"),
        "metadata.rpc.tls_key is given without tls_certificate; TLS needs both, plain HTTP neither",
    ),
    "a certificate without its key": (
        rpc(tls_certificate="server.pem"),
        "metadata.rpc.tls_certificate is given without tls_key",
    ),
    "certificates of clients without TLS": (
        rpc(tls_client_ca="ca.pem"),
        "metadata.rpc.tls_client_ca asks clients for certificates, which takes TLS",
    ),
    "waiting for others longer than there is time": (
        rpc(batching=True, max_batch_timeout=500, keepalive=500),
        "metadata.rpc.max_batch_timeout (500 ms) is longer than metadata.rpc.keepalive (500 ms)",
    ),
    "waiting for a user longer than there is time": (
        {**rpc(keepalive=100), **model(**STORE, fs_user_entity="user", fs_user_timeout_ms=200)},
        "model_config.fs_user_timeout_ms (200 ms) is longer than metadata.rpc.keepalive (100 ms)",
    ),
    "one entity held and looked up": (
        model(**STORE, fs_entity="item,user", fs_user_entity="user"),
        "model_config.fs_entity and fs_user_entity both name 'user'",
    ),
    "two ports that are one": (
        rpc(grpc_port=9000, admin_port=9000),
        "metadata.rpc.grpc_port and admin_port are both 9000; give them different ports",
    ),
    "an output twice": (model(outputs="a,b,a"), "model_config.outputs names an output twice: a, b, a"),
    "an empty separator": (
        model(debug_separators={"pair": ""}),
        "model_config.debug_separators.pair is empty; nothing could tell the pieces apart",
    ),
    "the export, and not without what was compiled": (
        model(engine="torchscript", compiled="require"),
        "model_config.engine is 'torchscript' and model_config.compiled is 'require', which exclude one",
    ),
    "machine code, and the export": (
        model(engine="aotinductor", compiled="off"),
        "model_config.engine is 'aotinductor' and model_config.compiled is 'off'",
    ),
    "a variable twice": (
        {**model(), "processor_envs": [*TILE, {"name": "INPUT_TILE", "value": "3"}]},
        "processor_envs: INPUT_TILE is set twice, to different values; keep one of them",
    ),
}


@pytest.mark.parametrize(("values", "said"), ERRORS.values(), ids=ERRORS)
def test_a_contradiction_is_an_error_that_names_both_sides(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(values, {})

    assert said in str(raised.value)


WARNINGS: dict[str, tuple[dict[str, Any], str]] = {
    "batches without batching": (
        rpc(batching=False, max_batch_size=8),
        'no effect: metadata.rpc.max_batch_size; write "batching": true beside it',
    ),
    "limits of batches alone": (
        rpc(max_batch_size=8, max_batch_timeout=1),
        "no effect: metadata.rpc.max_batch_size, metadata.rpc.max_batch_timeout; write",
    ),
    "constants for answers that have no place for them": (
        {"model_config": {"fg_mode": "bypass", "pass_through_data": {"model_version": "7"}}},
        'no effect: model_config.pass_through_data; fg_mode is "bypass", whose answers hold tensors only',
    ),
    "warm-up without files": (
        model(warmup_cnt_per_file=3),
        "no effect: model_config.warmup_cnt_per_file; write warmup_data_path beside it",
    ),
    "a token for a port that is closed": (
        {"admin_token": "x"},
        "no effect: admin_token; write metadata.rpc.admin_port beside it",
    ),
    "refreshes of no table": (
        model(period=60, refresh_mode="swap"),
        "no effect: model_config.period, model_config.refresh_mode; write tables or fs_project beside it",
    ),
    "every request is slow": (
        model(long_request_threshold=0, save_long_request=True),
        "model_config.long_request_threshold is 0 and save_long_request is true: every request is kept",
    ),
    "an empty token": ({"token": ""}, "token is empty: everybody may ask"),
    "a variable of the export": (
        {"processor_envs": [{"name": "QUANT_EMB", "value": "INT8"}]},
        "processor_envs: QUANT_EMB has no effect: it is for the export, whose files hold the result",
    ),
    "a mistyped variable": (
        {"processor_envs": [{"name": "INPUT_TILES", "value": "2"}]},
        "unknown variable 'INPUT_TILES' in processor_envs: did you mean 'INPUT_TILE'?",
    ),
    "a variable that nobody reads": (
        {"processor_envs": [{"name": "PS1", "value": "$"}]},
        "unknown variable 'PS1' in processor_envs: it has no effect",
    ),
    "recall": (
        model(faiss_neigh_num=200, tdm_retrieval_num=100),
        "model_config.faiss_neigh_num, model_config.tdm_retrieval_num: no effect yet; "
        "this process scores, it does not recall",
    ),
    "recall, by a variable": (
        {"processor_envs": [{"name": "USE_HASH_NODE_ID", "value": "1"}]},
        "processor_envs.USE_HASH_NODE_ID: no effect yet; this process scores, it does not recall",
    ),
}


@pytest.mark.parametrize(("values", "said"), WARNINGS.values(), ids=WARNINGS)
def test_what_is_hardly_meant_is_a_warning(values: dict[str, Any], said: str) -> None:
    warnings = load(values, {}).warnings

    assert any(said in warning for warning in warnings), warnings


FINE: list[dict[str, Any]] = [
    {},
    rpc(keepalive=10),  # fs_user_timeout_ms is longer, and nobody is looked up
    {"model_config": {"fg_mode": "bypass", "request_log_path": "/log", "fg_threads": 8}},
    rpc(batching=True, max_batch_size=8, max_batch_timeout=1),
    rpc(tls_certificate="a", tls_key="b", tls_client_ca="c"),
    rpc(grpc_port=-1, admin_port=-1, allocator="jemalloc", enable_jemalloc=1) | {"token": "x"},
    {**model(), "processor_envs": TILE},
    {**model(), "processor_envs": [*TILE, *TILE]},
    {"processor_envs": [{"name": "INPUT_TILE", "value": "0"}]},
    {"processor_envs": [{"name": "OMP_PROC_BIND", "value": "true"}]},
    {"model_config": {"fg_mode": "auto"}, "processor_envs": TILE},
    model(warmup_data_path="w", warmup_cnt_per_file=3),
    model(**TABLE, period=60),
    model(**STORE, period=60, fs_user_entity="user"),
]


@pytest.mark.parametrize("values", FINE, ids=str)
def test_what_goes_together_is_neither(values: dict[str, Any]) -> None:
    assert load(values, {}).warnings == ()


def test_a_tile_of_the_machine_does_not_keep_a_bypass_service_from_starting() -> None:
    assert load({}, {"INPUT_TILE": "2"}).warnings == ()
