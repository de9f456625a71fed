"""Service documents as manifests: for people who already have a cluster and want no control plane beside it.

    document ──▶ Secret · Deployment · Service · PodDisruptionBudget · HorizontalPodAutoscaler · HTTPRoute
    documents of one group ──▶ HTTPRoute of the group, by the members' weights

Rolling, replacing and scaling are Kubernetes's there. A Secret is named by what it holds and never changes,
so that a changed document is a roll-out, and `kubectl rollout undo` finds what the old one read. They
are generated, and checked against the schemas of Kubernetes; nobody has run them on a cluster for us.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from recserve.config import forms
from recserve.deploy import autoscaler
from recserve.deploy.aliases import plain
from recserve.deploy.backends.kubernetes.names import MANAGED_BY, SERVICE, VERSION, kubernetes_name
from recserve.deploy.backends.kubernetes.pods import pod_spec, secret_data, secret_of
from recserve.deploy.document import order, read
from recserve.deploy.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from recserve.deploy.backends.backend import Order
    from recserve.deploy.backends.kubernetes.manifest import Manifest
    from recserve.deploy.backends.kubernetes.settings import Settings
    from recserve.deploy.document import Deployment

#: What is said on each object.
GENERATED = {"recserve/generated": "from a service document; not run on a cluster by its makers"}
#: A pod that was told to end answers on for so long, until no balancer sends it anything.
DRAIN_S = 5
#: The largest weight of an HTTPRoute.
_MOST_WEIGHT = 1_000_000


@dataclass(frozen=True, slots=True)
class Rendered:
    """The manifests of one service, and what a person should know of them."""

    name: str  # of its objects
    deployment: Deployment
    manifests: tuple[Manifest, ...]
    remarks: tuple[str, ...]


def render(
    document: Mapping[str, Any],
    settings: Settings,
    *,
    version: int = 1,
    resolved: Callable[[str], str] = plain,
) -> Rendered:
    """The objects of one service; RefusedError with everything that is wrong with its document."""
    deployment = read(document, resolved)
    remarks = list(deployment.remarks)
    token = deployment.token
    if token is None:
        token = secrets.token_hex(20)
        remarks.append("a token was made; write it into the service file, or the next rendering has another")
    if token and deployment.container:
        remarks.append("an app of one's own does not check the token: let the Gateway do it")
    if deployment.strategy.crash_block:
        remarks.append("runtime.enable_crash_block has no effect: a Deployment restarts its pods")
    name = kubernetes_name(deployment.name)
    one = order(deployment, version, deployment.name, token)
    data = secret_data(one)
    mark = hashlib.sha256(json.dumps([data, list(one.files)]).encode()).hexdigest()[:10]
    secret = kubernetes_name(deployment.name, f"-{mark}")
    labels = {**MANAGED_BY, "app.kubernetes.io/name": name, SERVICE: name}
    meta = _Metadata(settings.namespace, {**labels, VERSION: str(version)})
    scaler = deployment.document.get("autoscaler") or {}
    manifests = [
        {**meta.of("v1", "Secret", secret), **secret_of(one)},
        _deployment(deployment, one, settings, meta, name=name, secret=secret, scaled=bool(scaler)),
        {
            **meta.of("v1", "Service", name),
            "spec": {
                "selector": {SERVICE: name},
                "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
            },
        },
        {
            **meta.of("policy/v1", "PodDisruptionBudget", name),
            "spec": {
                "maxUnavailable": max(1, deployment.strategy.max_unavailable),
                "selector": {"matchLabels": {SERVICE: name}},
            },
        },
    ]
    if scaler:
        manifests.append(_scaler(scaler, meta, name, remarks))
        if "cpu" in autoscaler.rule(scaler).thresholds and not deployment.resources.cpu:
            remarks.append("autoscaling by cpu is a share of what is asked for: set metadata.cpu")
    manifests.append(_route(deployment, settings, meta, name))
    return Rendered(name, deployment, tuple(manifests), tuple(remarks))


def group_routes(services: Sequence[Rendered], settings: Settings) -> list[Manifest]:
    """One HTTPRoute for each group: /api/predict/<group>, by the weights of the members."""
    groups: dict[str, list[Rendered]] = {}
    for service in services:
        if service.deployment.group:
            groups.setdefault(service.deployment.group, []).append(service)
    names = [service.deployment.name for service in services]
    problems = [f"{group} is the name of a group and of a service" for group in groups if group in names]
    problems += [
        f"there are {names.count(name)} files of service {name}" for name in {*names} if names.count(name) > 1
    ]
    if problems:
        raise RefusedError(problems)
    routes = []
    for group, members in groups.items():
        name = kubernetes_name(group, "-group")
        backends = [{**_backend(one.name), "weight": _weight(one.deployment)} for one in members]
        if any(one.deployment.container for one in members) and not all(
            one.deployment.container for one in members
        ):
            raise RefusedError([f"group {group} has scorers and apps, which are asked at other paths"])
        rule = _rule(f"/api/predict/{group}", backends, members[0].deployment)
        meta = _Metadata(settings.namespace, dict(MANAGED_BY))
        routes.append(
            {**meta.of(*_ROUTE, name), "spec": {"parentRefs": [{"name": settings.gateway}], "rules": [rule]}}
        )
    return routes


_ROUTE = ("gateway.networking.k8s.io/v1", "HTTPRoute")


@dataclass(frozen=True, slots=True)
class _Metadata:
    namespace: str
    labels: Mapping[str, str]

    def of(self, version: str, kind: str, name: str) -> Manifest:
        """How each object begins."""
        return {
            "apiVersion": version,
            "kind": kind,
            "metadata": {
                "name": name,
                "namespace": self.namespace,
                "labels": dict(self.labels),
                "annotations": dict(GENERATED),
            },
        }


def _deployment(
    deployment: Deployment,
    one: Order,
    settings: Settings,
    meta: _Metadata,
    *,
    name: str,
    secret: str,
    scaled: bool,
) -> Manifest:
    spec: dict[str, Any] = {
        "revisionHistoryLimit": 10,
        # Its own limit first says why a pod is not ready; then that of the roll-out.
        "progressDeadlineSeconds": int(one.start_seconds) + 60,
        "selector": {"matchLabels": {SERVICE: name}},
        "strategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {
                "maxSurge": deployment.strategy.max_surge,
                "maxUnavailable": deployment.strategy.max_unavailable,
            },
        },
        "template": {
            "metadata": {"labels": dict(meta.labels)},
            # A Deployment takes no pods that are not restarted.
            "spec": pod_spec(
                replace(one, restart=True), settings, secret, labels=meta.labels, drain_s=DRAIN_S
            ),
        },
    }
    if not scaled:  # else the autoscaler has the number, and applying would set it back
        spec = {"replicas": deployment.instances, **spec}
    return {**meta.of("apps/v1", "Deployment", name), "spec": spec}


def _scaler(values: Mapping[str, Any], meta: _Metadata, name: str, remarks: list[str]) -> Manifest:
    rule = autoscaler.rule(values)
    metrics: list[dict[str, Any]] = []
    for metric, threshold in rule.thresholds.items():
        if metric == "cpu":
            target = {"type": "Utilization", "averageUtilization": max(1, round(threshold))}
            metrics.append({"type": "Resource", "resource": {"name": "cpu", "target": target}})
            continue
        metrics.append(
            {
                "type": "Pods",
                "pods": {
                    "metric": {"name": f"recserve_{metric}"},
                    "target": {"type": "AverageValue", "averageValue": f"{round(threshold * 1000)}m"},
                },
            }
        )
        remarks.append(f"autoscaling by {metric} needs a metrics adapter that gives pods recserve_{metric}")
    return {
        **meta.of("autoscaling/v2", "HorizontalPodAutoscaler", name),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": rule.least,
            "maxReplicas": rule.most,
            "metrics": metrics,
            "behavior": {
                "scaleUp": {"stabilizationWindowSeconds": int(rule.up_window_s)},
                "scaleDown": {"stabilizationWindowSeconds": int(rule.down_window_s)},
            },
        },
    }


def _route(deployment: Deployment, settings: Settings, meta: _Metadata, name: str) -> Manifest:
    paths = [f"/api/predict/{deployment.name}"]
    if deployment.group:  # a member alone, for a look before it gets traffic
        paths.append(f"/api/predict/{deployment.group}.{deployment.name}")
    rules = [_rule(path, [_backend(name)], deployment) for path in paths]
    return {
        **meta.of(*_ROUTE, name),
        "spec": {"parentRefs": [{"name": settings.gateway}], "rules": rules},
    }


def _rule(path: str, backends: list[dict[str, Any]], deployment: Deployment) -> dict[str, Any]:
    """Scorers answer at their group's path too. Apps of one's own know nothing of it: it is taken away."""
    rule: dict[str, Any] = {
        "matches": [{"path": {"type": "PathPrefix", "value": path}}],
        "backendRefs": backends,
    }
    rpc = forms.section(forms.section(dict(deployment.document), "metadata"), "rpc")
    instead = rpc.get("proxy_path") or ("/" if deployment.container else "")
    if not instead:
        return rule
    rewrite = {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": str(instead)}}
    return {**rule, "filters": [{"type": "URLRewrite", "urlRewrite": rewrite}]}


def _backend(name: str) -> dict[str, Any]:
    return {"name": name, "port": 80}


def _weight(deployment: Deployment) -> int:
    """`metadata.weight`; else as many as it has instances."""
    weight = forms.section(dict(deployment.document), "metadata").get("weight", deployment.instances)
    if not isinstance(weight, int) or isinstance(weight, bool) or not 0 <= weight <= _MOST_WEIGHT:
        raise RefusedError(
            [f"metadata.weight is {weight!r}; a whole number from 0 to {_MOST_WEIGHT:,} is expected"]
        )
    return weight
