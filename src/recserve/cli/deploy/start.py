"""`recserve start`: a stopped service serves again."""

from recserve.cli.deploy import asking


@asking.asking
def start(
    plane: asking.Plane,
    service: asking.ServiceName,
    *,
    wait: asking.Wait = True,
    timeout: asking.Timeout = asking.TIMEOUT_S,
) -> None:
    """Start the instances of a stopped service."""
    from recserve.cli.deploy.progress import follow

    name = asking.named(service)
    answer = plane.client.put(name, "start")
    if wait:
        answer = follow(plane.client, answer, seconds=timeout)
    plane.show_service(answer)
