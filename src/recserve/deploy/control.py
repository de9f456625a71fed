"""What users can do to services: each is one transaction that changes what is wanted; the reconciler does it.

A document that changes anything but the number of instances, labels and weights makes a new, immutable
version, and a roll-out of it.
"""

from __future__ import annotations

import secrets
import time
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from recserve.deploy import autoscaler, cron
from recserve.deploy.aliases import plain
from recserve.deploy.changes import as_wanted, check_count, guided, rest
from recserve.deploy.document import merged, read
from recserve.deploy.errors import BackendError, ConflictError, RefusedError
from recserve.deploy.records import Rollout, RolloutState, Service, Version, Wanted
from recserve.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from recserve.deploy.backends.backend import Node
    from recserve.deploy.document import Deployment
    from recserve.deploy.store import Change, Store


class Control:
    """The verbs. `wake` is called after each, so that nobody waits for the reconciler's next pass."""

    def __init__(
        self,
        store: Store,
        wake: Callable[[], None],
        *,
        resolved: Callable[[str], str] = plain,
        nodes: Callable[[], Sequence[Node]] = list,
        elsewhere: bool = False,
    ) -> None:
        """`elsewhere`: directories are those of other machines; nobody here can say whether they exist."""
        self._store = store
        self._resolved = resolved
        self._nodes = nodes
        self._elsewhere = elsewhere
        self._wake = wake

    def create(self, document: Mapping[str, Any]) -> Service:
        """Begin a service; ConflictError if its name is taken."""
        deployment, now = self._read(document), time.time()
        self._check_machines(deployment)
        with self._store.change() as change:
            if change.service(deployment.name) is not None:
                raise ConflictError(
                    f"service {deployment.name} exists; modify it, or delete it first, or choose another name"
                )
            if any(one.group == deployment.name for one in self._store.services.values()):
                raise ConflictError(f"{deployment.name} is the name of a group; choose another name")
            token = secrets.token_hex(20) if deployment.token is None else deployment.token
            service = Service(
                name=deployment.name,
                uid=f"eas-{uuid.uuid4().hex[:12]}",
                token=token,
                version=1,
                instances=deployment.instances,
                rollout=Rollout(target=1, stable=1, began_at=now),
                labels=dict(deployment.labels),
                autoscaler=dict(deployment.document.get("autoscaler") or {}),
                cronscaler=dict(deployment.document.get("cronscaler") or {}),
                created_at=now,
                updated_at=now,
            )
            service = self._in_group(service, deployment.group)
            change.put(service)
            change.put(Version(service.name, 1, dict(deployment.document), now))
            change.tell("Created", service.name, f"{service.instances} instances of version 1 are wanted")
        self._wake()
        return service

    def modify(
        self,
        name: str,
        document: Mapping[str, Any],
        *,
        whole: bool = False,
        rollout: Mapping[str, Any] | None = None,
    ) -> Service:
        """Lay a change over the document of the version that is wanted (`whole`: instead of it).

        `rollout` says how a new version begins: `partition`, `batch`, `interval_s`, `paused`.
        """
        with self._store.change() as change:
            service = self._open(change, name)
            before = as_wanted(self._store.versions[service.name, service.version].document, service)
            after = dict(document) if whole else merged(before, document)
            after["name"] = name
            deployment = self._read(after)
            service = self._scaled(change, service, deployment.instances)
            service = replace(
                service,
                labels=dict(deployment.labels),
                autoscaler=dict(deployment.document.get("autoscaler") or {}),
                cronscaler=dict(deployment.document.get("cronscaler") or {}),
                updated_at=time.time(),
            )
            if rest(before) != rest(deployment.document):
                self._check_machines(deployment)
                service = self._new_version(change, service, deployment)
                service = replace(service, rollout=guided(service.rollout, rollout or {}, 0))
            change.put(service)
        self._wake()
        return service

    def scale(self, name: str, instances: int) -> Service:
        """Want so many instances, without a new version."""
        check_count("instances", instances)
        with self._store.change() as change:
            service = self._scaled(change, self._open(change, name), instances)
            change.put(service)
        self._wake()
        return service

    def switch(self, name: str, version: int, *, rollout: Mapping[str, Any] | None = None) -> Service:
        """Roll to a version that exists already, older or newer."""
        with self._store.change() as change:
            service = self._open(change, name)
            if (name, version) not in self._store.versions:
                known = sorted(number for owner, number in self._store.versions if owner == name)
                raise NotFoundError(f"service {name} has no version {version}; it has {known}")
            if version == service.version and service.rollout.state is not RolloutState.FAILED:
                return service
            deployment = self._read(self._store.versions[name, version].document)
            self._check_machines(deployment)
            service = self._rolling(change, service, version, deployment)
            service = replace(service, rollout=guided(service.rollout, rollout or {}, 0))
            change.put(service)
        self._wake()
        return service

    def rollout(self, name: str, **changes: Any) -> Service:
        """Change how the roll-out goes on: `partition`, `batch`, `interval_s`, `paused`."""
        with self._store.change() as change:
            service = self._open(change, name)
            if service.rollout.state in (RolloutState.DONE, RolloutState.FAILED):
                raise ConflictError(
                    f"service {name} is not being rolled, its last roll-out is {service.rollout.state};"
                    " modify it, or switch to another version, with the roll-out's options"
                )
            target = service.rollout.target
            there = sum(one.version == target and one.living for one in self._store.instances_of(name))
            service = replace(
                service, rollout=guided(service.rollout, changes, there), updated_at=time.time()
            )
            change.put(service)
            told = ", ".join(f"{key} {value}" for key, value in changes.items())
            change.tell("RolloutChanged", name, f"roll-out of version {target}: {told}")
        self._wake()
        return service

    def replace_instances(self, name: str, instances: Iterable[str]) -> Service:
        """Put others in the place of these: as in a roll, nobody goes before another one is ready."""
        with self._store.change() as change:
            service = self._open(change, name)
            known = {one.id: one for one in self._store.instances_of(name)}
            for instance in dict.fromkeys(instances):
                if instance not in known:
                    raise NotFoundError(f"service {name} has no instance {instance}; it has {sorted(known)}")
                change.put(replace(known[instance], retired=True))
                change.tell("InstanceRetired", name, "another one takes its place", instance=instance)
        self._wake()
        return service

    def autoscaler(self, name: str, values: Mapping[str, Any]) -> Service:
        """Scale by what instances measure; {} no more. See autoscaler.py for both forms."""
        if values:
            autoscaler.rule(values)
            for one in values.get("scaleStrategies") or []:
                if one.get("service") not in (None, "", name):
                    raise RefusedError([f"scaleStrategies: {name} is scaled by what it measures itself"])
        return self._set(name, "autoscaler", values)

    def cronscaler(self, name: str, values: Mapping[str, Any]) -> Service:
        """Scale by the clock; {} no more. See cron.py."""
        if values:
            cron.timetable(values)
        return self._set(name, "cronscaler", values)

    def mirror(self, name: str, values: Mapping[str, Any]) -> Service:
        """Send `ratio` percent of its requests to `target` services too, whose answers nobody waits for."""
        if values:
            ratio, target = values.get("ratio"), values.get("target")
            if not isinstance(ratio, int) or isinstance(ratio, bool) or not 0 <= ratio <= 100:
                raise RefusedError([f"mirror: ratio is {ratio!r}; percent, from 0 to 100, are expected"])
            if not isinstance(target, list) or not target or not all(isinstance(one, str) for one in target):
                raise RefusedError([f"mirror: target is {target!r}; a list of services is expected"])
            for one in target:
                if one == name or one not in self._store.services:
                    raise RefusedError([f"mirror: target {one!r} is no other service"])
        return self._set(name, "mirror", values)

    def label(self, name: str, labels: Mapping[str, str], *, without: Iterable[str] = ()) -> Service:
        """Add labels, or change them, and take others away."""
        with self._store.change() as change:
            service = self._open(change, name)
            kept = {key: value for key, value in service.labels.items() if key not in set(without)}
            service = replace(service, labels=kept | dict(labels), updated_at=time.time())
            change.put(service)
        return service

    def remarks(self, service: Service) -> tuple[str, ...]:
        """What a person should know of the document that is wanted."""
        deployment = self._read(self._store.versions[service.name, service.version].document)
        return (*deployment.remarks, *self._lacks(deployment))

    def release(self, name: str, *, weight: int | None = None, grouped: bool | None = None) -> Service:
        """Say how much of its group's traffic comes here: −1 is by its instances, 0 is none."""
        if weight is not None and not -1 <= weight <= 1000:
            raise RefusedError([f"weight {weight}; from -1 (by instances) to 1000 is possible"])
        with self._store.change() as change:
            service = self._open(change, name)
            if not service.group:
                raise ConflictError(f"service {name} is in no group; give it metadata.group first")
            self._check_members(service)
            if weight is not None:
                service = replace(service, weight=None if weight < 0 else weight)
            if grouped is not None:
                service = replace(service, grouped=grouped)
            change.put(replace(service, updated_at=time.time()))
            state = "takes part in" if service.grouped else "stands apart from"
            change.tell("Released", name, f"it {state} group {service.group}, weight {service.weight}")
        self._wake()
        return service

    def stop(self, name: str) -> Service:
        """Want no instance until `start`."""
        return self._want(name, Wanted.STOPPED, "Stopped", "it is being stopped")

    def start(self, name: str) -> Service:
        """Want its instances again."""
        return self._want(name, Wanted.RUNNING, "Started", "it is being started")

    def delete(self, name: str) -> Service:
        """Want it gone; its name is free when its instances have ended."""
        return self._want(name, Wanted.DELETED, "Deleted", "it is being deleted")

    def lock(self, name: str, what: str) -> Service:
        """Protect a service: "all", "dangerous" (stop and delete) or "none"."""
        if what not in ("all", "dangerous", "none"):
            raise RefusedError([f"lock {what!r}; all, dangerous and none are possible"])
        with self._store.change() as change:
            service = replace(self._known(change, name), locked="" if what == "none" else what)
            change.put(service)
            change.tell("Locked" if service.locked else "Unlocked", name, f"safety lock: {what}")
        return service

    def _want(self, name: str, wanted: Wanted, reason: str, message: str) -> Service:
        with self._store.change() as change:
            service = self._known(change, name)
            if service.locked and wanted is not Wanted.RUNNING:
                raise ConflictError(f"service {name} is locked ({service.locked}); unlock it first")
            if service.wanted is Wanted.DELETED and wanted is not Wanted.DELETED:
                raise ConflictError(f"service {name} is being deleted")
            service = replace(service, wanted=wanted, updated_at=time.time())
            change.put(service)
            change.tell(reason, name, message)
        self._wake()
        return service

    def _set(self, name: str, what: str, values: Mapping[str, Any]) -> Service:
        with self._store.change() as change:
            changed: dict[str, Any] = {what: dict(values), "updated_at": time.time()}
            service = replace(self._open(change, name), **changed)
            change.put(service)
            change.tell(f"{what.capitalize()}Changed", name, f"its {what} is {'set' if values else 'gone'}")
        self._wake()
        return service

    def _read(self, document: Mapping[str, Any]) -> Deployment:
        return read(document, self._resolved, self._store.folder)

    def _check_members(self, service: Service) -> None:
        """An instance of a version from before it joined answers 404 to clients of the group."""
        rollout = service.rollout
        stable = self._store.versions[service.name, rollout.stable].document
        if rollout.state is not RolloutState.DONE and stable["metadata"].get("group") != service.group:
            raise ConflictError(
                f"instances of version {rollout.stable} do not answer for group {service.group};"
                f" release {service.name} when version {rollout.target} is rolled out"
            )

    def _check_machines(self, deployment: Deployment) -> None:
        """Refuse a version that nothing could come of here."""
        problems = [] if self._elsewhere else deployment.absent()
        if deployment.strict:
            problems += [f"{lack} (metadata.strict_resources)" for lack in self._lacks(deployment)]
        if problems:
            raise RefusedError(problems)

    def _lacks(self, deployment: Deployment) -> list[str]:
        try:
            return deployment.fitted(self._nodes())[2]
        except BackendError:  # what there is will be known when an instance is ordered
            return []

    def _known(self, change: Change, name: str) -> Service:
        service = change.service(name)
        if service is None:
            raise NotFoundError(f"there is no service {name}")
        return service

    def _open(self, change: Change, name: str) -> Service:
        """A service that may be changed."""
        service = self._known(change, name)
        if service.wanted is Wanted.DELETED:
            raise ConflictError(f"service {name} is being deleted")
        if service.locked == "all":
            raise ConflictError(f"service {name} is locked (all); unlock it first")
        return service

    def _scaled(self, change: Change, service: Service, instances: int) -> Service:
        if instances == service.instances:
            return service
        change.tell("Scaled", service.name, f"from {service.instances} to {instances} instances")
        return replace(service, instances=instances, updated_at=time.time())

    def _new_version(self, change: Change, service: Service, deployment: Deployment) -> Service:
        number = service.latest + 1
        change.put(Version(service.name, number, dict(deployment.document), time.time()))
        return self._rolling(change, replace(service, latest=number), number, deployment)

    def _rolling(self, change: Change, service: Service, target: int, deployment: Deployment) -> Service:
        """Whatever has served last stays until the target does. Token and group are the target's at once."""
        if deployment.token is not None:
            service = replace(service, token=deployment.token)
        service = self._in_group(service, deployment.group)
        rollout = Rollout(target=target, stable=service.rollout.stable, began_at=time.time())
        change.tell("Rolling", service.name, f"from version {rollout.stable} to version {target}")
        return replace(service, version=target, rollout=rollout, updated_at=time.time())

    def _in_group(self, service: Service, group: str) -> Service:
        """A member shares the group's token, and gets no traffic of the group before it is released."""
        if group == service.group:
            return service
        if group in self._store.services or group == service.name:
            raise ConflictError(f"metadata.group {group} is the name of a service; choose another name")
        others = [one for one in self._store.services.values() if one.group == group]
        token = next((one.group_token for one in others), service.token) if group else ""
        return replace(service, group=group, group_token=token, grouped=False, weight=None)
