"""The service file: what one service is called, who may ask it, and how its model is served.

    {"name": "rank", "token": "${RANK_TOKEN}", "processor": "easyrec-torch-1.12",
     "metadata": {"rpc": {"max_queue_size": 256, "keepalive": 500}},
     "model_config": {"fg_mode": "normal", "remote_type": "file",
                      "tables": [{"name": "items.parquet", "key": "item_id"}]},
     "processor_envs": [{"name": "INPUT_TILE", "value": "2"}]}

    document ──forms──▶ sections ──concealed──▶ values ──settings──▶ ServiceSpec ──contradictions──▶ errors

The names are those of the hosted TorchEasyRec processor, so that its files work as they are; keys that only
matter there are in `hosted_keys.py`. Sources: TorchEasyRec docs, "Model service" (模型服务), and the hosted
processor's page "TorchEasyRec Processor".
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recserve.config import contradictions, forms, hosted_keys
from recserve.config.captures import Captures
from recserve.config.concealed import LEAST_SECRET, Elsewhere, blotted
from recserve.config.document import read_json
from recserve.config.environment import Environment, environment, process_environ
from recserve.config.items import Table, feature_store_settings, item_settings
from recserve.config.model import ModelConfig
from recserve.config.recall import Recall
from recserve.config.review import review, review_variables
from recserve.config.rpc import Rpc
from recserve.config.sections import SECTIONS
from recserve.config.settings import read, settings
from recserve.config.spec import ServiceSpec
from recserve.config.warm_up import WarmUp
from recserve.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ServiceSpec", "load"]


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
        return ServiceSpec(
            model=ModelConfig(fg_mode="auto"),
            environment=environment(variables, {}),
            base_dir=base_dir or Path.cwd(),
            origins=_of_variables(variables, {}, ""),
        )
    if isinstance(source, (str, Path)):
        path = Path(source)
        values = read_json(path)
        try:
            return _spec(values, Elsewhere(variables, path.absolute().parent), path.name)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error
    return _spec(dict(source), Elsewhere(variables, base_dir or Path.cwd()), "given")


@dataclass(frozen=True, slots=True)
class _Parts:
    """The objects of a service file, each in its one form, with what came from elsewhere filled in."""

    top: dict[str, Any]
    metadata: dict[str, Any]
    rpc: dict[str, Any]
    model_config: dict[str, Any]
    tables: list[dict[str, Any]]
    envs: dict[str, str]


def _parts(values: dict[str, Any], elsewhere: Elsewhere) -> _Parts:
    top = forms.nested(values, "")
    metadata = forms.nested(forms.section(top, "metadata"), "metadata")
    rest = {key: value for key, value in top.items() if key not in ("metadata", "model_config")}
    model_config = forms.model_config(top)
    tables = forms.table_entries(model_config)
    model_config = _filled({**model_config, "tables": tables}, "model_config", elsewhere)
    metadata = _filled(metadata, "metadata", elsewhere)
    top = {**top, **_filled(rest, "", elsewhere)}
    return _Parts(
        top=top,
        metadata=metadata,
        rpc=forms.nested(forms.section(metadata, "rpc", "metadata."), "metadata.rpc"),
        model_config=model_config,
        tables=model_config["tables"],
        envs=forms.processor_envs(top.get("processor_envs")),
    )


def _filled(values: Mapping[str, Any], where: str, elsewhere: Elsewhere) -> dict[str, Any]:
    """What is accepted and not read may hold `${…}` of others."""
    ignored = hosted_keys.ACCEPTED.get(where, frozenset())
    return {
        key: value if key in ignored else elsewhere.fill(value, f"{where}.{key}" if where else key)
        for key, value in values.items()
    }


def _spec(values: dict[str, Any], elsewhere: Elsewhere, file: str) -> ServiceSpec:
    """Messages of what is wrong in here may show a value, but none that came from elsewhere."""
    try:
        return _checked_spec(_parts(values, elsewhere), elsewhere, file)
    except ConfigError as error:
        raise ConfigError(blotted(str(error), _filled_secrets(elsewhere))) from error.__cause__


def _checked_spec(parts: _Parts, elsewhere: Elsewhere, file: str) -> ServiceSpec:
    warnings = [
        *review(parts.top, ""),
        *review(parts.metadata, "metadata"),
        *review(parts.rpc, "metadata.rpc"),
        *review(_without_leftovers(parts.model_config), "model_config"),
        *(said for entry in parts.tables for said in review(entry, "model_config.tables")),
        *review_variables(parts.envs),
    ]
    origins = _origins(parts, elsewhere, file)
    spec = read(ServiceSpec, forms.identity(parts.top, parts.metadata), "")
    spec = replace(
        spec,
        name=str(spec.name),  # it stands in URLs: whoever wrote ${NAME} did not mean to hide it
        rpc=read(Rpc, parts.rpc, "metadata.rpc"),
        model=_model(parts.model_config),
        captures=read(Captures, parts.model_config, "model_config"),
        warm_up=read(WarmUp, parts.model_config, "model_config"),
        items=item_settings(parts.model_config, parts.tables),
        feature_store=feature_store_settings(parts.model_config),
        recall=read(Recall, parts.model_config, "model_config"),
        envs=parts.envs,
        environment=environment(elsewhere.variables, parts.envs),
        base_dir=elsewhere.base_dir,
        filled=_filled_secrets(elsewhere),
        origins=origins,
    )
    contradictions.check(spec, origins)
    return replace(spec, warnings=(*warnings, *contradictions.remarks(spec, origins)))


def _model(values: Mapping[str, Any]) -> ModelConfig:
    if values.get("fg_mode") == "tf":
        raise ConfigError("model_config.fg_mode: 'tf' is for TensorFlow models; known: bypass, normal, auto")
    return read(ModelConfig, values, "model_config")


def _without_leftovers(model_config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Where items come from is said by remote_type; a feature store named beside it is a leftover."""
    if "remote_type" not in model_config:
        return model_config
    return {key: value for key, value in model_config.items() if not key.startswith("fs_")}


