"""A service document as users of the hosted product write it, read for what deploying needs of it.

    document ──read──▶ Deployment(resources, strategy, …) ──order──▶ Order for one instance

Which key does what here is in `keys.py`; what the serving process reads is in `scorers.py`, what an app of
one's own is in `containers.py`. Source: the platform's page "Deploy a service using JSON".
"""

from __future__ import annotations

import base64
import json
import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from recserve.config import forms
from recserve.deploy import autoscaler, containers, cron, keys, processors, scorers
from recserve.deploy import resources as sizes
from recserve.deploy.aliases import plain
from recserve.deploy.backends.backend import Order, Probe, Resources
from recserve.deploy.containers import crash_block, start_seconds
from recserve.deploy.errors import RefusedError
from recserve.deploy.gateway.policy import policy
from recserve.deploy.plan import Strategy
from recserve.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from recserve.deploy.backends.backend import Node

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,127}")
#: What a client can send as a header.
_TOKEN = re.compile(r"[!-~]{1,1024}")
_SPREADS = {"host": "host", "zone": "host", "default": "default", "": "default"}


@dataclass(frozen=True, slots=True)
class Deployment:
    """One version of a service, as far as deploying is concerned."""

    name: str
    document: Mapping[str, Any] = field(repr=False)  # in one form: nested, name at the top
    what_runs: Mapping[str, Any] = field(repr=False)  # those fields of an Order that say what, not where
    service_file: Mapping[str, Any] = field(default_factory=dict, repr=False)  # of a scorer, without token
    tokens: tuple[str, ...] | None = field(default=None, repr=False)  # None: one is made; (): everybody
    instances: int = 1
    group: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    resources: Resources = field(default_factory=Resources)
    pool: str = ""
    burstable: bool = False  # whether machines outside of its pool will do
    strict: bool = False  # whether what no machine has is refused
    spread: str = "default"
    grace_s: float = 30.0
    strategy: Strategy = field(default_factory=Strategy)
    remarks: tuple[str, ...] = ()  # what a person should know of keys that do nothing here

    @property
    def token(self) -> str | None:
        """The one that clients are given; "": they need none; None: one is to be made."""
        return None if self.tokens is None else next(iter(self.tokens), "")

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

    def absent(self) -> list[str]:
        """What should be on this machine and is not: looked at when a version begins, not while it runs."""
        return [] if self.container else scorers.absent(self.what_runs, self.service_file)

    def fitted(self, nodes: Sequence[Node]) -> tuple[Resources, str, list[str]]:
        """What may be asked of these machines, of which pool, and what they lack."""
        return sizes.fitted(self.resources, "" if self.burstable else self.pool, nodes)


def read(
    document: Mapping[str, Any], resolved: Callable[[str], str] = plain, folder: Path | None = None
) -> Deployment:
    """Check a document; RefusedError with everything that is wrong with it.

    `resolved` gives the directory of a path or of an object store's URI; `folder` is that of the control
    plane's state, with tables of its own.
    """
    try:
        return _read(document, resolved, folder)
    except ConfigError as error:  # what `recserve serve` would say of it too
        raise RefusedError([str(error)]) from error


def _read(document: Mapping[str, Any], resolved: Callable[[str], str], folder: Path | None) -> Deployment:
    top = _one_form(document)
    metadata = top["metadata"]
    problems, remarks = keys.review(top)
    unserved = processors.easyrec_problems(top)
    problems += unserved or _problems(top)
    tokens = _gathered(problems, _tokens, top)
    found = _gathered(problems, sizes.asked, top, folder)
    _gathered(problems, policy, top)  # followed by the gateway, and refused here, where somebody reads it
    kind: Any = None
    if not unserved:
        kind = _gathered(problems, _container if "containers" in top else _scorer, top, resolved, folder)
    strategy = _gathered(problems, _strategy, top, kind[0] if kind else {})
    if problems or kind is None or found is None or strategy is None:
        raise RefusedError(list(dict.fromkeys(problems)))
    what_runs, service_file, said = kind
    runtime, eas = forms.section(top, "runtime"), forms.section(metadata, "eas", "metadata.")
    spread = forms.section(forms.section(metadata, "scheduling"), "spread").get("policy")
    return Deployment(
        name=top["name"],
        document=top,
        what_runs=what_runs,
        service_file=service_file,
        tokens=tokens,
        instances=metadata.get("instance", 1),
        group=metadata.get("group") or "",
        labels=dict(forms.section(top, "labels")),
        resources=found,
        pool=str(metadata.get("resource") or ""),
        burstable=bool(metadata.get("resource_burstable")),
        strict=bool(metadata.get("strict_resources")),
        spread=_SPREADS[spread or ""],
        grace_s=float(eas.get("termination_grace_period", runtime.get("termination_grace_period", 30))),
        strategy=strategy,
        remarks=(*remarks, *said, *_unmeasured(top)),
    )


