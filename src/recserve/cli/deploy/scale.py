"""`recserve scale`: more or fewer instances of the same version."""

from typing import Annotated

import typer

from recserve.cli.deploy import asking


@asking.asking
def scale(
    plane: asking.Plane,
    service: asking.ServiceName,
    instances: Annotated[int, typer.Argument(min=0, help="How many.", show_default=False)],
    *,
    wait: asking.Wait = True,
    timeout: asking.Timeout = asking.TIMEOUT_S,
) -> None:
    """Change how many instances a service has."""
    from recserve.cli.deploy.progress import follow

    name = asking.named(service)
    answer = plane.client.modify(name, {"metadata": {"instance": instances}})
    if wait and answer["Status"] not in ("Stopped", "Stopping"):
        answer = follow(plane.client, answer, seconds=timeout)
    plane.show_service(answer)
