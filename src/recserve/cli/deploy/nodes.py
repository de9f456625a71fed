"""`recserve nodes`: the machines that instances run on."""

from recserve.cli.deploy import asking

_COLUMNS = {
    "Name": "NODE",
    "Host": "HOST",
    "Status": "STATUS",
    "Cpu": "CPU",
    "Memory": "MEMORY",
    "Gpu": "GPU",
    "Pools": "POOLS",
    "InstanceCount": "INSTANCES",
}


@asking.asking
def nodes(plane: asking.Plane) -> None:
    """List the machines that instances run on."""
    plane.show_rows(plane.client.nodes(), _COLUMNS)
