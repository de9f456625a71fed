"""The service file: what one service is called, who may ask it, and how its model is served.

    {"name": "rank", "token": "…", "processor": "easyrec-torch-1.12",
     "metadata": {"rpc": {"max_queue_size": 256, "keepalive": 500}},
     "model_config": {"fg_mode": "normal", "remote_type": "file",
                      "tables": [{"name": "items.parquet", "key": "item_id"}]},
     "processor_envs": [{"name": "INPUT_TILE", "value": "2"}]}

The names are those of the hosted TorchEasyRec processor, so that its files work as they are; keys that only
matter there are in `hosted_keys.py`. Sources: TorchEasyRec docs, "Model service" (模型服务), and the hosted
processor's page "TorchEasyRec Processor".
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recserve.config import hosted_keys
from recserve.config.captures import Captures
from recserve.config.document import parse_json, read_json
from recserve.config.environment import Environment, environment, process_environ
from recserve.config.items import (
    FeatureStoreSettings,
    ItemSettings,
    Table,
    feature_store_settings,
    item_settings,
    secrets_of,
)
from recserve.config.model import ModelConfig
from recserve.config.rpc import Rpc
from recserve.config.settings import read, setting, settings, unknown_key
from recserve.config.warm_up import WarmUp
from recserve.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """One service, as its file describes it; secrets that the file may hold beside `tokens` are not kept."""

    name: str = setting("recserve", "The name in the URL, /api/predict/<name>; metadata.name means the same.")
    tokens: tuple[str, ...] = setting(
        (),
        "Who may ask: a token, or a list while tokens are being changed; none = everybody.",
        key="token",
        secret=True,
    )
    processor: str = setting(
        "easyrec-torch", "The kind of model; the version of easyrec-torch-<version> is not looked at."
    )
    admin_tokens: tuple[str, ...] = setting(
        (), "Who may use the admin port; none = those who may ask for scores.", key="admin_token", secret=True
    )
    warm_up_data_path: tuple[str, ...] = setting(
        (), "Files of requests that a start replays: .bin, .pb, or .txt with one request per line, as JSON."
    )
    rpc: Rpc = field(default_factory=Rpc)
    model: ModelConfig = field(default_factory=ModelConfig)
    captures: Captures = field(default_factory=Captures)
    warm_up: WarmUp = field(default_factory=WarmUp)
    items: ItemSettings = field(default_factory=ItemSettings)
    feature_store: FeatureStoreSettings | None = None
    envs: Mapping[str, str] = field(default_factory=dict, repr=False)  # processor_envs; may hold secrets
    environment: Environment = field(default_factory=Environment)
    base_dir: Path = Path()  # paths in the file are relative to it
    warnings: tuple[str, ...] = ()  # what a person should know; never an error, never a secret

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not appear in a log: tokens, keys, passwords inside of URLs."""
        return (*self.tokens, *self.admin_tokens, *secrets_of(self.items, self.feature_store))


def load(
    source: Path | str | Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    *,
    base_dir: Path | None = None,
) -> ServiceSpec:
    """Read a service file, or a dict with its content, or nothing: then all defaults, and fg_mode is auto.

    `environ` is the process's own by default; `base_dir` is where the paths of a dict start, the working
    directory by default.
    Raises ConfigError naming the file, the key, the value and the way out.
    """
    variables = process_environ() if environ is None else environ
    if source is None:
        defaults = ModelConfig(fg_mode="auto")
        return ServiceSpec(
            model=defaults, environment=environment(variables, {}), base_dir=base_dir or Path.cwd()
        )
    if isinstance(source, (str, Path)):
        path = Path(source)
        values, start = read_json(path), path.absolute().parent
        try:
            return _spec(values, variables, start)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error
    return _spec(dict(source), variables, base_dir or Path.cwd())


def _spec(values: dict[str, Any], variables: Mapping[str, str], base_dir: Path) -> ServiceSpec:
    top = _nested(values, "")
    metadata = _nested(_section(top, "metadata"), "metadata")
    rpc = _section(metadata, "rpc", "metadata.")
    model_config = _model_config(top)
    tables = _table_entries(model_config)
    warnings: list[str] = []
    for where, section, keys in (
        ("", top, {*settings(ServiceSpec), "metadata", "model_config", "processor_envs"}),
        ("metadata", metadata, {"name", "token", "rpc"}),
        ("metadata.rpc", rpc, set(settings(Rpc))),
        ("model_config", _without_leftovers(model_config), {*_model_keys(), "tables"}),
        *(("model_config.tables", entry, set(settings(Table))) for entry in tables),
    ):
        warnings += _review(section, where, keys)
    envs = _processor_envs(top.get("processor_envs"))
    spec = read(ServiceSpec, _identity(top, metadata), "")
    _check_identity(spec)
    spec = replace(
        spec,
        rpc=read(Rpc, rpc, "metadata.rpc"),
        model=_model(model_config),
        captures=read(Captures, model_config, "model_config"),
        warm_up=read(WarmUp, model_config, "model_config"),
        items=item_settings(model_config, tables),
        feature_store=feature_store_settings(model_config),
        envs=envs,
        environment=environment(variables, envs),
        base_dir=base_dir,
    )
    return replace(spec, warnings=(*warnings, *_remarks(spec)))


def _remarks(spec: ServiceSpec) -> Iterator[str]:
    """What is allowed, and hardly meant."""
    if spec.model.fg_mode == "bypass" and (spec.items.tables or spec.feature_store is not None):
        yield (
            'item features are not loaded: fg_mode is "bypass", so clients send the model\'s own tensors; '
            'write "fg_mode": "normal" to generate features'
        )
    if spec.rpc.admin_port and not spec.tokens and not spec.admin_tokens:
        yield "whoever reaches the admin port may change items: there is neither a token nor an admin_token"


