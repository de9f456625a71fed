"""`recserve desc`: everything about one service."""

from recserve.cli.deploy import asking


@asking.asking
def desc(plane: asking.Plane, service: asking.ServiceName) -> None:
    """Show a service: its status, endpoint, token and document."""
    import json

    from recserve.cli.output import print_pairs

    answer = plane.client.service(asking.named(service))
    if plane.as_json:
        plane.show(answer)
        return
    document = json.loads(answer.pop("ServiceConfig", "{}"))
    plane.show(answer)
    print_pairs({"ServiceConfig": json.dumps(document, indent=2, ensure_ascii=False)})
