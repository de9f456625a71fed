"""`recserve mirror`: a copy of the traffic for another service, whose answers nobody waits for."""

from typing import Annotated

import typer

from recserve.cli.deploy import asking


@asking.asking
def mirror(
    plane: asking.Plane,
    service: asking.ServiceName,
    *,
    target: Annotated[
        list[str] | None, typer.Option("--target", "-t", help="Who gets copies.", show_default=False)
    ] = None,
    ratio: Annotated[int, typer.Option(min=0, max=100, help="Percent of the requests.")] = 100,
    remove: Annotated[bool, typer.Option("--rm", help="Send no copies any more.")] = False,
) -> None:
    """Show, set or remove where copies of a service's requests go."""
    name = asking.named(service)
    if remove:
        plane.client.delete(name, "mirror")
        typer.echo(f"[OK] {name} is not mirrored any more", err=True)
        return
    if target:
        plane.client.put(name, "mirror", {"Ratio": ratio, "Target": target})
    plane.show(plane.client.get(name, "mirror"))
