"""/api/v2/services/…/instances, events and logs: what runs, what happened and what was written."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from recserve.deploy.api import shown
from recserve.deploy.api.operation import SERVICE, Operation
from recserve.deploy.api.services import PAGES, known
from recserve.errors import NotFoundError, RequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recserve.deploy.api.operation import Asked
    from recserve.deploy.plane import Plane
    from recserve.deploy.records import Event, Instance

#: Of each instance: so many of its last lines are looked through.
_MOST_LINES = 10_000
_MOST_EVENTS = 500


class Instances:
    """Handlers."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane

    def operations(self) -> list[Operation]:
        """What can be asked."""
        instances = f"{SERVICE}/instances"
        event_filters = {
            "EventType": "Normal or Warning.",
            "InstanceName": "Events of this instance.",
            "StartTime": "Events from then on: 2026-03-16T08:00:00Z.",
            "EndTime": "Events until then.",
            **PAGES,
        }
        log_filters = {
            "InstanceName": "Lines of this instance, also of one that has ended.",
            "Ip": "Lines of instances at this address.",
            "Keyword": "Lines that contain it.",
            "PageSize": f"The last lines of each instance, up to {_MOST_LINES}.",
        }
        which = {"InstanceList": "Their names, with commas between them."}
        return [
            Operation(
                "ListServiceInstances",
                "GET",
                instances,
                self._list,
                "List instances",
                query={"InstanceName": "One of them.", **PAGES},
            ),
            Operation(
                "DeleteServiceInstances",
                "DELETE",
                instances,
                self._delete,
                "Put others in the place of instances",
                query=which,
            ),
            Operation(
                "DescribeServiceEvent",
                "GET",
                f"{SERVICE}/events",
                self._events,
                "What happened to a service",
                query=event_filters,
            ),
            Operation(
                "ListEvents",
                "GET",
                "/api/v2/events",
                self._all_events,
                "What happened (ours)",
                query=event_filters,
            ),
            Operation(
                "DescribeServiceLog",
                "GET",
                f"{SERVICE}/logs",
                self._logs,
                "What instances wrote",
                query=log_filters,
            ),
        ]

    def _list(self, asked: Asked) -> dict[str, Any]:
        wanted = asked.query.get("InstanceName")
        found = [
            shown.instance(one)
            for one in self._plane.instances_of(known(self._plane, asked.name).name)
            if wanted in (None, "", one.id)
        ]
        return asked.page("Instances", found)

    def _delete(self, asked: Asked) -> dict[str, Any]:
        names = [name.strip() for name in asked.query.get("InstanceList", "").split(",") if name.strip()]
        if not names:
            raise RequestError("InstanceList is missing; the names of instances are expected")
        self._plane.control.replace_instances(asked.name, names)
        return {"Message": f"others take the place of {', '.join(names)}"}

    def _events(self, asked: Asked) -> dict[str, Any]:
        """Those of a service that was deleted are kept too."""
        events = self._plane.store.events(asked.name, most=_MOST_EVENTS)
        if not events:
            known(self._plane, asked.name)
        return asked.page("Events", _chosen(events, asked))

    def _all_events(self, asked: Asked) -> dict[str, Any]:
        return asked.page("Events", _chosen(self._plane.store.events(most=_MOST_EVENTS), asked))

    def _logs(self, asked: Asked) -> dict[str, Any]:
        name, query = known(self._plane, asked.name).name, asked.query
        lines = asked.number("PageSize", 100, most=_MOST_LINES)
        found = self._written_by(name, query.get("InstanceName", ""))
        found = [one for one in found if query.get("Ip") in (None, "", one.host)]
        keyword = query.get("Keyword", "")
        logs: list[str] = []
        for one in found:
            # A keyword is looked for in all that is kept, not in the last page alone.
            every = self._plane.backend.logs(one.id, _MOST_LINES if keyword else lines)
            logs += [f"{one.id} {line}" for line in every if keyword in line][-lines:]
        return {"Logs": logs, "TotalCount": len(logs), "PageNum": 1}

    def _written_by(self, service: str, instance: str) -> list[Instance]:
        if not instance:
            return self._plane.store.instances_of(service)
        found = [one for one in self._plane.store.history_of(service) if one.id == instance]
        if not found:
            raise NotFoundError(f"service {service} has no instance {instance}")
        return found


def _chosen(events: Sequence[Event], asked: Asked) -> list[dict[str, Any]]:
    query = asked.query
    begin, end = _time(query.get("StartTime"), 0.0), _time(query.get("EndTime"), float("inf"))
    return [
        shown.event(one)
        for one in events
        if begin <= one.at <= end
        and query.get("EventType") in (None, "", one.kind)
        and query.get("InstanceName") in (None, "", one.instance)
    ]


def _time(text: str | None, default: float) -> float:
    if not text:
        return default
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise RequestError(f"{text!r} is no time; write 2026-03-16T08:00:00Z") from None
