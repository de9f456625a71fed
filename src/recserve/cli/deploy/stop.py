"""`recserve stop`: a service rests."""

from recserve.cli.deploy import asking


@asking.asking
def stop(
    plane: asking.Plane,
    service: asking.ServiceName,
    *,
    yes: asking.Yes = False,
    wait: asking.Wait = True,
    timeout: asking.Timeout = asking.TIMEOUT_S,
) -> None:
    """End a service's instances and keep the service, until `recserve start`."""
    from recserve.cli.deploy.progress import follow

    name = asking.named(service)
    asking.confirm(f"Stop {name}?", yes)
    answer = plane.client.put(name, "stop")
    if wait:
        answer = follow(plane.client, answer, "Stopped", seconds=timeout)
    plane.show_service(answer)
