"""Relative paths of a service file, made absolute before it is sent: the control plane knows no folder of it.

URIs and absolute paths stay as they are, and so do names of tables that are not files.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from recserve.config import forms

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_OF_MODEL_CONFIG = ("item_snapshot", "fs_registry", "request_log_path", "warmup_data_path")
#: Where a service file has the feature store's registry unless it says otherwise.
_REGISTRY = "feature_store.yaml"


def absolute(document: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The document with the paths that `recserve serve` would read from the file's folder."""

    def whole(name: Any) -> Any:
        if not isinstance(name, str) or not name or "://" in name or name.startswith(("/", "$")):
            return name
        return os.path.normpath(folder / name)

    result = dict(document)
    for key in ("model_path", "warm_up_data_path"):
        if key in result:
            found = result[key]
            result[key] = [whole(one) for one in found] if isinstance(found, list) else whole(found)
    if "model_config" in result:
        result["model_config"] = _model_config(forms.model_config(result), folder, whole)
    if isinstance(result.get("storage"), list):
        result["storage"] = [_mounted(entry, whole) for entry in result["storage"]]
    return result


def _model_config(values: Mapping[str, Any], folder: Path, whole: Callable[[Any], Any]) -> dict[str, Any]:
    result = {key: whole(value) if key in _OF_MODEL_CONFIG else value for key, value in values.items()}
    if values.get("remote_type") == "file":
        result["tables"] = [
            {**entry, "name": whole(entry["name"])} if "name" in entry else entry
            for entry in forms.table_entries(values)
        ]
    if "fs_project" in values and "fs_registry" not in values and (folder / _REGISTRY).is_file():
        result["fs_registry"] = str(folder / _REGISTRY)
    return result


def _mounted(entry: Any, whole: Callable[[Any], Any]) -> Any:
    """Of storage, only `host_path` is a path of this machine by itself."""
    source = entry.get("host_path") if isinstance(entry, dict) else None
    if not isinstance(source, dict) or "path" not in source:
        return entry
    return {**entry, "host_path": {**source, "path": whole(source["path"])}}
