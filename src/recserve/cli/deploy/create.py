"""`recserve create`: a service file becomes a running service."""

from pathlib import Path
from typing import Annotated

import typer


def create(
    file: Annotated[Path, typer.Argument(help="The service file.", show_default=False)],
    *,
    endpoint: Annotated[str, typer.Option("-e", help="The control plane's URL.", show_default=False)] = "",
    wait: Annotated[bool, typer.Option(help="Wait until it runs.")] = True,
) -> None:
    """Create a service of a service file."""
    import time

    from recserve.cli.output import print_pairs
    from recserve.config.document import read_json
    from recserve.deploy.client import ControlClient

    client = ControlClient.found(endpoint)
    made = client.create(read_json(file))
    print_pairs(
        {"Service": made["ServiceName"], "Endpoint": made["InternetEndpoint"], "Token": made["AccessToken"]}
    )
    while wait:
        found = client.service(made["ServiceName"])
        if found["Status"] in ("Running", "Failed"):
            typer.echo(f"{found['Status']} {found['Message']}")
            raise typer.Exit(found["Status"] != "Running")
        time.sleep(0.2)
