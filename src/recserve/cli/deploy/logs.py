"""`recserve logs`: what the instances of a service write."""

from typing import TYPE_CHECKING, Annotated

import typer

from recserve.cli.deploy import asking

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_PERIOD_S = 1.0
#: So much of the end of a log is looked at each time; of an instance that writes more meanwhile, the rest is
#: passed over.
_LINES_FOLLOWED = 1000


@asking.asking
def logs(
    plane: asking.Plane,
    service: asking.ServiceName,
    *,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=10_000, help="Of each instance.")] = 100,
    instance: Annotated[str, typer.Option(help="Of this one only.", show_default=False)] = "",
    keyword: Annotated[str, typer.Option(help="Only lines that contain it.", show_default=False)] = "",
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Print what is written from now on, until Ctrl-C.")
    ] = False,
) -> None:
    """Print the last lines that the instances of a service have written, each after its instance's name."""
    from contextlib import suppress

    from recserve.cli.output import print_json

    name = asking.named(service)
    wanted = {"InstanceName": instance, "Keyword": keyword}
    query = {key: value for key, value in wanted.items() if value}
    if follow:
        with suppress(KeyboardInterrupt):
            for line in _followed(plane, name, query, lines):
                print_json(line) if plane.as_json else typer.echo(line)
        return
    found = plane.client.get(name, "logs", PageSize=lines, **query)["Logs"]
    if plane.as_json:
        print_json(found)
        return
    for line in found:
        typer.echo(line)


def newer(seen: "Sequence[str]", now: "Sequence[str]") -> "Sequence[str]":
    """What has come behind `seen`, where both are the end of one log.

    Of an end that looks the same at several places the least is taken for new.
    """
    for at in range(min(len(seen), len(now)), 0, -1):
        if now[:at] == seen[-at:]:
            return now[at:]
    return now


def _followed(plane: asking.Plane, name: str, query: "Mapping[str, str]", lines: int) -> "Iterator[str]":
    """The last lines of each instance, then whatever is written; instances come and go."""
    import time

    seen: dict[str, list[str]] = {}
    begun = False
    while True:
        every = plane.client.get(name, "logs", PageSize=max(lines, _LINES_FOLLOWED), **query)["Logs"]
        by_instance: dict[str, list[str]] = {}
        for line in every:
            by_instance.setdefault(line.partition(" ")[0], []).append(line)
        for instance, written in by_instance.items():
            yield from newer(seen.get(instance, []), written) if begun else written[-lines:]
        seen, begun = {**seen, **by_instance}, True
        time.sleep(_PERIOD_S)
