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
from recserve.deploy.backends.backend import Order, Probe, Resources
from recserve.deploy.errors import RefusedError
from recserve.deploy.plan import Strategy

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,127}")

#: Where containers find what they are given; paths of the hosted product.
MODEL_PATH, CODE_PATH = "/eas/workspace/model/", "/ml/usercode/"


@dataclass(frozen=True, slots=True)
class Deployment:
    """One version of a service, as far as deploying is concerned."""

    name: str
    document: Mapping[str, Any] = field(repr=False)  # in one form: nested, name at the top
    token: str | None = field(default=None, repr=False)  # None: one is made; "": everybody may ask
    instances: int = 1
    group: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    resources: Resources = field(default_factory=Resources)
    pool: str = ""
    spread: str = "default"
    grace_s: float = 30.0
    strategy: Strategy = field(default_factory=Strategy)
    readiness: Probe = field(default_factory=lambda: Probe(path="/readyz"))
    remarks: tuple[str, ...] = ()  # what a person should know of keys that do nothing here

    @property
    def container(self) -> bool:
        """Whether it is an app of the user's own."""
        return "containers" in self.document


def read(document: Mapping[str, Any]) -> Deployment:
    """Check a document; RefusedError with everything that is wrong with it."""
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
    rolling = forms.section(metadata, "rolling_strategy", "metadata.")
    return Deployment(
        name=str(name),
        document={**top, "name": name, "metadata": metadata},
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
        ),
    )


def order(deployment: Deployment, version: int, instance: str, token: str) -> Order:
    """What a backend has to do for one instance. The token is checked by the process itself."""
    if deployment.container:
        raise RefusedError(["containers are not deployed yet"])
    document = {**deployment.document, "token": token or None}
    model_path = str(document.get("model_path", ""))
    command = ("{python}", "-m", "recserve", "serve", model_path)
    listening = ("--config", "{root}/service.json", "--host", "{host}", "--port", "{port}")
    return Order(
        instance=instance,
        service=deployment.name,
        version=version,
        command=(*command, *listening),
        files={"service.json": json.dumps(document)},
        resources=deployment.resources,
        pool=deployment.pool,
        spread=deployment.spread,
        readiness=deployment.readiness,
        start_seconds=deployment.strategy.start_seconds,
        grace_s=deployment.grace_s,
        document=deployment.document,
    )


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
