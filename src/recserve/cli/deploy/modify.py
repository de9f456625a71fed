"""`recserve modify`: another version of a service, or another number of its instances."""

from typing import Annotated

import typer

from recserve.cli.deploy import asking


@asking.asking
def modify(
    plane: asking.Plane,
    service: asking.ServiceName,
    *,
    file: asking.File = None,
    assign: asking.Assign = None,
    partition: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="So many instances get the new version, until `recserve rollout` says more.",
            show_default=False,
        ),
    ] = None,
    wait: asking.Wait = True,
    timeout: asking.Timeout = asking.TIMEOUT_S,
) -> None:
    """Change what a file or assignments name, and leave the rest; a null takes a key away.

    Only metadata.instance, labels and autoscaler need no new version. Of any other change a version is made,
    and rolled out: no request is lost.
    """
    from recserve.cli.deploy.progress import follow

    change = asking.given(file, assign)
    if not change:
        raise typer.BadParameter("nothing to change; name a file (-s) or values (-Dmetadata.instance=3)")
    name = asking.named(service)
    query = {} if partition is None else {"Partition": partition}
    answer = plane.client.modify(name, change, **query)
    asking.tell_remarks(answer)
    if wait and answer["Status"] not in ("Stopped", "Stopping"):
        answer = follow(plane.client, answer, seconds=timeout)
    plane.show_service(answer)
