"""`recserve showworkers`: the instances of a service."""

from recserve.cli.deploy import asking

_COLUMNS = {
    "InstanceName": "INSTANCENAME",
    "Version": "VERSION",
    "InnerAddress": "INNERIP",
    "HostName": "HOSTIP",
    "StartAt": "STARTAT",
    "RestartCount": "RESTARTS",
    "Status": "STATUS",
    "Ready": "READY",
    "Reason": "REASON",
    "LastState": "LASTSTATE",
}


@asking.asking
def showworkers(plane: asking.Plane, service: asking.ServiceName) -> None:
    """List the instances of a service: where they are, how they are, and how they last ended."""
    rows = plane.client.get(asking.named(service), "instances")["Instances"]
    if not plane.as_json:
        rows = [
            {
                **row,
                "InnerAddress": f"{row['InnerIP']}:{row['InstancePort']}" if row["InnerIP"] else "",
                "Ready": f"[{row['ReadyProcesses']}/{row['TotalProcesses']}]",
                "LastState": row["LastState"] or "",
            }
            for row in rows
        ]
    plane.show_rows(rows, _COLUMNS)
