"""/api/v2/services: services and their versions, and what is done to them as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recserve.config.document import parse_json
from recserve.deploy.api import shown
from recserve.deploy.api.operation import LONGEST_PAGE, SERVICE, SERVICES, Operation, entry, seconds
from recserve.errors import ConfigError, NotFoundError, RequestError

if TYPE_CHECKING:
    from collections.abc import Callable

    from recserve.deploy.api.operation import Asked
    from recserve.deploy.plane import Plane
    from recserve.deploy.records import Service

_DOCUMENT = {"type": "object", "description": "A service file."}
PAGES = {"PageNumber": "Which page, from 1.", "PageSize": f"Entries of a page, {LONGEST_PAGE} at most."}


class Services:
    """Handlers; each is one verb of Control, or one look into the store."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane

    def operations(self) -> list[Operation]:
        """What can be asked."""
        weights = {"Weight": {"type": "integer", "minimum": -1, "maximum": 1000}}
        states = {"TrafficState": {"enum": ["grouping", "standalone"]}}
        locks = {"Lock": {"enum": ["all", "dangerous", "none"]}}
        filters = {
            "Filter": "Services whose name contains it.",
            "GroupName": "Services of this group.",
            "ServiceStatus": "Services in this state, such as Running.",
            "Label": 'Services with these labels: {"team": "search"}.',
            "Sort": "ServiceName, CreateTime or UpdateTime.",
            "Order": "asc or desc.",
            **PAGES,
        }
        roll = {
            "Partition": "So many instances get the new version (ours, as the next three).",
            "BatchSize": "So many more of them at a time …",
            "Interval": "… each so long after the last: 5m.",
            "Paused": "true: none of them, until the roll-out is resumed.",
        }
        update = {"UpdateType": "merge (a change, the default) or replace (the whole document).", **roll}
        return [
            Operation("ListServices", "GET", SERVICES, self._list, "List services", query=filters),
            Operation("CreateService", "POST", SERVICES, self._create, "Begin a service", _DOCUMENT),
            Operation("DescribeService", "GET", SERVICE, self._describe, "Describe a service"),
            Operation("UpdateService", "PUT", SERVICE, self._modify, "Change a service", _DOCUMENT, update),
            Operation("DeleteService", "DELETE", SERVICE, self._verb("delete"), "End a service"),
            Operation(
                "StartService", "PUT", f"{SERVICE}/start", self._verb("start"), "Run its instances again"
            ),
            Operation(
                "StopService",
                "PUT",
                f"{SERVICE}/stop",
                self._verb("stop"),
                "End its instances, keep the service",
            ),
            Operation(
                "ReleaseService",
                "PUT",
                f"{SERVICE}/release",
                self._release,
                "Say what it gets of its group",
                _object(weights | states),
            ),
            Operation(
                "UpdateServiceVersion",
                "PUT",
                f"{SERVICE}/version",
                self._switch,
                "Roll to a version that exists",
                _object({"Version": {"type": "integer", "minimum": 1}}),
                roll,
            ),
            Operation(
                "ListServiceVersions",
                "GET",
                f"{SERVICE}/versions",
                self._versions,
                "List versions",
                query=PAGES,
            ),
            Operation(
                "UpdateServiceSafetyLock",
                "PUT",
                f"{SERVICE}/lock",
                self._lock,
                "Protect a service",
                _object(locks),
            ),
            Operation(
                "UpdateServiceLabel",
                "POST",
                f"{SERVICE}/label",
                self._label,
                "Add labels",
                _object({"Labels": {"type": "object", "additionalProperties": {"type": "string"}}}),
            ),
            Operation(
                "DeleteServiceLabel",
                "DELETE",
                f"{SERVICE}/label",
                self._unlabel,
                "Take labels away",
                query={"Keys": "Their keys, with commas between them."},
            ),
        ]

    def _create(self, asked: Asked) -> dict[str, Any]:
        return self._changed(self._plane.control.create(asked.body))

    def _modify(self, asked: Asked) -> dict[str, Any]:
        kind = asked.query.get("UpdateType") or "merge"
        if kind not in ("merge", "replace"):
            raise RequestError(f"UpdateType is {kind!r}; merge and replace are possible")
        whole, rollout = kind == "replace", _rollout(asked)
        return self._changed(self._plane.control.modify(asked.name, asked.body, whole=whole, rollout=rollout))

    def _list(self, asked: Asked) -> dict[str, Any]:
        store, query = self._plane.store, asked.query
        labels = _labels(query.get("Label", ""))
        with store.reading():
            found = [
                self._shown(one, secrets=False)
                for one in store.services.values()
                if query.get("Filter", "") in one.name
                and query.get("GroupName") in (None, "", one.group)
                and labels.items() <= one.labels.items()
            ]
        wanted = query.get("ServiceStatus", "").lower()
        found = [one for one in found if wanted in ("", one["Status"].lower())]
        key, order = query.get("Sort") or "ServiceName", query.get("Order") or "asc"
        if key not in ("ServiceName", "CreateTime", "UpdateTime") or order.lower() not in ("asc", "desc"):
            raise RequestError("Sort is ServiceName, CreateTime or UpdateTime; Order is asc or desc")
        found.sort(key=lambda one: one["ServiceName"])
        found.sort(key=lambda one: one[key], reverse=order.lower() == "desc")
        return asked.page("Services", found)

    def _describe(self, asked: Asked) -> dict[str, Any]:
        return self._shown(known(self._plane, asked.name))

    def _switch(self, asked: Asked) -> dict[str, Any]:
        number = entry(asked.body, "Version", int, "a whole number")
        if number is None:
            raise RequestError('Version is missing; {"Version": 1} is expected')
        return self._shown(self._plane.control.switch(asked.name, number, rollout=_rollout(asked)))

    def _release(self, asked: Asked) -> dict[str, Any]:
        state = asked.body.get("TrafficState")
        if state not in (None, "grouping", "standalone"):
            raise RequestError(f"TrafficState is {state!r}; grouping and standalone are possible")
        weight = entry(asked.body, "Weight", int, "a whole number")
        if weight is None and state is None:
            raise RequestError('{"Weight": 10} or {"TrafficState": "grouping"} is expected, or both')
        grouped = None if state is None else state == "grouping"
        return self._shown(self._plane.control.release(asked.name, weight=weight, grouped=grouped))

    def _lock(self, asked: Asked) -> dict[str, Any]:
        return self._shown(self._plane.control.lock(asked.name, str(asked.body.get("Lock", ""))))

    def _label(self, asked: Asked) -> dict[str, Any]:
        labels = entry(asked.body, "Labels", dict, "an object of texts")
        if not labels or not all(isinstance(value, str) for value in labels.values()):
            raise RequestError('Labels: an object of texts is expected, such as {"team": "search"}')
        return self._shown(self._plane.control.label(asked.name, labels))

    def _unlabel(self, asked: Asked) -> dict[str, Any]:
        keys = [key for key in asked.query.get("Keys", "").split(",") if key]
        return self._shown(self._plane.control.label(asked.name, {}, without=keys))

    def _versions(self, asked: Asked) -> dict[str, Any]:
        service = known(self._plane, asked.name)
        with self._plane.store.reading():
            found = [one for one in self._plane.store.versions.values() if one.service == service.name]
        versions = [shown.version(one) for one in sorted(found, key=lambda one: -one.number)]
        return asked.page("Versions", versions) | {"CurrentVersion": service.version}

    def _verb(self, verb: str) -> Callable[[Asked], dict[str, Any]]:
        def handle(asked: Asked) -> dict[str, Any]:
            with self._plane.store.reading():  # a service without instances is forgotten at the next pass
                return self._shown(getattr(self._plane.control, verb)(asked.name))

        return handle

    def _changed(self, service: Service) -> dict[str, Any]:
        """With what a person should know of the document."""
        with self._plane.store.reading():
            return self._shown(service) | {"Remarks": list(self._plane.control.remarks(service))}

    def _shown(self, service: Service, *, secrets: bool = True) -> dict[str, Any]:
        store = self._plane.store
        with store.reading():
            version = store.versions.get((service.name, service.version))
            instances = self._plane.instances_of(service.name)
        if version is None:  # its last instance has ended just now
            raise NotFoundError(f"there is no service {service.name}")
        endpoint = f"{self._plane.endpoint}/api/predict/{service.name}"
        found = shown.service(service, version, instances, endpoint=endpoint, secrets=secrets)
        return found | ({"Advice": self._plane.advice} if self._plane.advice else {})


def known(plane: Plane, name: str) -> Service:
    """The service of a name."""
    found = plane.store.services.get(name)
    if found is None:
        raise NotFoundError(f"there is no service {name}")
    return found


def _rollout(asked: Asked) -> dict[str, Any]:
    """How the roll-out begins: what its body would say, in the query, as the body is the service's."""
    query = asked.query
    changes: dict[str, Any] = {}
    if query.get("Partition"):
        changes["partition"] = asked.number("Partition", 0, least=0, most=10_000)
    if query.get("BatchSize"):
        changes["batch"] = asked.number("BatchSize", 1, most=10_000)
        changes["interval_s"] = seconds(query.get("Interval") or "0s")
    if query.get("Paused", "false") not in ("true", "false"):
        raise RequestError(f"Paused is {query['Paused']!r}; true and false are possible")
    if query.get("Paused") == "true":
        changes["paused"] = True
    return changes


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def _labels(text: str) -> dict[str, str]:
    """`{"team": "search"}`, as the platform's clients send it."""
    if not text:
        return {}
    try:
        return {key: str(value) for key, value in parse_json(text, "Label").items()}
    except ConfigError as error:
        raise RequestError(f'{error}; {{"team": "search"}} is expected') from None
