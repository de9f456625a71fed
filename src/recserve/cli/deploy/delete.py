"""`recserve delete`: a service with all its versions goes."""

import typer

from recserve.cli.deploy import asking


@asking.asking
def delete(
    plane: asking.Plane,
    service: asking.ServiceName,
    *,
    yes: asking.Yes = False,
    wait: asking.Wait = True,
    timeout: asking.Timeout = asking.TIMEOUT_S,
) -> None:
    """Delete a service; its name is free when its instances have ended."""
    from recserve.cli.deploy.progress import follow_away

    name = asking.named(service)
    asking.confirm(f"Delete {name} with all its versions?", yes)
    answer = plane.client.delete(name)
    if wait:
        follow_away(plane.client, answer, seconds=timeout)
    else:
        typer.echo(f"[OK] {name} is being deleted", err=True)
