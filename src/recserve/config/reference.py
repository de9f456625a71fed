"""The settings as Markdown tables: the reference page is made of what the code reads."""

from __future__ import annotations

from recserve.config.captures import Captures
from recserve.config.environment import Environment
from recserve.config.hosted_keys import ACCEPTED, NOT_YET, REFUSED
from recserve.config.items import FeatureStoreSettings, ItemSettings, Table
from recserve.config.model import ModelConfig
from recserve.config.rpc import Rpc
from recserve.config.service import ServiceSpec
from recserve.config.settings import Setting, default_of, settings
from recserve.config.warm_up import WarmUp

SECTIONS: dict[str, type] = {
    "Top level": ServiceSpec,
    "metadata.rpc": Rpc,
    "model_config": ModelConfig,
    "model_config, captures": Captures,
    "model_config, warm-up": WarmUp,
    "model_config, where items come from": ItemSettings,
    "model_config.tables": Table,
    "model_config, the feature store": FeatureStoreSettings,
    "Environment, or processor_envs": Environment,
}


def reference() -> str:
    """The tables of all sections, then the keys of the hosted product by what happens to them."""
    parts = ["# The service file", ""]
    for title, section in SECTIONS.items():
        parts += [f"## {title}", "", *_table(section), ""]
    parts += ["## Keys of the hosted product", "", "| key | what happens |", "|---|---|"]
    for where, keys in ACCEPTED.items():
        names = ", ".join(f"`{_path(where, key)}`" for key in sorted(keys))
        parts.append(f"| {names} | accepted, no effect on one machine |")
    for title, reasons in (("no effect yet, warned about", NOT_YET), ("refused", REFUSED)):
        for where, by_key in reasons.items():
            parts += [f"| `{_path(where, key)}` | {title}: {why} |" for key, why in by_key.items()]
    return "\n".join(parts) + "\n"


def _table(section: type) -> list[str]:
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for key, (known, entry) in settings(section).items():
        kind = _TYPES[str(entry.type)]
        unit = f", {known.unit}" if known.unit else ""
        rows.append(f"| `{key}` | {kind}{unit} | {_default(known, default_of(entry))} | {known.sentence} |")
    return rows


_TYPES = {
    "bool": "true or false",
    "int": "whole number",
    "float": "number",
    "str": "string",
    "tuple[str, ...]": "strings",
}


def _default(known: Setting, value: object) -> str:
    if known.required:
        return "required"
    return "" if value in ("", ()) else f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _path(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key
