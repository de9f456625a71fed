"""`recserve logs`: what the instances of a service write."""

from typing import Annotated

import typer

from recserve.cli.deploy import asking


@asking.asking
def logs(
    plane: asking.Plane,
    service: asking.ServiceName,
    *,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=10_000, help="Of each instance.")] = 100,
    instance: Annotated[str, typer.Option(help="Of this one only.", show_default=False)] = "",
    keyword: Annotated[str, typer.Option(help="Only lines that contain it.", show_default=False)] = "",
) -> None:
    """Print the last lines that the instances of a service have written, each after its instance's name."""
    from recserve.cli.output import print_json

    wanted = {"InstanceName": instance, "Keyword": keyword}
    found = plane.client.get(
        asking.named(service),
        "logs",
        PageSize=lines,
        **{key: value for key, value in wanted.items() if value},
    )["Logs"]
    if plane.as_json:
        print_json(found)
        return
    for line in found:
        typer.echo(line)
