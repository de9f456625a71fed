"""`recserve events`: what has happened to a service."""

from recserve.cli.deploy import asking

_COLUMNS = {
    "Time": "TIME",
    "Type": "TYPE",
    "Reason": "REASON",
    "InstanceName": "INSTANCE",
    "Message": "MESSAGE",
}


@asking.asking
def events(plane: asking.Plane, service: asking.ServiceName) -> None:
    """List the events of a service, the newest last; also of one that is deleted."""
    found = plane.client.get(asking.named(service), "events")["Events"]
    plane.show_rows(list(reversed(found)), _COLUMNS)
