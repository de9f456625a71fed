"""What the gateway should know: names that are asked for, and the instances behind them. Pure.

    names     rank ──▶ target rank   old ──▶ target old   rank.old ──▶ target old
    targets   rank: old-1-aa 9, new-1-bb 1               old: old-1-aa 100

A service and a group are a target each; whom a target consists of is said in `deploy/routing.py`, for clients
in mode DIRECT as well.

The gateway checks the tokens of apps, which do not check them themselves: by all their names an app's own and
its group's, as scorers do. Where everybody may ask a member, they may by the group's name too.

Ours: a group lets in as many requests as its members that take part do together. A group's path is shortened
for apps if all who take part are apps.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from recserve.deploy.records import Phase, Wanted
from recserve.deploy.routing import endpoints

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from recserve.deploy.gateway.policy import Policy
    from recserve.deploy.records import Instance, Service
    from recserve.deploy.routing import Endpoint

#: HAProxy's largest weight.
HEAVIEST = 256

#: Everything that is told to HAProxy consists of these letters; whoever has others is not routed.
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,256}")
_HOST = re.compile(r"[A-Za-z0-9_.:-]{1,256}")


@dataclass(frozen=True, slots=True)
class Server:
    """An instance as HAProxy knows it. One whose port changes is another one."""

    name: str
    address: str
    weight: int


@dataclass(frozen=True, slots=True)
class Route:
    """What happens to the requests for a name."""

    target: str
    rate: int = 0
    concurrency: int = 0
    prefix: str = ""  # see Policy
    #: Base64; one of them is asked for; without any everybody may ask. HAProxy's configuration knows two.
    tokens: tuple[str, ...] = field(default=(), repr=False)
    mirrored: int = 0  # so many of 100 requests
    mirrors: str = field(default="", repr=False)  # to <service>|<its token, base64>, …


@dataclass(frozen=True, slots=True)
class Routes:
    """Everything that the gateway should know."""

    names: Mapping[str, Route] = field(default_factory=dict)
    targets: Mapping[str, Mapping[str, Server]] = field(default_factory=dict)  # by names


def routes(
    services: Mapping[str, Service], instances: Iterable[Instance], policies: Mapping[str, Policy]
) -> Routes:
    """Of the state of a control plane; a service that has no policy is not routed."""
    known = {
        name: one
        for name, one in services.items()
        if name in policies and one.wanted is not Wanted.DELETED and _NAME.fullmatch(name)
    }
    ready = [one for one in instances if one.phase is Phase.READY and _HOST.fullmatch(one.host)]
    names: dict[str, Route] = {}
    for name, one in known.items():
        names[name] = _route(name, one, policies[name], known)
        if _NAME.fullmatch(one.group):
            names[f"{one.group}.{name}"] = names[name]
    for group in {one.group for one in known.values() if _NAME.fullmatch(one.group)} - set(names):
        names[group] = _group(group, [one for one in known.values() if one.group == group], policies)
    targets = {route.target for route in names.values()}
    return Routes(names, {one: _servers(endpoints(one, known, ready) or ()) for one in targets})


def _route(target: str, one: Service, policy: Policy, known: Mapping[str, Service]) -> Route:
    ratio, mirrors = _mirrors(one, known)
    return Route(
        target,
        policy.rate,
        policy.concurrency,
        policy.prefix,
        _tokens(one) if policy.container else (),
        ratio,
        mirrors,
    )


def _group(group: str, members: Sequence[Service], policies: Mapping[str, Policy]) -> Route:
    taking = sorted((one for one in members if one.grouped), key=lambda one: (one.created_at, one.name))
    found = [policies[one.name] for one in taking]
    if not found:
        return Route(group)
    rates, together = [one.rate for one in found], [one.concurrency for one in found]
    return Route(
        group,
        sum(rates) if all(rates) else 0,
        sum(together) if all(together) else 0,
        found[0].prefix if all(one.container for one in found) else "",
        _of_group(taking) if any(one.container for one in found) else (),
    )


def _tokens(one: Service) -> tuple[str, ...]:
    if not one.token:
        return ()
    return tuple(_encoded(token) for token in dict.fromkeys((one.token, one.group_token)) if token)


def _of_group(members: Sequence[Service]) -> tuple[str, ...]:
    open_to_all = any(not one.token for one in members)
    return () if open_to_all else (_encoded(members[0].group_token or members[0].token),)


def _mirrors(one: Service, known: Mapping[str, Service]) -> tuple[int, str]:
    """How many of 100 requests are sent to which services as well, and with which tokens."""
    ratio, named = one.mirror.get("ratio", 0), one.mirror.get("target", [])
    if not isinstance(ratio, int) or not isinstance(named, list) or not 0 < ratio <= 100:
        return 0, ""
    targets = [known[name] for name in named if name in known and name != one.name]
    listed = ",".join(f"{target.name}|{_encoded(target.token)}" for target in targets)
    return (ratio, listed) if targets else (0, "")


def _servers(found: Iterable[Endpoint]) -> dict[str, Server]:
    listed = list(found)
    heaviest = max((one.weight for one in listed), default=0)
    servers = {}
    for one in listed:
        host = f"[{one.host}]" if ":" in one.host else one.host
        # Proportions are exact as long as they fit into HAProxy's numbers; nobody is left out by rounding.
        weight = one.weight if heaviest <= HEAVIEST else max(1, round(one.weight * HEAVIEST / heaviest))
        name = f"{one.instance}.{one.port}"
        servers[name] = Server(name, f"{host}:{one.port}", weight)
    return servers


def _encoded(token: str) -> str:
    return base64.b64encode(token.encode()).decode()
