"""`recserve autoscale` and `recserve cronscale`: who decides how many instances there are."""

from typing import TYPE_CHECKING, Annotated

import typer

from recserve.cli.deploy import asking

if TYPE_CHECKING:
    from pathlib import Path

Words = Annotated[
    list[str],
    typer.Argument(
        help="The service; before it get, set or rm.", metavar="[get|set|rm] SERVICE", show_default=False
    ),
]


@asking.asking
def autoscale(
    plane: asking.Plane, words: Words, *, file: asking.File = None, assign: asking.Assign = None
) -> None:
    """Scale a service by what its instances measure: show, set or remove the rule.

    -Dmin=1 -Dmax=5 -Dstrategies.qps=50; percent of the cores (cpu) and of the cards (gpu) are measured, too.
    """
    _scaler(plane, "autoscaler", words, file, assign)


@asking.asking
def cronscale(
    plane: asking.Plane, words: Words, *, file: asking.File = None, assign: asking.Assign = None
) -> None:
    """Scale a service by the clock: show, set or remove its jobs.

    A file has {"scaleJobs": [{"name": "night", "schedule": "0 0 22 * * *", "targetSize": 1}]}.
    """
    _scaler(plane, "cronscaler", words, file, assign)


def _scaler(
    plane: asking.Plane, which: str, words: list[str], file: "Path | None", assign: list[str] | None
) -> None:
    verb, service = words if len(words) == 2 else ("set" if file or assign else "get", words[0])
    name = asking.named(service)
    if len(words) > 2 or verb not in ("get", "desc", "set", "rm"):
        raise typer.BadParameter(f"{' '.join(words)}: get, set or rm, and one service, are expected")
    if verb == "rm":
        plane.client.delete(name, which)
        typer.echo(f"[OK] {name} has no {which} any more", err=True)
        return
    if verb == "set":
        values = asking.given(file, assign)
        if not values:
            raise typer.BadParameter("nothing to set; name a file (-s) or values (-Dmin=1 -Dmax=5)")
        plane.client.put(name, which, values)
    plane.show(plane.client.get(name, which))