def _one_form(document: Mapping[str, Any]) -> dict[str, Any]:
    """Nested, the name at the top, and sources of storage in small letters, as one page has `OSS`."""
    top = forms.nested(document, "")
    metadata = forms.nested(forms.section(top, "metadata"), "metadata")
    top = {**top, "name": top.get("name") or metadata.get("name"), "metadata": metadata}
    if isinstance(top.get("storage"), list):
        top["storage"] = [
            {key.lower() if key == key.upper() else key: value for key, value in one.items()}
            if isinstance(one, dict)
            else one
            for one in top["storage"]
        ]
    return top


def _problems(top: Mapping[str, Any]) -> list[str]:
    """What is wrong with single values."""
    metadata, name = top["metadata"], top["name"]
    group, labels = metadata.get("group"), top.get("labels")
    instances, kind = metadata.get("instance", 1), metadata.get("type") or "Standard"
    runtime, eas = forms.section(top, "runtime"), forms.section(metadata, "eas", "metadata.")
    scheduling = forms.section(metadata, "scheduling", "metadata.")
    spread = forms.section(scheduling, "spread", "metadata.scheduling.").get("policy") or ""
    grace = eas.get("termination_grace_period", runtime.get("termination_grace_period", 30))
    size = forms.section(top, "unit").get("size", 1)
    what = "lower-case letters, digits, '_' and '-' are expected, a letter or digit first"
    wrong = (
        (not isinstance(name, str) or not NAME.fullmatch(name), f"name is {name!r}; {what}"),
        (
            bool(group) and not (isinstance(group, str) and NAME.fullmatch(group)),
            f"metadata.group is {group!r}; {what}",
        ),
        (
            not _whole(instances, 0, 10_000),
            f"metadata.instance is {instances!r}; a whole number from 0 to 10,000 is expected",
        ),
        (
            kind != "Standard",
            f"metadata.type is {kind!r}; services here are Standard: they answer the requests that they get",
        ),
        (
            bool(top.get("dockerAuth")) and not _is_login(top["dockerAuth"]),
            "dockerAuth: base64 of user:password is expected",
        ),
        (size != 1, f"unit.size is {size!r}; an instance is one process on one machine here"),
        (
            not _whole(grace, 0, 86_400),
            f"termination_grace_period is {grace!r}; seconds from 0 to 86,400 are expected",
        ),
        (
            not isinstance(spread, str) or spread not in _SPREADS,
            f"metadata.scheduling.spread.policy is {spread!r}; host, zone and default are possible",
        ),
        (
            labels is not None
            and not (isinstance(labels, dict) and all(isinstance(one, str) for one in labels.values())),
            'labels: an object of texts is expected, such as {"team": "search"}',
        ),
        (
            not any(top.get(key) for key in ("processor", "containers", "model_path")),
            "neither processor nor containers: there is nothing to run; name one of them",
        ),
    )
    problems = [message for is_wrong, message in wrong if is_wrong]
    for key, check in (("autoscaler", autoscaler.rule), ("cronscaler", cron.timetable)):
        if top.get(key):
            _gathered(problems, check, forms.section(top, key))
    return problems


def _is_login(value: Any) -> bool:
    try:
        return isinstance(value, str) and b":" in base64.b64decode(value, validate=True)
    except ValueError:
        return False


def _unmeasured(top: Mapping[str, Any]) -> list[str]:
    rule = top.get("autoscaler")
    if not rule or "gpu" not in autoscaler.rule(rule).thresholds:
        return []
    return ["autoscaler: gpu is not measured yet; the other metrics decide"]


