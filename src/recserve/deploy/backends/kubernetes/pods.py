"""What one instance is in Kubernetes: the spec of a pod, and the Secret with what is its own.

    Order ──pod_spec──▶ {containers, volumes, …}        Order ──secret_of──▶ its files and variables

The order's files and variables may hold tokens, so they are in the Secret alone. Restarting a container is
the kubelet's, in place and with its back-off.
"""

from __future__ import annotations

import json
import math
import shlex
from typing import TYPE_CHECKING, Any

from recserve.deploy.backends.kubernetes.names import SERVICE, VERSION
from recserve.deploy.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recserve.deploy.backends.backend import Mount, Order, Probe
    from recserve.deploy.backends.kubernetes.settings import Settings

#: Where a pod finds what it is given.
ROOT, ENVIRONMENT = "/recserve/order", "/recserve/environment"
CONTAINER, REQUIREMENTS = "service", "requirements"
#: The user of our image, which the Dockerfile makes.
USER = 10001

_REQUIREMENTS_FILE = "requirements.txt"
_SPREAD = {"zone": "topology.kubernetes.io/zone"}
_HOST = "kubernetes.io/hostname"


def port_of(order: Order, settings: Settings) -> int:
    """Where its app listens."""
    return order.port or settings.port


def secret_of(order: Order) -> dict[str, Any]:
    """What the Secret of an order has beside its name; also what its image is pulled with."""
    kind = "kubernetes.io/dockerconfigjson" if _registry_login(order) else "Opaque"
    return {"type": kind, "immutable": True, "stringData": secret_data(order)}


def secret_data(order: Order) -> dict[str, str]:
    """Text by key: a file's key is its place in the order, since names may have slashes."""
    data = {f"file-{place}": text for place, text in enumerate(order.files.values())}
    data |= {f"env-{place}": value for place, value in enumerate(order.environment.values())}
    if order.requirements:
        data[_REQUIREMENTS_FILE] = "\n".join(order.requirements) + "\n"
    if login := _registry_login(order):
        data[".dockerconfigjson"] = json.dumps({"auths": {_registry(order.image): {"auth": login}}})
    return data


def _registry_login(order: Order) -> str:
    """base64 of user:password; "" where nobody is asked for it."""
    return str(order.document.get("dockerAuth") or "") if order.image else ""


def _registry(image: str) -> str:
    """Where an image is pulled from. Source: Docker's reference of image names."""
    first, slash, _ = image.partition("/")
    named = slash and ("." in first or ":" in first or first == "localhost")
    return first if named else "https://index.docker.io/v1/"


def pod_spec(
    order: Order, settings: Settings, secret: str, *, labels: Mapping[str, str], drain_s: int = 0
) -> dict[str, Any]:
    """`labels` find the pods of its service. `drain_s`: so long a pod answers on after it was told to end,
    where nobody has taken it out of the balancers before.
    """
    volumes, mounts = _volumes(order, settings, secret)
    ours = not order.image
    spec: dict[str, Any] = {
        "restartPolicy": "Always" if order.restart else "Never",
        "terminationGracePeriodSeconds": math.ceil(order.grace_s) + drain_s,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}}
        | ({"runAsNonRoot": True, "runAsUser": USER, "fsGroup": USER} if ours else {}),
    }
    if _registry_login(order):
        spec["imagePullSecrets"] = [{"name": secret}]
    if order.pool:
        spec["nodeSelector"] = {settings.pool: order.pool}
    spec["topologySpreadConstraints"] = [
        {
            "maxSkew": 1,
            "topologyKey": _SPREAD.get(order.spread, _HOST),
            "whenUnsatisfiable": "ScheduleAnyway",
            # Of its own version: in a roll the others are about to end.
            "labelSelector": {"matchLabels": {key: labels[key] for key in (SERVICE, VERSION)}},
        }
    ]
    if order.requirements or order.requirements_path:
        spec["initContainers"] = [_installer(order, settings, mounts)]
    spec["containers"] = [_container(order, settings, secret, mounts, drain_s)]
    spec["volumes"] = volumes
    return spec


