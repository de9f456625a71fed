"""`recserve deleteworkers`: some instances make room for new ones."""

from typing import Annotated

import typer

from recserve.cli.deploy import asking


@asking.asking
def deleteworkers(
    plane: asking.Plane,
    service: asking.ServiceName,
    instances: Annotated[str, typer.Argument(help="Their names, with commas.", show_default=False)],
    *,
    yes: asking.Yes = False,
) -> None:
    """Replace instances of a service; requests go to the others."""
    name = asking.named(service)
    asking.confirm(f"Replace {instances} of {name}?", yes)
    plane.client.delete(name, "instances", InstanceList=instances)
    typer.echo(f"[OK] {instances} will be replaced; see `recserve showworkers {name}`", err=True)
