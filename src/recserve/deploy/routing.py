"""Whom traffic goes to: of a service, its ready instances; of a group, those of its members by weight.

| name               | instances                                                             |
|--------------------|-----------------------------------------------------------------------|
| <service>          | those of the service that are ready, alike                            |
| <group>            | those of its members that take part (`release`), by the members' weight |
| <group>.<service>  | those of that member, whatever its weight: for a look before traffic  |

A member's weight is shared by its ready instances; without one it is the number of them that are wanted.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recserve.deploy.records import Phase, Wanted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from recserve.deploy.records import Instance, Service

#: The weight of instances that are all alike, which is what clients were shown all along.
ALIKE = 100


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An instance that may be asked, and how often beside the others."""

    service: str
    instance: str
    host: str
    port: int
    weight: int


def endpoints(
    name: str, services: Mapping[str, Service], instances: Iterable[Instance]
) -> list[Endpoint] | None:
    """Whom to send requests for `name` to; None if there is no such service or group."""
    group, dot, member = name.partition(".")
    if dot:
        found = services.get(member)
        if found is None or found.group != group:
            return None
        name = member
    ready: dict[str, list[Instance]] = {}
    for one in instances:
        if one.phase is Phase.READY:
            ready.setdefault(one.service, []).append(one)
    if name in services and services[name].wanted is not Wanted.DELETED:
        return [_endpoint(one, ALIKE) for one in ready.get(name, ())]
    members = [service for service in services.values() if service.group == name]
    if not members:
        return None
    return _weighted([(service, ready.get(service.name, ())) for service in members if service.grouped])


def discovered(found: Sequence[Endpoint], name: str) -> bytes:
    """The answer that clients in mode DIRECT read; an IPv6 address needs its brackets there."""
    items = [
        {
            "app": name,
            "ip": f"[{one.host}]" if ":" in one.host else one.host,
            "port": one.port,
            "weight": one.weight,
        }
        for one in found
    ]
    return json.dumps({"endpoints": {"items": items}}).encode()


def _weighted(members: Sequence[tuple[Service, Sequence[Instance]]]) -> list[Endpoint]:
    """Whole numbers in exactly the members' proportion, as small as they can be."""
    shares = [
        (service.instances if service.weight is None else service.weight, ready)
        for service, ready in members
        if ready
    ]
    multiple = math.lcm(*(len(ready) for _, ready in shares))
    weighed = [(one, share * multiple // len(ready)) for share, ready in shares if share for one in ready]
    divisor = math.gcd(*(weight for _, weight in weighed))
    return [_endpoint(one, weight // divisor) for one, weight in weighed]


def _endpoint(one: Instance, weight: int) -> Endpoint:
    return Endpoint(one.service, one.id, one.host, one.port, weight)
