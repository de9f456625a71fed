"""`recserve ls`: the services."""

from typing import Annotated

import typer

from recserve.cli.deploy import asking

_COLUMNS = {
    "ServiceName": "SERVICE",
    "Region": "REGION",
    "TotalInstance": "INSTANCE",
    "CreateTime": "CREATE",
    "UpdateTime": "UPDATE",
    "Status": "STATUS",
    "Weight": "WEIGHT",
    "InternetEndpoint": "PATH",
}


@asking.asking
def ls(
    plane: asking.Plane,
    containing: Annotated[str, typer.Argument(help="Only those whose name contains it.")] = "",
) -> None:
    """List services; a weight of -1 is by instances."""
    plane.show_rows(plane.client.services(containing), _COLUMNS)
