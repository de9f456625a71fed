"""`recserve release`: how much of its group's traffic a service gets."""

from typing import Annotated

import typer

from recserve.cli.deploy import asking


@asking.asking
def release(
    plane: asking.Plane,
    service: asking.ServiceName,
    *,
    weight: Annotated[
        int | None,
        typer.Option(
            "--weight",
            "-w",
            min=-1,
            max=1000,
            help="Beside those of its group; -1 is by instances.",
            show_default=False,
        ),
    ] = None,
    grouped: Annotated[
        bool | None,
        typer.Option(
            "--grouping/--standalone", help="Whether its group's traffic comes here.", show_default=False
        ),
    ] = None,
) -> None:
    """Say how much of its group's traffic goes to a service: a canary, or blue-green.

    A member of a group gets none of it until it is released with --grouping, or a weight.
    """
    if weight is None and grouped is None:
        raise typer.BadParameter("nothing to change; give --weight, --grouping or --standalone")
    body: dict[str, object] = {}
    if weight is not None:
        body["Weight"] = weight
    body["TrafficState"] = "standalone" if grouped is False else "grouping"
    plane.show_service(plane.client.put(asking.named(service), "release", body))
