"""Instances as pods: one for each order, made and ended by its name.

A Deployment would choose itself which of its pods to end (one that is not ready, whatever was ordered), and
put another in the place of one that died, under the same id; a node that is silent would hold its place for
five minutes. Which instance runs, drains and ends is the reconciler's, for all backends: a pod is ours alone.
What of Kubernetes helps, stays: the kubelet restarts a container in place; each pod is owned by an
object of the control plane, so that `kubectl drain` takes it for a managed one, and deleting that object ends
everything. The exact id of an instance is an annotation, by which the next control plane adopts it.

Objects of other control planes in the same namespace have another label and are never touched.
"""

from __future__ import annotations

import logging
import math
import re
import secrets
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from recserve.deploy.backends.backend import Node, Observed, State
from recserve.deploy.backends.kubernetes.following import Following
from recserve.deploy.backends.kubernetes.names import (
    INSTANCE,
    MANAGED_BY,
    PLANE,
    SERVICE,
    VERSION,
    kubernetes_name,
)
from recserve.deploy.backends.kubernetes.observed import node, observed
from recserve.deploy.backends.kubernetes.pods import CONTAINER, pod_spec, secret_of
from recserve.deploy.errors import BackendError, ConflictError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from recserve.deploy.backends.backend import Order
    from recserve.deploy.backends.kubernetes.cluster import Cluster
    from recserve.deploy.backends.kubernetes.manifest import Manifest
    from recserve.deploy.backends.kubernetes.settings import Settings

log = logging.getLogger("recserve.deploy")

_ID = re.compile(r"[a-z0-9][a-z0-9_-]*-\d+-[0-9a-f]{6}")
_CLOSE_SECONDS = 50.0


def connected(
    folder: Path, settings: Settings, context: str = ""
) -> Callable[[Callable[[], None]], KubernetesBackend]:
    """The backend of the control plane whose state is in `folder`, on the cluster of the kubeconfig."""
    from recserve.deploy.backends.kubernetes.cluster import Cluster  # which not everybody has a library for

    cluster = Cluster.found(settings.namespace, context)
    return partial(KubernetesBackend, cluster, settings, _plane(folder))


def _plane(folder: Path) -> str:
    """Made once, and kept beside the state: by it the next control plane finds what is its own."""
    path = folder / "plane"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = path.with_suffix(".new")
        new.write_text(secrets.token_hex(4))
        new.replace(path)
    return path.read_text().strip()


