"""One form for what a service file may write in several: dotted keys, JSON as a text, one for a list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recserve.config.document import parse_json
from recserve.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping


def section(values: Mapping[str, Any], key: str, where: str = "") -> dict[str, Any]:
    """The object under a key; a null or absent one is empty."""
    found = values.get(key)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise ConfigError(f"{where}{key} is a {type(found).__name__}; an object ({{…}}) is expected")
    return found


def nested(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Turn `"rpc.max_queue_size": 1`, a form seen in real files, into `"rpc": {"max_queue_size": 1}`."""
    result = {key: value for key, value in values.items() if "." not in key}
    for key, value in values.items():
        first, dot, rest = key.partition(".")
        if not dot:
            continue
        inner = dict(section(result, first, f"{where}." if where else ""))
        if rest in inner and inner[rest] != value:
            raise ConfigError(
                f"'{key}' and '{rest}' in '{first}' say different things; keep one of the two forms"
            )
        inner[rest] = value
        result[first] = nested(inner, f"{where}.{first}") if first in ("metadata", "rpc") else inner
    return result


def model_config(top: Mapping[str, Any]) -> dict[str, Any]:
    """The hosted product takes an object or the same as a text."""
    if isinstance(top.get("model_config"), str):
        return parse_json(top["model_config"], "model_config")
    return section(top, "model_config")


def table_entries(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """`model_config.tables`: a list, or one of them."""
    tables = values.get("tables")
    entries = [tables] if isinstance(tables, dict) else tables or []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ConfigError(
            'model_config.tables: a list of tables is expected: [{"name": "items.parquet", "key": "item_id"}]'
        )
    return entries


def identity(top: Mapping[str, Any], metadata: Mapping[str, Any]) -> dict[str, Any]:
    """name, token and group may stand at the top level (old files, SDKs) or in metadata (new ones)."""
    result = dict(top)
    for key in ("name", "token", "group"):
        at_top, inside = top.get(key), metadata.get(key)
        if at_top is not None and inside is not None and at_top != inside:
            raise ConfigError(f"{key} and metadata.{key} differ; keep one of them")
        result[key] = inside if at_top is None else at_top
    for key in ("token", "admin_token"):
        if isinstance(result.get(key), str):
            result[key] = [result[key]]  # a token may hold a comma
    return result


def processor_envs(entries: Any) -> dict[str, str]:
    """`[{"name": "INPUT_TILE", "value": "2"}]`; numbers are taken as their text."""
    result: dict[str, str] = {}
    for place, entry in enumerate(
        [] if entries is None else entries if isinstance(entries, list) else [entries]
    ):
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str) or "value" not in entry:
            raise ConfigError(
                f'processor_envs[{place}] is not a variable; write {{"name": "INPUT_TILE", "value": "2"}}'
            )
        name, value = entry["name"], entry["value"]
        text = value if isinstance(value, str) else str(value)
        if result.setdefault(name, text) != text:
            raise ConfigError(f"processor_envs: {name} is set twice, to different values; keep one of them")
    return result
