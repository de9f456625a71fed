"""`processor: easyrec-torch-*`: a document as `recserve serve` with a service file of its own.

| of the document                    | becomes                                                              |
|------------------------------------|----------------------------------------------------------------------|
| model_path, or storage at a model's mount | the bundle's directory                                        |
| metadata.rpc, group, model_config, processor_envs, admin_token | themselves in the service file            |
| warm_up_data_path                  | itself, an object store's URI as the path that the alias table has   |
| model_config.fs_project            | the project in fs_registry, or in <state>/feature_store.yaml         |
| token                              | itself, or the service's; and that of its group                      |

Whatever else the document has is of the control plane. The service file is checked as `recserve serve` does,
unless parts of it come from the instance's environment (`${NAME}`, `file:…`).
"""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

from recserve.config import forms, service
from recserve.config.sections import HOLDERS, keys_at
from recserve.deploy.backends.backend import Probe
from recserve.deploy.containers import mounts, variables
from recserve.deploy.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

#: Where the platform has a service's model.
MODEL_MOUNTS = ("/home/admin/docker_ml/workspace/model", "/eas/workspace/model")
#: What a feature store's registry is called, in the folder of the control plane's state.
REGISTRY = "feature_store.yaml"

_ELSEWHERE = re.compile(r"(?<!\$)\$\{|\"file:(?!//)")
_TLS = ("tls_certificate", "tls_key", "tls_client_ca")


def order_fields(document: Mapping[str, Any], resolved: Callable[[str], str]) -> dict[str, Any]:
    """Fields of an Order.

    The model is what `model_path` names; else what is mounted where the platform has models.
    """
    mounted = mounts(document.get("storage"), resolved)
    model = next((one for one in mounted if one.path in MODEL_MOUNTS), None)
    if document.get("model_path"):
        name = str(document["model_path"])
        if name.startswith(("http://", "https://")):
            raise RefusedError(["model_path: archives are not fetched; unpack it, and name the directory"])
        path = resolved(name)
    elif model is not None:
        path = model.path
    else:
        known = " or ".join(MODEL_MOUNTS)
        raise RefusedError([f"there is no model: give model_path, or storage that is mounted at {known}"])
    listening = ("--config", "{root}/service.json", "--host", "{host}", "--port", "{port}")
    return {
        "command": ("{python}", "-m", "recserve", "serve", path, *listening),
        "environment": variables(document.get("processor_envs"), "processor_envs"),
        "mounts": tuple(mounted),
        "readiness": Probe(path="/readyz"),
    }


def service_file(
    document: Mapping[str, Any], resolved: Callable[[str], str], folder: Path | None
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What the instance's own service file says, but for the token; and what it has to remark."""
    metadata = document["metadata"]
    rpc = forms.nested(forms.section(metadata, "rpc", "metadata."), "metadata.rpc")
    for key in _TLS:
        if rpc.get(key):
            raise RefusedError(
                [f"metadata.rpc.{key}: instances are asked by plain HTTP; give TLS to the gateway"]
            )
    own = keys_at("") - HOLDERS[""] - {"token"}
    result = {key: value for key, value in document.items() if key in own}
    result["metadata"] = {"rpc": rpc, "group": metadata.get("group") or None}
    if document.get("processor_envs"):
        result["processor_envs"] = document["processor_envs"]
    result["model_config"] = _model_config(document, folder)
    if document.get("warm_up_data_path"):
        paths = document["warm_up_data_path"]
        listed = paths if isinstance(paths, list) else [paths]
        result["warm_up_data_path"] = [resolved(str(path)) for path in listed]
    if _ELSEWHERE.search(json.dumps(result)):
        return result, ()
    return result, service.load(result, {}).warnings


def _model_config(document: Mapping[str, Any], folder: Path | None) -> dict[str, Any]:
    """With the registry that has the project, as the instance has a folder of its own."""
    found = dict(forms.model_config(document))
    if not found.get("fs_project") or "remote_type" in found or folder is None:
        return found
    registry = found.setdefault("fs_registry", str(folder / REGISTRY))
    if not isinstance(registry, str) or not os.path.isabs(registry):
        raise RefusedError(
            [f"model_config.fs_registry is {registry!r}; the whole path of the file is expected"]
        )
    return found


def absent(fields: Mapping[str, Any], file: Mapping[str, Any]) -> list[str]:
    """What should be on this machine and is not; for those that begin a version."""
    mounted = fields["mounts"]
    path = str(fields["command"][4])
    source = next((one.source for one in mounted if one.path == path), path)
    problems = [] if os.path.isdir(source) else [f"the model's directory does not exist: {source}"]
    registry = file["model_config"].get("fs_registry")
    below = any(str(registry).startswith(f"{one.path}/") for one in mounted)
    if registry and not below and not os.path.isfile(registry):
        project = file["model_config"].get("fs_project")
        problems.append(
            f"model_config.fs_project {project!r}: there is no registry of feature stores at {registry};"
            " write one there, or name another with model_config.fs_registry"
        )
    return problems
