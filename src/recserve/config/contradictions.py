"""What cannot all be meant is an error; what is allowed, and hardly meant, is a warning.

Both look at what the file *names* (`named`: paths of keys), since a default contradicts nobody.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from recserve.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from recserve.config.spec import ServiceSpec

#: Keys of model_config that are about tables, whatever kind they are.
_OF_TABLES = (
    *("period", "poll_interval_ms", "timekey_overlap_s", "refresh_mode", "null_overwrites", "item_columns"),
    *("load_timeout", "min_rows_percent", "max_null_increase_percent", "url"),
)


def check(spec: ServiceSpec, named: Collection[str]) -> None:
    """Raise ConfigError for the first contradiction, naming both sides and the way out."""
    for said in (*_identity(spec), *_limits(spec), *_tls(spec), *_model(spec), *_tables(spec)):
        raise ConfigError(said)


def _identity(spec: ServiceSpec) -> Iterator[str]:
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", spec.name):
        yield f"name: {spec.name!r} cannot stand in a URL; use letters, digits, '_', '-' and '.'"
    for key, tokens in (("token", spec.tokens), ("admin_token", spec.admin_tokens)):
        if not all(re.fullmatch(r"[!-~]+", token) for token in tokens):
            yield f"{key}: only printable ASCII characters without spaces can be sent in a header"
    if not re.fullmatch(r"easyrec-torch(-[0-9.]+)?", spec.processor):
        yield f"processor: {spec.processor!r} is not served; known: easyrec-torch and easyrec-torch-<version>"


def _limits(spec: ServiceSpec) -> Iterator[str]:
    rpc, store = spec.rpc, spec.feature_store
    budget = f"is longer than metadata.rpc.keepalive ({rpc.keepalive_ms} ms), the whole budget of a request"
    if rpc.batching and rpc.max_batch_timeout_ms >= rpc.keepalive_ms:
        yield f"metadata.rpc.max_batch_timeout ({rpc.max_batch_timeout_ms} ms) {budget}"
    if store is not None and store.user_entity and store.user_timeout_ms >= rpc.keepalive_ms:
        yield f"model_config.fs_user_timeout_ms ({store.user_timeout_ms} ms) {budget}"
    if rpc.grpc_port > 0 and rpc.grpc_port == rpc.admin_port:
        yield f"metadata.rpc.grpc_port and admin_port are both {rpc.grpc_port}; give them different ports"


def _tls(spec: ServiceSpec) -> Iterator[str]:
    rpc = spec.rpc
    if bool(rpc.tls_certificate) != bool(rpc.tls_key):
        has, lacks = ("tls_certificate", "tls_key") if rpc.tls_certificate else ("tls_key", "tls_certificate")
        yield f"metadata.rpc.{has} is given without {lacks}; TLS needs both, plain HTTP neither"
    if rpc.tls_client_ca and not rpc.tls_certificate:
        yield (
            "metadata.rpc.tls_client_ca asks clients for certificates, which takes TLS; "
            "name tls_certificate and tls_key too"
        )


def _model(spec: ServiceSpec) -> Iterator[str]:
    tile = spec.envs.get("INPUT_TILE", "")
    if spec.model.fg_mode == "bypass" and tile and spec.environment.input_tile:
        yield (
            f"processor_envs: INPUT_TILE {tile} says how features are generated, and model_config.fg_mode is "
            '"bypass", which generates none; remove the variable, or write "fg_mode": "normal"'
        )
    engine, compiled = spec.model.engine, spec.model.compiled
    is_export = engine in ("torchscript", "torch_export")
    if (engine == "aotinductor" and compiled == "off") or (is_export and compiled == "require"):
        yield (
            f"model_config.engine is {engine!r} and model_config.compiled is {compiled!r}, which exclude one "
            "another; remove one of them"
        )
    if len(set(spec.model.outputs)) < len(spec.model.outputs):
        yield f"model_config.outputs names an output twice: {', '.join(spec.model.outputs)}"
    for name, separator in spec.model.debug_separators.items():
        if not separator:
            yield f"model_config.debug_separators.{name} is empty; nothing could tell the pieces apart"


def _tables(spec: ServiceSpec) -> Iterator[str]:
    store = spec.feature_store
    if store is not None and store.user_entity in store.entities:
        yield (
            f"model_config.fs_entity and fs_user_entity both name {store.user_entity!r}: its features "
            "are held in memory, or looked up by request; name it in one of the two"
        )


def remarks(spec: ServiceSpec, named: Collection[str]) -> Iterator[str]:
    """What is allowed, and hardly meant."""
    yield from _without_features(spec, named)
    yield from _without_use(spec, named)
    if "token" in named and not spec.tokens:
        yield "token is empty: everybody may ask; name one, or remove the key if that is meant"
    if spec.rpc.admin_port and not spec.tokens and not spec.admin_tokens:
        yield "whoever reaches the admin port may change items: there is neither a token nor an admin_token"
    if spec.captures.save_long_request and spec.model.slow_request_ms == 0:
        yield "model_config.long_request_threshold is 0 and save_long_request is true: every request is kept"


def _without_features(spec: ServiceSpec, named: Collection[str]) -> Iterator[str]:
    if spec.model.fg_mode != "bypass":
        return
    if spec.items.tables or spec.feature_store is not None:
        yield (
            'item features are not loaded: fg_mode is "bypass", so clients send the model\'s own tensors; '
            'write "fg_mode": "normal" to generate features'
        )
    keys = ("debug_separators", "pass_through_data")
    unused = [f"model_config.{key}" for key in keys if f"model_config.{key}" in named]
    if unused:
        yield f'no effect: {", ".join(unused)}; fg_mode is "bypass", whose answers hold tensors only'


def _without_use(spec: ServiceSpec, named: Collection[str]) -> Iterator[str]:
    """Keys that another one would have to switch on."""
    rpc = spec.rpc
    for where, keys, on, switch in (
        (
            "metadata.rpc",
            ("max_batch_size", "max_batch_rows", "max_batch_timeout"),
            rpc.batching,
            '"batching": true',
        ),
        (
            "model_config",
            ("warmup_cnt_per_file", "warmup_pb_files_count"),
            bool(spec.warm_up.data_path),
            "warmup_data_path",
        ),
        ("", ("admin_token",), bool(rpc.admin_port), "metadata.rpc.admin_port"),
        ("model_config", _OF_TABLES, bool(spec.items.tables or spec.feature_store), "tables or fs_project"),
    ):
        unused = [path for key in keys if (path := f"{where}.{key}" if where else key) in named]
        if unused and not on:
            yield f"no effect: {', '.join(unused)}; write {switch} beside it"
