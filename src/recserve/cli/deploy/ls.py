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
    *,
    label: Annotated[
        list[str] | None,
        typer.Option(
            "--label", "-l", help="Only those that have it; all, if given again.", metavar="KEY=VALUE"
        ),
    ] = None,
) -> None:
    """List services; a weight of -1 is by instances."""
    plane.show_rows(plane.client.services(containing, _labels(label or [])), _COLUMNS)


def _labels(given: list[str]) -> dict[str, str]:
    found = {}
    for one in given:
        key, equals, value = one.partition("=")
        if not key or not equals:
            raise typer.BadParameter(f"{one!r}; key=value is expected", param_hint="--label")
        found[key] = value
    return found