class KubernetesBackend:
    """`plane` tells the objects of this control plane from those of others: letters and digits."""

    def __init__(
        self,
        cluster: Cluster,
        settings: Settings,
        plane: str,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._cluster = cluster
        self._settings = settings
        self._on_change = on_change
        self._labels = {**MANAGED_BY, PLANE: plane}
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self._refused: dict[str, Observed] = {}
        self._owner = self._owned_by(f"recserve-{plane}")
        self._pods = Following(cluster, "Pod", self._labels, self._tell)
        self._nodes = self._followed_nodes()
        self._sweep()

    def nodes(self) -> list[Node]:
        """The cluster's; those of our pods alone, if it does not let us see nodes."""
        if self._nodes is not None:
            settings = self._settings
            return [node(one, settings.gpu, settings.pool) for one in self._nodes.known().values()]
        names = {pod["spec"].get("nodeName", "") for pod in self._pods.known().values()} - {""}
        return [Node(name, "") for name in sorted(names)]

    def start(self, order: Order) -> None:
        """See backend.py. What the cluster refuses is observed as EXITED."""
        with self._lock:
            if order.instance in self._refused or order.instance in self._by_id():
                return
        name = kubernetes_name(order.instance)
        has_secret = False
        try:
            secret, pod = self._secret(order, name), self._pod(order, name)
            # The Secret comes first, since a container does not begin without it.
            self._create("Secret", secret)
            has_secret = True
            pod = self._create("Pod", pod)
        except RefusedError as error:
            with self._lock:
                self._refused[order.instance] = Observed(State.EXITED, reason="Refused", message=str(error))
            self._tell()
            if has_secret:  # else the one of that name may be another's
                self._cluster.delete("Secret", name)
            return
        self._pods.add(pod)
        self._give_secret(pod)

    def stop(self, instance: str, grace_s: float) -> None:
        """See backend.py; on a node that does not answer, it is forgotten at once."""
        with self._lock:
            if self._refused.pop(instance, None) is not None:
                self._tell()
                return
            pod = self._by_id().get(instance)
        if pod is None or pod["metadata"].get("deletionTimestamp"):
            return
        name = pod["metadata"]["name"]
        lost = pod["spec"].get("nodeName") in self._lost()
        # 0 would take it off the API server's books while it may still run.
        ending = self._cluster.delete("Pod", name, grace_s=0 if lost else max(1, math.ceil(grace_s)))
        if ending is None or lost:
            self._pods.drop(name)
        elif ending.get("kind") == "Pod":
            self._pods.update(ending)

    def observe(self) -> Mapping[str, Observed]:
        """See backend.py; while the cluster does not answer, what was known last."""
        lost = self._lost()
        with self._lock:
            refused = dict(self._refused)
        return {**refused, **{name: observed(pod, lost) for name, pod in self._by_id().items()}}

    def logs(self, instance: str, lines: int) -> list[str]:
        """See backend.py; those of a pod that is gone are gone with it, unless the cluster collects them."""
        if not _ID.fullmatch(instance):
            return []
        name = kubernetes_name(instance)
        found = self._cluster.log(name, CONTAINER, lines)
        pod = self._by_id().get(instance)
        if pod is not None and len(found) < lines and observed(pod, ()).restarts:
            before = self._cluster.log(name, CONTAINER, lines - len(found), previous=True)
            found = [*before, *found]
        return found

    def close(self, *, keep: bool) -> None:
        """See backend.py."""
        if not keep:
            self._end_all()
        self._pods.close()
        if self._nodes is not None:
            self._nodes.close()
        self._cluster.close()

    def _end_all(self) -> None:
        with self._lock:
            self._refused.clear()
        try:
            for instance, pod in self._by_id().items():
                self.stop(instance, pod["spec"].get("terminationGracePeriodSeconds", 30))
            give_up_at = time.monotonic() + _CLOSE_SECONDS
            while self._pods.known() and time.monotonic() < give_up_at:
                self._changed.clear()
                if self._pods.known():
                    self._changed.wait(1.0)
            if not self._pods.known():
                self._cluster.delete("ConfigMap", self._owner["metadata"]["name"])
        except (BackendError, RefusedError) as error:
            log.warning("instances go on in the cluster: %s", error)

    def _tell(self) -> None:
        self._changed.set()
        self._on_change()

    def _by_id(self) -> dict[str, Manifest]:
        found = {}
        for pod in self._pods.known().values():
            instance = (pod["metadata"].get("annotations") or {}).get(INSTANCE)
            if instance:
                found[instance] = pod
        return found

    def _lost(self) -> frozenset[str]:
        return frozenset(one.name for one in self.nodes() if not one.alive)

    def _owned_by(self, name: str) -> Manifest:
        """The object that owns all pods of this control plane."""
        found = self._cluster.get("ConfigMap", name)
        if found is None:
            note = {"about": "the instances of a recserve control plane: deleting this ends them"}
            made = {**self._begin("v1", "ConfigMap", name), "data": note}
            found = self._cluster.create("ConfigMap", made)
        return found

    def _followed_nodes(self) -> Following | None:
        try:
            return Following(self._cluster, "Node", {}, self._tell)
        except RefusedError as error:
            log.warning("nodes cannot be seen, so a lost one is noticed late: %s", error)
            return None

    def _sweep(self) -> None:
        """End Secrets whose pod was never made, and give others to theirs: one before us was killed there."""
        pods = self._pods.known()
        for secret in self._cluster.listed("Secret", self._labels)[0]:
            name = secret["metadata"]["name"]
            if any(one.get("kind") == "Pod" for one in secret["metadata"].get("ownerReferences") or ()):
                continue
            if name in pods:
                self._give_secret(pods[name])
            else:
                self._cluster.delete("Secret", name)

    def _give_secret(self, pod: Manifest) -> None:
        """It goes when the pod goes."""
        owner = _reference("Pod", pod, controller=False)
        self._cluster.merge("Secret", pod["metadata"]["name"], {"metadata": {"ownerReferences": [owner]}})

    def _create(self, kind: str, manifest: Manifest) -> Manifest:
        """A new object, or the one that we made before and were killed."""
        name = manifest["metadata"]["name"]
        try:
            return self._cluster.create(kind, manifest)
        except ConflictError:
            found = self._cluster.get(kind, name)
        labels = (found or {}).get("metadata", {}).get("labels") or {}
        if found is not None and labels.get(PLANE) != self._labels[PLANE]:
            raise RefusedError([f"there is a {kind} {name} in the namespace that is not ours"])
        if found is None or found["metadata"].get("deletionTimestamp"):
            raise BackendError(f"{kind} {name} of before is still ending")
        return found

    def _secret(self, order: Order, name: str) -> Manifest:
        return {**self._begin("v1", "Secret", name, order), **secret_of(order)}

    def _pod(self, order: Order, name: str) -> Manifest:
        made = self._begin("v1", "Pod", name, order)
        labels = made["metadata"]["labels"]
        return {**made, "spec": pod_spec(order, self._settings, name, labels=labels)}

    def _begin(self, version: str, kind: str, name: str, order: Order | None = None) -> Manifest:
        meta: dict[str, Any] = {
            "name": name,
            "namespace": self._cluster.namespace,
            "labels": dict(self._labels),
        }
        if order is not None:
            meta["labels"] |= {SERVICE: kubernetes_name(order.service), VERSION: str(order.version)}
            meta["annotations"] = {INSTANCE: order.instance, SERVICE: order.service}
            meta["ownerReferences"] = [_reference("ConfigMap", self._owner, controller=kind == "Pod")]
        return {"apiVersion": version, "kind": kind, "metadata": meta}


def _reference(kind: str, owner: Manifest, *, controller: bool) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": kind,
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": controller,
    }
