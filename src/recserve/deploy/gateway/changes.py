"""From what the gateway should know and what it knows to what it is told: pure.

    Routes + Observed ──changes──▶ add server … · set server … · add map … · del map … · del server …

Who is new is told before the names that need it, who goes after them, so a request never meets half a
change. A name's whole route is one entry of a map, for the same reason:

    slot:target:rate:concurrency:token:another token:mirrored:mirrors:prefix

What cannot be done yet (a server is deleted when its requests are answered) is told again in the next pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recserve.deploy.gateway.runtime import ROUTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from recserve.deploy.gateway.routes import Route, Routes, Server
    from recserve.deploy.gateway.runtime import Known, Observed

#: An entry that is no name of a service: everything has been told once, so an unknown name is unknown.
COMPLETE = "*"
#: Routes of a target that found no slot: as if nobody were ready.
NO_SLOT = "none"


def slot(number: int) -> str:
    """The name of one of HAProxy's backends, which are made at its start and given to targets."""
    return f"slot{number}"


def changes(wanted: Routes, observed: Observed) -> list[str]:
    """Commands, in their order; none when the gateway knows what it should."""
    given = _given(wanted, observed)
    before: list[str] = []
    after: list[str] = []
    for one, servers in observed.slots.items():
        owner = next((target for target, place in given.items() if place == one), None)
        needed = wanted.targets[owner] if owner is not None else {}
        before += _added(one, needed, servers)
        after += _removed(one, needed, servers)
    values = {name: _value(route, given) for name, route in wanted.names.items()} | {COMPLETE: "yes"}
    names = list(_named(values, observed.names))
    return [*before, *names, *after]


def _given(wanted: Routes, observed: Observed) -> dict[str, str]:
    """A slot for each target: the one that it has, or one that is quite free."""
    had: dict[str, str] = {}
    for value in observed.names.values():
        fields = value.split(":")
        if len(fields) > 1 and fields[0] in observed.slots:
            had[fields[1]] = fields[0]
    free = (one for one, servers in observed.slots.items() if not servers and one not in had.values())
    given = {}
    for target in sorted(wanted.targets):
        given[target] = had.get(target) or next(free, NO_SLOT)
    return given


def _added(slot: str, needed: Mapping[str, Server], there: Mapping[str, Known]) -> Iterator[str]:
    for name, server in needed.items():
        known = there.get(name)
        if known is None:
            yield f"add server {slot}/{name} {server.address} weight {server.weight}"
        elif known.weight != server.weight:
            yield f"set server {slot}/{name} weight {server.weight}"
        if known is None or known.resting:
            yield f"set server {slot}/{name} state ready"


def _removed(slot: str, needed: Mapping[str, Server], there: Mapping[str, Known]) -> Iterator[str]:
    for name, known in there.items():
        if name not in needed:
            if not known.resting:
                yield f"set server {slot}/{name} state maint"
            yield f"del server {slot}/{name}"


def _named(values: Mapping[str, str], there: Mapping[str, str]) -> Iterator[str]:
    for name, value in values.items():
        if name not in there:
            yield f"add map {ROUTES} {name} {value}"
        elif there[name] != value:
            yield f"set map {ROUTES} {name} {value}"
    for name in there:
        if name not in values:
            yield f"del map {ROUTES} {name}"


def _value(route: Route, given: Mapping[str, str]) -> str:
    fields = (
        given[route.target],
        route.target,
        route.rate,
        route.concurrency,
        *(*route.tokens, "", "")[:2],
        route.mirrored,
        route.mirrors,
        route.prefix,
    )
    return ":".join(str(one) for one in fields)