def _container(
    order: Order, settings: Settings, secret: str, mounts: list[dict[str, Any]], drain_s: int
) -> dict[str, Any]:
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": order.image or settings.image,
        "imagePullPolicy": "IfNotPresent",
        "command": _command(order, settings),
        "env": _environment(order, settings, secret),
        "ports": [{"name": "http", "containerPort": port_of(order, settings)}],
        "resources": _resources(order, settings),
        "startupProbe": _startup(order, settings),
        "readinessProbe": _probe(order.readiness, port_of(order, settings)),
        "volumeMounts": mounts,
        "securityContext": _security(order),
        # What it wrote last is then in its status, and nobody has to ask for its log.
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    if _is_scorer(order):  # its own words for "restart me", beside "send me nothing"
        alive = {"path": "/healthz", "port": port_of(order, settings)}
        container["livenessProbe"] = {"httpGet": alive, "periodSeconds": 5, "failureThreshold": 6}
    if order.workdir:
        container["workingDir"] = order.workdir
    if drain_s:
        container["lifecycle"] = {"preStop": {"exec": {"command": ["/bin/sh", "-c", f"sleep {drain_s}"]}}}
    return container


def _installer(order: Order, settings: Settings, mounts: list[dict[str, Any]]) -> dict[str, Any]:
    """Makes the environment of Python before the app begins."""
    file = f"{ROOT}/{_REQUIREMENTS_FILE}" if order.requirements else order.requirements_path
    made = f"python3 -m venv --system-site-packages {ENVIRONMENT}"
    installed = f"{ENVIRONMENT}/bin/python -m pip install --no-cache-dir -r {shlex.quote(file)}"
    return {
        "name": REQUIREMENTS,
        "image": order.image or settings.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/sh", "-ec", _literal(f"{made}\n{installed}")],
        "env": [{"name": "HOME", "value": ENVIRONMENT}],
        "volumeMounts": mounts,
        "securityContext": _security(order),
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def _security(order: Order) -> dict[str, Any]:
    """Our image needs nothing; somebody's own may begin as root and change its user."""
    if order.image:
        return {"allowPrivilegeEscalation": False}
    return {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def _command(order: Order, settings: Settings) -> list[str]:
    has_environment = bool(order.requirements or order.requirements_path)
    if order.script:
        found = f"export PATH={ENVIRONMENT}/bin:$PATH\n" if has_environment else ""
        return ["/bin/sh", "-c", _literal(found + order.script)]
    chosen = {
        "{port}": str(port_of(order, settings)),
        "{host}": "0.0.0.0",
        "{root}": ROOT,
        "{python}": f"{ENVIRONMENT}/bin/python" if has_environment else "python3",
    }
    command = []
    for part in order.command:
        filled = part
        for name, value in chosen.items():
            filled = filled.replace(name, value)
        command.append(_literal(filled))
    return command


def _literal(text: str) -> str:
    """Kubernetes makes `$` of `$$`, and a value of `$(NAME)`; a shell should see what was written."""
    return text.replace("$", "$$")


def _environment(order: Order, settings: Settings, secret: str) -> list[dict[str, Any]]:
    """What local processes find too: their port, their id, where their mounts are."""
    own = [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": f"env-{place}"}}}
        for place, name in enumerate(order.environment)
        if name not in ("LISTENING_PORT", "RECSERVE_INSTANCE")
    ]
    mounts = [{"name": f"EAS_MOUNT_{k}", "value": mount.path} for k, mount in enumerate(order.mounts)]
    return [
        {"name": "LISTENING_PORT", "value": str(port_of(order, settings))},
        {"name": "RECSERVE_INSTANCE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        *[
            one
            for one in ({"name": "PYTHONUNBUFFERED", "value": "1"}, *mounts)
            if one["name"] not in order.environment
        ],
        *own,
    ]


def _resources(order: Order, settings: Settings) -> dict[str, Any]:
    """Asked for and at most: native libraries start as many threads as they see cores."""
    asked: dict[str, str] = {}
    if order.resources.cpu:
        asked["cpu"] = f"{round(order.resources.cpu * 1000)}m"
    if order.resources.memory_mb:
        asked["memory"] = f"{order.resources.memory_mb}Mi"
    if order.resources.gpu:
        asked[settings.gpu] = str(order.resources.gpu)
    return {"requests": asked, "limits": dict(asked)} if asked else {}


def _startup(order: Order, settings: Settings) -> dict[str, Any]:
    """Until it has answered once, nothing else is asked; it may take `start_seconds`."""
    probe = _probe(order.startup or order.readiness, port_of(order, settings))
    if order.startup is None:
        period = probe["periodSeconds"]
        probe["failureThreshold"] = max(1, math.ceil(order.start_seconds / period))
    return {**probe, "successThreshold": 1}  # Kubernetes takes no other


def _probe(probe: Probe, port: int) -> dict[str, Any]:
    how = {"httpGet": {"path": probe.path, "port": port}} if probe.path else {"tcpSocket": {"port": port}}
    return {
        **how,
        "initialDelaySeconds": math.ceil(probe.initial_delay_s),
        "periodSeconds": max(1, math.ceil(probe.period_s)),
        "timeoutSeconds": max(1, math.ceil(probe.timeout_s)),
        "successThreshold": probe.success_threshold,
        "failureThreshold": probe.failure_threshold,
    }


def _volumes(
    order: Order, settings: Settings, secret: str
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Volumes of the pod, and where its containers have them."""
    volumes: list[dict[str, Any]] = []
    mounts: list[dict[str, Any]] = []
    files = [{"key": f"file-{place}", "path": name} for place, name in enumerate(order.files)]
    if order.requirements:
        files.append({"key": _REQUIREMENTS_FILE, "path": _REQUIREMENTS_FILE})
    if files:
        volumes.append(
            {"name": "order", "secret": {"secretName": secret, "defaultMode": 0o440, "items": files}}
        )
        mounts.append({"name": "order", "mountPath": ROOT, "readOnly": True})
    if order.requirements or order.requirements_path:
        volumes.append({"name": "environment", "emptyDir": {}})
        mounts.append({"name": "environment", "mountPath": ENVIRONMENT})
    for place, mount in enumerate(order.mounts):
        source, below = _source(mount, order, settings)
        volumes.append({"name": f"mount-{place}", **source})
        mounted = {"name": f"mount-{place}", "mountPath": mount.path, "readOnly": mount.read_only}
        mounts.append(mounted | ({"subPath": below} if below else {}))
    model = _model(order)
    if model:
        source, below = settings.volume(model)
        volumes.append({"name": "model", **source})
        mounted = {"name": "model", "mountPath": model, "readOnly": True}
        mounts.append(mounted | ({"subPath": below} if below else {}))
    if order.resources.shm_gb and all(mount.path != "/dev/shm" for mount in order.mounts):
        size = f"{order.resources.shm_gb}Gi"
        volumes.append({"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": size}})
        mounts.append({"name": "shm", "mountPath": "/dev/shm"})
    return volumes, mounts


def _source(mount: Mount, order: Order, settings: Settings) -> tuple[dict[str, Any], str]:
    if mount.repository is not None:  # an empty directory in its place would be found out late
        raise RefusedError(
            [
                f"storage at {mount.path}: git is not fetched by pods; put {mount.repository} into the image,"
                " or on a volume"
            ]
        )
    if not mount.source:
        memory = {"medium": "Memory", "sizeLimit": f"{mount.memory_gb}Gi"} if mount.memory_gb else {}
        return {"emptyDir": memory}, ""
    source, below = settings.volume(mount.source)
    nfs = next(
        (
            one["nfs"]
            for one in order.document.get("storage") or ()
            if str(one.get("mount_path", "")).rstrip("/") == mount.path and isinstance(one.get("nfs"), dict)
        ),
        None,
    )
    if "hostPath" in source and nfs is not None and nfs.get("server"):  # the cluster asks the server itself
        return {"nfs": {"server": str(nfs["server"]), "path": mount.source}}, ""
    return source, below


def _is_scorer(order: Order) -> bool:
    return order.command[1:4] == ("-m", "recserve", "serve")


def _model(order: Order) -> str:
    """The directory that `recserve serve` is given, if no mount has it."""
    if not _is_scorer(order):
        return ""
    path = order.command[4]
    mounted = any(path == mount.path or path.startswith(f"{mount.path}/") for mount in order.mounts)
    return "" if mounted or not path.startswith("/") else path
