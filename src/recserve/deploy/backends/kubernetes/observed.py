"""What a pod's status says of its instance, in the words of every backend.

| pod                                                        | state, reason                     |
|------------------------------------------------------------|-----------------------------------|
| is being deleted                                           | STOPPING                          |
| its node does not answer                                   | LOST, NodeLost                    |
| Succeeded, Failed (Evicted, …)                             | EXITED, Completed, Error, …       |
| its requirements cannot be installed                       | EXITED, RequirementsFailed        |
| its command, its image's name or its configuration is none | EXITED, CannotStart               |
| container runs                                             | RUNNING                           |
| container ended, CrashLoopBackOff                          | BACKING_OFF                       |
| no place, image on its way or not to be had                | PREPARING, NoRoom, ImagePullBackOff |
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from recserve.deploy.backends.backend import Node, Observed, State
from recserve.deploy.backends.kubernetes.pods import CONTAINER, REQUIREMENTS

if TYPE_CHECKING:
    from collections.abc import Collection

    from recserve.deploy.backends.kubernetes.manifest import Manifest

#: Reasons that no waiting mends: another version of the service is needed.
_CANNOT_START = frozenset(
    {"StartError", "ContainerCannotRun", "RunContainerError", "InvalidImageName", "CreateContainerError"}
)
_SIGNALS = range(129, 160)  # a shell's, and the kubelet's, way to say which
_UNITS = {"": 1.0, "m": 0.001, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
_UNITS |= {"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40}


def observed(pod: Manifest, lost: Collection[str]) -> Observed:
    """`lost`: nodes that do not answer."""
    spec, status = pod.get("spec", {}), pod.get("status", {})
    container = _status(status.get("containerStatuses"), CONTAINER)
    now, last = container.get("state", {}), container.get("lastState", {}).get("terminated", {})
    ended = now.get("terminated", last)
    state, reason, message = _state(pod, now, ended, lost)
    running = now.get("running", {})
    port = next(
        (one["ports"][0]["containerPort"] for one in spec["containers"] if one["name"] == CONTAINER), 0
    )
    host = status.get("podIP", "")
    return Observed(
        state,
        host=host,
        port=port if host else 0,
        node=spec.get("nodeName", ""),
        pid=1 if running else 0,  # in its own container, it is always that
        restarts=int(container.get("restartCount", 0)),
        started_at=_seconds(running.get("startedAt")),
        exit_code=_exit_code(ended),
        finished_at=_seconds(ended.get("finishedAt")),
        reason=reason,
        message=message,
    )


def node(manifest: Manifest, gpu: str, pool: str) -> Node:
    """A machine, as the contract tells of it."""
    meta, status = manifest["metadata"], manifest.get("status", {})
    labels = meta.get("labels") or {}
    room = status.get("allocatable", {})
    addresses = {one["type"]: one["address"] for one in status.get("addresses", ())}
    return Node(
        name=meta["name"],
        host=addresses.get("InternalIP", ""),
        alive=_condition(manifest, "Ready").get("status") == "True",
        cpu=_quantity(room.get("cpu", "0")),
        memory_mb=int(_quantity(room.get("memory", "0")) / 2**20),
        gpu=int(_quantity(room.get(gpu, "0"))),
        pools=(labels[pool],) if pool in labels else (),
        labels=dict(labels),
    )


def _state(
    pod: Manifest, now: dict[str, Any], ended: dict[str, Any], lost: Collection[str]
) -> tuple[State, str, str]:
    """State, reason, message; what is said first counts."""
    status = pod.get("status", {})
    reason, message = _why(ended), str(ended.get("message", "")).strip()
    on = pod.get("spec", {}).get("nodeName")
    if pod["metadata"].get("deletionTimestamp"):
        found = State.STOPPING, reason, message
    elif on in lost:
        found = State.LOST, "NodeLost", f"node {on} does not answer"
    elif status.get("phase") in ("Succeeded", "Failed"):
        found = State.EXITED, status.get("reason") or reason, status.get("message") or message
    elif failed := _failed_before(status) or _never_began(now, ended):
        found = State.EXITED, *failed
    elif "running" in now:
        found = State.RUNNING, reason, message
    elif "terminated" in now or now.get("waiting", {}).get("reason") == "CrashLoopBackOff":
        found = State.BACKING_OFF, reason, message
    else:
        found = State.PREPARING, *_waits_for(pod, now.get("waiting", {}))
    return found


def _failed_before(status: dict[str, Any]) -> tuple[str, str] | None:
    """Reason and message, if its requirements cannot be installed."""
    installing = _status(status.get("initContainerStatuses"), REQUIREMENTS)
    for state in (installing.get("state", {}), installing.get("lastState", {})):
        ended = state.get("terminated", {})
        if ended.get("exitCode"):
            return "RequirementsFailed", str(ended.get("message", "")).strip()
    return None


def _never_began(now: dict[str, Any], ended: dict[str, Any]) -> tuple[str, str] | None:
    for why in (ended, now.get("waiting", {})):
        if why.get("reason") in _CANNOT_START:
            return "CannotStart", str(why.get("message", ""))
    return None


def _waits_for(pod: Manifest, waiting: dict[str, Any]) -> tuple[str, str]:
    placed = _condition(pod, "PodScheduled")
    if placed.get("status") == "False":
        return "NoRoom", str(placed.get("message", ""))
    beginning = waiting.get("reason") in (None, "ContainerCreating", "PodInitializing")
    return "" if beginning else waiting["reason"], str(waiting.get("message", ""))


def _why(ended: dict[str, Any]) -> str:
    reason = str(ended.get("reason", ""))
    killed = ended.get("exitCode") in _SIGNALS or ended.get("signal")
    return "Killed" if reason == "Error" and killed else reason


def _exit_code(ended: dict[str, Any]) -> int | None:
    code: int | None = ended.get("exitCode")
    if ended.get("signal"):
        return -int(ended["signal"])
    return 128 - code if code is not None and code in _SIGNALS else code


def _status(statuses: list[dict[str, Any]] | None, name: str) -> dict[str, Any]:
    return next((one for one in statuses or () if one.get("name") == name), {})


def _condition(manifest: Manifest, name: str) -> dict[str, Any]:
    conditions = manifest.get("status", {}).get("conditions") or ()
    return next((one for one in conditions if one.get("type") == name), {})


def _seconds(text: str | None) -> float:
    return datetime.fromisoformat(text).timestamp() if text else 0.0


def _quantity(text: str) -> float:
    """`3920m`, `16393244Ki`."""
    number = str(text).rstrip("kmKMGTi")
    return float(number) * _UNITS.get(str(text)[len(number) :], 1.0)
