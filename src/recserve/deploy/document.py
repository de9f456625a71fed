"""A service document as users of the hosted product write it, read for what deploying needs of it.

    document ──read──▶ Deployment(resources, strategy, …) ──order──▶ Order for one instance

What the serving process reads of it (`metadata.rpc`, `model_config`, …) goes to that process as it stands.
Source: the platform's page "Deploy a service using JSON"; which key does what here is in `keys.py`.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from recserve.config import forms
from recserve.deploy.aliases import is_there, plain
from recserve.deploy.backends.backend import Order, Probe, Resources
from recserve.deploy.containers import crash_block, mounts, order_fields, start_seconds, variables
from recserve.deploy.errors import RefusedError
from recserve.deploy.gateway.policy import policy
from recserve.deploy.plan import Strategy
from recserve.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: Where the platform has a service's model.
MODEL_MOUNTS = ("/home/admin/docker_ml/workspace/model", "/eas/workspace/model")

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,127}")


@dataclass(frozen=True, slots=True)
class Deployment:
    """One version of a service, as far as deploying is concerned."""

    name: str
    document: Mapping[str, Any] = field(repr=False)  # in one form: nested, name at the top
    what_runs: Mapping[str, Any] = field(repr=False)  # those fields of an Order that say what, not where
    token: str | None = field(default=None, repr=False)  # None: one is made; "": everybody may ask
    instances: int = 1
    group: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    resources: Resources = field(default_factory=Resources)
    pool: str = ""
    spread: str = "default"
    grace_s: float = 30.0
    strategy: Strategy = field(default_factory=Strategy)
    remarks: tuple[str, ...] = ()  # what a person should know of keys that do nothing here

    @property
    def readiness(self) -> Probe:
        """How its instances are asked whether they are ready."""
        probe: Probe = self.what_runs["readiness"]
        return probe

    @property
    def startup(self) -> Probe | None:
        """What they are asked before that, until the first success."""
        probe: Probe | None = self.what_runs.get("startup")
        return probe

    @property
    def container(self) -> bool:
        """Whether it is an app of the user's own."""
        return "containers" in self.document


def read(document: Mapping[str, Any], resolved: Callable[[str], str] = plain) -> Deployment:
    """Check a document; RefusedError with everything that is wrong with it.

    `resolved` gives the directory of a path or of an object store's URI.
    """
    try:
        return _read(document, resolved)
    except ConfigError as error:  # what `recserve serve` would say of it too
        raise RefusedError([str(error)]) from error


def _read(document: Mapping[str, Any], resolved: Callable[[str], str]) -> Deployment:
    problems: list[str] = []
    top = forms.nested(document, "")
    metadata = forms.nested(forms.section(top, "metadata"), "metadata")
    name = top.get("name") or metadata.get("name")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        problems.append(
            f"name is {name!r}; lower-case letters, digits, '_' and '-' are expected, a letter or digit first"
        )
    instances = metadata.get("instance", 1)
    if not isinstance(instances, int) or isinstance(instances, bool) or not 0 <= instances <= 10_000:
        problems.append(f"metadata.instance is {instances!r}; a whole number from 0 to 10,000 is expected")
    if "processor" not in top and "containers" not in top and "model_path" not in top:
        problems.append("neither processor nor containers: there is nothing to run; name one of them")
    if problems:
        raise RefusedError(problems)
    top = {**top, "name": name, "metadata": metadata}
    policy(top)  # followed by the gateway, and refused here, where somebody reads it
    rolling = forms.section(metadata, "rolling_strategy", "metadata.")
    what_runs = order_fields(top, resolved) if "containers" in top else _scorer(top, resolved)
    return Deployment(
        name=str(name),
        document=top,
        what_runs=what_runs,
        token=top.get("token", metadata.get("token")),
        instances=instances,
        group=str(metadata.get("group") or ""),
        labels=dict(forms.section(top, "labels")),
        resources=Resources(
            cpu=float(metadata.get("cpu", 0)),
            memory_mb=int(metadata.get("memory", 0)),
            gpu=int(metadata.get("gpu", 0)),
        ),
        pool=str(metadata.get("resource") or ""),
        strategy=Strategy(
            max_surge=max(1, _share(rolling.get("max_surge", "2%"), instances)),
            max_unavailable=_share(rolling.get("max_unavailable", 0), instances),
            start_seconds=start_seconds(what_runs.get("startup")),
            crash_block=crash_block(top),
        ),
    )


def order(deployment: Deployment, version: int, instance: str, token: str) -> Order:
    """What a backend has to do for one instance. A scorer checks the token itself."""
    fields = dict(deployment.what_runs)
    if not deployment.container:
        fields["files"] = {"service.json": json.dumps({**deployment.document, "token": token or None})}
    return Order(
        instance=instance,
        service=deployment.name,
        version=version,
        resources=deployment.resources,
        pool=deployment.pool,
        spread=deployment.spread,
        start_seconds=deployment.strategy.start_seconds,
        grace_s=deployment.grace_s,
        restart=not deployment.strategy.crash_block,
        document=deployment.document,
        **fields,
    )


def _scorer(document: Mapping[str, Any], resolved: Callable[[str], str]) -> dict[str, Any]:
    """`recserve serve`, with the document as its service file.

    The model is what `model_path` names; else what is mounted where the platform has models.
    """
    mounted = mounts(document.get("storage"), resolved)
    model = next((one for one in mounted if one.path in MODEL_MOUNTS), None)
    if document.get("model_path"):
        path = resolved(str(document["model_path"]))
    elif model is not None:
        path = model.path
    else:
        known = " or ".join(MODEL_MOUNTS)
        raise RefusedError([f"there is no model: give model_path, or storage that is mounted at {known}"])
    source = path if model is None else model.source
    if not is_there(source, resolved):
        raise RefusedError([f"the model's directory does not exist: {source}"])
    listening = ("--config", "{root}/service.json", "--host", "{host}", "--port", "{port}")
    return {
        "command": ("{python}", "-m", "recserve", "serve", path, *listening),
        "environment": variables(document.get("processor_envs"), "processor_envs"),
        "mounts": tuple(mounted),
        "readiness": Probe(path="/readyz"),
    }


def merged(old: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """The old document with a change laid over it, object by object; null takes a key away."""
    result = dict(old)
    for key, value in change.items():
        below = result.get(key)
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(below, dict):
            result[key] = merged(below, value)
        else:
            result[key] = value
    return result


def _share(value: Any, instances: int) -> int:
    """`"25%"` of the instances, rounded up, or a number of them."""
    if isinstance(value, str) and re.fullmatch(r"\d+(\.\d+)?%", value):
        return math.ceil(float(value[:-1]) / 100 * instances)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise RefusedError(
        [f'metadata.rolling_strategy: {value!r}; a number or a share such as "25%" is expected']
    )
