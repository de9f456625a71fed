"""`recserve lock`: a service that nobody changes by mistake."""

from enum import StrEnum
from typing import Annotated

import typer

from recserve.cli.deploy import asking


class Lock(StrEnum):
    """What a safety lock forbids."""

    all = "all"
    dangerous = "dangerous"
    none = "none"


@asking.asking
def lock(
    plane: asking.Plane,
    service: asking.ServiceName,
    what: Annotated[
        Lock, typer.Argument(help="all: any change; dangerous: stop and delete; none: nothing.")
    ] = Lock.all,
) -> None:
    """Protect a service from changes, or let go of it."""
    plane.show_service(plane.client.put(asking.named(service), "lock", {"Lock": what.value}))