def _filled_secrets(elsewhere: Elsewhere) -> tuple[str, ...]:
    """What came from elsewhere and is a text of its own: not a number, a choice or the service's name."""
    open_paths = {"name", "metadata.name"} | {
        section.path(key)
        for section in SECTIONS
        for key, (known, entry) in settings(section.record).items()
        if known.choices or str(entry.type) in ("bool", "int", "float")
    }
    return tuple(
        found.secret
        for path, every in elsewhere.found.items()
        for found in every
        if re.sub(r"\[\d+\]", "", path) not in open_paths and len(found.secret) >= LEAST_SECRET
    )


def _origins(parts: _Parts, elsewhere: Elsewhere, file: str) -> dict[str, str]:
    """By the path of each key that is no default: the file and the key there, or the variable."""

    def of_file(path: str) -> str:
        inside = (every for at, every in elsewhere.found.items() if at == path or at.startswith(f"{path}."))
        named = dict.fromkeys(found.origin for every in inside for found in every)
        return ", from ".join([f"{file}, {path}", *named])

    result: dict[str, str] = {}
    objects = {"": parts.top, "metadata.rpc": parts.rpc, "model_config": parts.model_config}
    for section in SECTIONS:
        values = objects.get(section.where, {})
        for key in settings(section.record):
            if values.get(key) is not None:
                result[section.path(key)] = of_file(section.path(key))
    for key in ("name", "token", "group"):
        if parts.metadata.get(key) is not None and key not in result:
            result[key] = of_file(f"metadata.{key}")
    for place, entry in enumerate(parts.tables):
        named = [key for key in settings(Table) if entry.get(key) is not None]
        result |= {path: of_file(path) for key in named for path in [f"model_config.tables[{place}].{key}"]}
    return result | _of_variables(elsewhere.variables, parts.envs, file)


def _of_variables(environ: Mapping[str, str], envs: Mapping[str, str], file: str) -> dict[str, str]:
    names = {name: f"environment variable {name}" for name in settings(Environment) if environ.get(name)}
    names |= {name: f"{file}, processor_envs, {name}" for name in settings(Environment) if envs.get(name)}
    return {f"processor_envs.{name}": origin for name, origin in names.items()}
