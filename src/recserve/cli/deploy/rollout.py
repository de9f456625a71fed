"""`recserve rollout`: part of a roll-out, step by step, paused and resumed."""

from typing import Annotated

import typer

from recserve.cli.deploy import asking


@asking.asking
def rollout(
    plane: asking.Plane,
    service: asking.ServiceName,
    *,
    partition: Annotated[
        int | None,
        typer.Option(min=0, help="So many instances get the new version.", show_default=False),
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="So many more each --interval.", show_default=False)
    ] = None,
    interval: Annotated[str, typer.Option(help="Of --batch: 30s, 5m.")] = "5m",
    paused: Annotated[
        bool | None, typer.Option("--pause/--resume", help="Hold it, or go on.", show_default=False)
    ] = None,
) -> None:
    """Show the roll-out of a service, or change how it goes on."""
    name = asking.named(service)
    body: dict[str, object] = {}
    if partition is not None:
        body["Partition"] = {"Partition": partition}
    if batch is not None:
        body["Batch"] = {"BatchSize": batch, "Interval": interval}
    if paused is not None:
        body["Paused"] = paused
    plane.show(plane.client.put(name, "rollout", body) if body else plane.client.get(name, "rollout"))