def _whole(value: Any, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _gathered(problems: list[str], part: Callable[..., Any], *arguments: Any) -> Any:
    """What a part reads, or its problems with the others'."""
    try:
        return part(*arguments)
    except RefusedError as error:
        problems += error.problems
    except ConfigError as error:
        problems.append(str(error))
    return None


def order(
    deployment: Deployment,
    version: int,
    instance: str,
    token: str,
    *,
    group_token: str = "",
    nodes: Sequence[Node] = (),
) -> Order:
    """What a backend has to do for one instance. A scorer checks tokens itself: its own and its group's.

    Of what the machines (`nodes`) lack, it asks for what there is.
    """
    fields = dict(deployment.what_runs)
    if not deployment.container:
        own = (token,) if deployment.tokens is None else deployment.tokens
        # Where everybody may ask, they may by the group's name too.
        tokens = list(dict.fromkeys(filter(None, (*own, group_token)))) if any(own) else [None]
        wanted = tokens if len(tokens) > 1 else tokens[0]
        fields["files"] = {"service.json": json.dumps({**deployment.service_file, "token": wanted})}
    found, pool = deployment.resources, deployment.pool
    if not deployment.strict:
        found, pool, _ = deployment.fitted(nodes)
    return Order(
        instance=instance,
        service=deployment.name,
        version=version,
        resources=found,
        pool=pool,
        spread=deployment.spread,
        start_seconds=deployment.strategy.start_seconds,
        grace_s=deployment.grace_s,
        restart=not deployment.strategy.crash_block,
        document=deployment.document,
        **fields,
    )


def _scorer(
    top: Mapping[str, Any], resolved: Callable[[str], str], folder: Path | None
) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    _, remark = processors.profile(top.get("processor", "easyrec-torch"))
    file, warnings = scorers.service_file(top, resolved, folder)
    fields = scorers.order_fields(top, resolved)
    return fields, file, [*([remark] if remark else []), *warnings]


def _container(
    top: Mapping[str, Any], resolved: Callable[[str], str], _folder: Path | None
) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    rpc = forms.section(top["metadata"], "rpc", "metadata.")
    idle = [f"metadata.rpc.{key}" for key in rpc if key not in ("proxy_path", "keepalive", "rate_limit")]
    said = [f"{', '.join(idle)}: no effect here: an app of one's own has limits of its own"] if idle else []
    return containers.order_fields(top, resolved), {}, said


def _tokens(top: Mapping[str, Any]) -> tuple[str, ...] | None:
    """None: one is made."""
    found = top.get("token")
    found = top["metadata"].get("token") if found is None else found
    if str(top.get("generate_token", "true")).lower() == "false" and not found:
        return ()
    if found is None:
        return None
    tokens = [found] if isinstance(found, str) else found
    if not isinstance(tokens, list) or not all(isinstance(one, str) for one in tokens):
        raise RefusedError(["token is no text and no list of texts"])
    if any("${" in one or one.startswith("file:") for one in tokens):
        raise RefusedError(
            ["token: the control plane reads no variables and no files; give the token, or none: one is made"]
        )
    if not all(_TOKEN.fullmatch(one) for one in tokens if one):
        raise RefusedError(["token: letters, digits and signs without blanks are expected, 1,024 at most"])
    return tuple(one for one in tokens if one)


def _strategy(top: Mapping[str, Any], what_runs: Mapping[str, Any]) -> Strategy:
    metadata = top["metadata"]
    rolling = forms.section(metadata, "rolling_strategy", "metadata.")
    instances = metadata.get("instance", 1)
    count = instances if isinstance(instances, int) else 1
    return Strategy(
        max_surge=max(1, _share("max_surge", rolling.get("max_surge", "2%"), count)),
        max_unavailable=_share("max_unavailable", rolling.get("max_unavailable", 0), count),
        start_seconds=start_seconds(what_runs.get("startup")),
        crash_block=crash_block(top),
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


def _share(key: str, value: Any, instances: int) -> int:
    """`"25%"` of the instances, rounded up, or a number of them."""
    if isinstance(value, str) and re.fullmatch(r"\d{1,3}(\.\d+)?%", value):
        return math.ceil(float(value[:-1]) / 100 * instances)
    if _whole(value, 0, 10_000):
        return int(value)
    raise RefusedError(
        [f'metadata.rolling_strategy.{key} is {value!r}; a number or a share such as "25%" is expected']
    )