def _model_keys() -> set[str]:
    sections = (ModelConfig, Captures, WarmUp, ItemSettings, FeatureStoreSettings)
    return {key for section in sections for key in settings(section)}


def _section(values: Mapping[str, Any], key: str, where: str = "") -> dict[str, Any]:
    section = values.get(key)
    if section is None:
        return {}
    if not isinstance(section, dict):
        raise ConfigError(f"{where}{key} is a {type(section).__name__}; an object ({{…}}) is expected")
    return section


def _nested(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Turn `"rpc.max_queue_size": 1`, a form seen in real files, into `"rpc": {"max_queue_size": 1}`."""
    result = {key: value for key, value in values.items() if "." not in key}
    for key, value in values.items():
        first, dot, rest = key.partition(".")
        if not dot:
            continue
        inner = dict(_section(result, first, f"{where}." if where else ""))
        if rest in inner and inner[rest] != value:
            raise ConfigError(
                f"'{key}' and '{rest}' in '{first}' say different things; keep one of the two forms"
            )
        inner[rest] = value
        result[first] = _nested(inner, f"{where}.{first}") if first in ("metadata", "rpc") else inner
    return result


def _model_config(top: Mapping[str, Any]) -> dict[str, Any]:
    """The hosted product takes an object or the same as a text."""
    if isinstance(top.get("model_config"), str):
        return parse_json(top["model_config"], "model_config")
    return _section(top, "model_config")


def _table_entries(model_config: Mapping[str, Any]) -> list[dict[str, Any]]:
    tables = model_config.get("tables")
    entries = [tables] if isinstance(tables, dict) else tables or []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ConfigError(
            'model_config.tables: a list of tables is expected: [{"name": "items.parquet", "key": "item_id"}]'
        )
    return entries


def _without_leftovers(model_config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Where items come from is said by remote_type; a feature store named beside it is a leftover."""
    if "remote_type" not in model_config:
        return model_config
    return {key: value for key, value in model_config.items() if not key.startswith("fs_")}


def _review(section: Mapping[str, Any], where: str, keys: set[str]) -> list[str]:
    """Refuse what would be unsafe to ignore; warn of what is not there yet and of unknown keys."""
    warnings = []
    not_yet: dict[str, list[str]] = {}  # reason → keys: said once
    for key in section:
        name = f"{where}.{key}" if where else key
        if key in hosted_keys.REFUSED.get(where, {}):
            raise ConfigError(f"{name} is not supported: {hosted_keys.REFUSED[where][key]}")
        if key in hosted_keys.NOT_YET.get(where, {}):
            not_yet.setdefault(hosted_keys.NOT_YET[where][key], []).append(name)
        elif key not in keys and key not in hosted_keys.ACCEPTED.get(where, frozenset()):
            warnings.append(_misplaced(key, where) or unknown_key(key, where, _own(where, keys)))
    return warnings + [f"{', '.join(names)}: no effect yet; {reason}" for reason, names in not_yet.items()]


_SECTIONS = {
    "": set(settings(ServiceSpec)),
    "metadata.rpc": set(settings(Rpc)),
    "model_config": _model_keys(),
}


def _misplaced(key: str, where: str) -> str:
    """A key that is right elsewhere is the commonest mistake in nested files."""
    home = next((name for name, keys in _SECTIONS.items() if name != where and key in keys), None)
    if home is None:
        return ""
    return f"unknown key '{f'{where}.{key}' if where else key}': it belongs into {home or 'the top level'}"


def _own(where: str, keys: set[str]) -> set[str]:
    return keys | hosted_keys.known_keys(where)


def _identity(top: Mapping[str, Any], metadata: Mapping[str, Any]) -> dict[str, Any]:
    """name and token may stand at the top level (old files, SDKs) or in metadata (new ones)."""
    result = dict(top)
    for key in ("name", "token"):
        at_top, inside = top.get(key), metadata.get(key)
        if at_top is not None and inside is not None and at_top != inside:
            raise ConfigError(f"{key} and metadata.{key} differ; keep one of them")
        result[key] = inside if at_top is None else at_top
    for key in ("token", "admin_token"):
        if isinstance(result.get(key), str):
            result[key] = [result[key]]  # a token may hold a comma
    return result


def _check_identity(spec: ServiceSpec) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", spec.name):
        raise ConfigError(f"name: {spec.name!r} cannot stand in a URL; use letters, digits, '_', '-' and '.'")
    if not all(re.fullmatch(r"[!-~]+", token) for token in (*spec.tokens, *spec.admin_tokens)):
        raise ConfigError("token: only printable ASCII characters without spaces can be sent in a header")
    if not re.fullmatch(r"easyrec-torch(-[0-9.]+)?", spec.processor):
        raise ConfigError(
            f"processor: {spec.processor!r} is not served; known: easyrec-torch and easyrec-torch-<version>"
        )


def _processor_envs(entries: Any) -> dict[str, str]:
    """`[{"name": "INPUT_TILE", "value": "2"}]`; numbers are taken as their text."""
    result = {}
    for place, entry in enumerate(
        [] if entries is None else entries if isinstance(entries, list) else [entries]
    ):
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str) or "value" not in entry:
            raise ConfigError(
                f'processor_envs[{place}] is not a variable; write {{"name": "INPUT_TILE", "value": "2"}}'
            )
        result[entry["name"]] = str(entry["value"])
    return result


def _model(values: Mapping[str, Any]) -> ModelConfig:
    if values.get("fg_mode") == "tf":
        raise ConfigError("model_config.fg_mode: 'tf' is for TensorFlow models; known: bypass, normal, auto")
    return read(ModelConfig, values, "model_config")
