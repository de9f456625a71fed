"""`recserve create`: a service file becomes a running service."""

from pathlib import Path
from typing import Annotated

import typer

from recserve.cli.deploy import asking


@asking.asking
def create(
    plane: asking.Plane,
    file: Annotated[Path, typer.Argument(help="The service file; - is stdin.", show_default=False)],
    *,
    assign: asking.Assign = None,
    wait: asking.Wait = True,
    timeout: asking.Timeout = asking.TIMEOUT_S,
) -> None:
    """Create a service of a service file, and follow it until it runs."""
    from recserve.cli.deploy.progress import follow
    from recserve.cli.output import print_json, print_pairs

    made = plane.client.create(asking.given(file, assign))
    asking.tell_remarks(made)
    if "Advice" in made:  # of the control plane's, such as that it has no gateway
        typer.echo(f"note: {made['Advice']}", err=True)
    name = made["ServiceName"]
    if not plane.as_json:
        print_pairs({"Service": name, "Endpoint": made["InternetEndpoint"], "Token": made["AccessToken"]})
    if wait:
        made = follow(plane.client, made, seconds=timeout)
    if plane.as_json:
        print_json(made)
