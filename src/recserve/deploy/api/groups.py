"""/api/v2/groups and /api/v2/nodes: what services share, a name or machines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recserve.deploy.api.operation import Operation
from recserve.deploy.api.services import PAGES
from recserve.deploy.records import Phase
from recserve.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recserve.deploy.api.operation import Asked
    from recserve.deploy.plane import Plane
    from recserve.deploy.records import Service

GROUPS = "/api/v2/groups"


class Groups:
    """Handlers."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane

    def operations(self) -> list[Operation]:
        """What can be asked."""
        one = GROUPS + "/{cluster}/{name}"
        filters = {"Filter": "Groups whose name contains it.", **PAGES}
        return [
            Operation("ListGroups", "GET", GROUPS, self._list, "List groups of services", query=filters),
            Operation("DescribeGroup", "GET", one, self._describe, "Describe a group"),
            Operation("ListNodes", "GET", "/api/v2/nodes", self._nodes, "List machines (ours)", query=PAGES),
        ]

    def _list(self, asked: Asked) -> dict[str, Any]:
        wanted = asked.query.get("Filter", "")
        found = [self._shown(name, of) for name, of in sorted(self._groups().items()) if wanted in name]
        return asked.page("Groups", found)

    def _describe(self, asked: Asked) -> dict[str, Any]:
        members = self._groups().get(asked.name)
        if members is None:
            raise NotFoundError(f"there is no group {asked.name}; a service's metadata.group makes one")
        return self._shown(asked.name, members) | {"AccessToken": members[0].group_token}

    def _nodes(self, asked: Asked) -> dict[str, Any]:
        """Of each machine: what it has, and what is asked of it."""
        nodes = self._plane.backend.nodes()
        with self._plane.store.reading():
            living = [one for one in self._plane.store.instances.values() if one.phase is not Phase.GONE]
        found = [
            {
                "Name": node.name,
                "Host": node.host,
                "Status": "Ready" if node.alive else "Lost",
                "Cpu": node.cpu,
                "Memory": node.memory_mb,
                "Gpu": node.gpu,
                "Pools": list(node.pools),
                "Labels": dict(node.labels),
                "InstanceCount": sum(one.node == node.name for one in living),
            }
            for node in nodes
        ]
        return asked.page("Nodes", found)

    def _groups(self) -> dict[str, list[Service]]:
        found: dict[str, list[Service]] = {}
        with self._plane.store.reading():
            for service in self._plane.store.services.values():
                if service.group:
                    found.setdefault(service.group, []).append(service)
        return found

    def _shown(self, name: str, members: Sequence[Service]) -> dict[str, Any]:
        endpoint = f"{self._plane.endpoint}/api/predict/{name}"
        return {
            "Name": name,
            "InternetEndpoint": endpoint,
            "IntranetEndpoint": endpoint,
            "Services": [
                {
                    "ServiceName": one.name,
                    "Weight": -1 if one.weight is None else one.weight,
                    "TrafficState": "grouping" if one.grouped else "standalone",
                    "TotalInstance": one.instances,
                }
                for one in sorted(members, key=lambda one: one.name)
            ],
        }
