"""`recserve groups`: services that share an entry."""

from recserve.cli.deploy import asking

_COLUMNS = {
    "Name": "GROUP",
    "ServiceName": "SERVICE",
    "TrafficState": "TRAFFIC",
    "Weight": "WEIGHT",
    "TotalInstance": "INSTANCE",
    "InternetEndpoint": "PATH",
}


@asking.asking
def groups(plane: asking.Plane) -> None:
    """List groups with their members; a weight of -1 is by instances."""
    found = plane.client.groups()
    if not plane.as_json:
        found = [{**group, **member} for group in found for member in group["Services"]]
    plane.show_rows(found, _COLUMNS)
