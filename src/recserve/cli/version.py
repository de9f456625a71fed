"""`recserve version`: what is installed, for bug reports; and the versions of a service."""

import platform
from importlib import metadata
from typing import Annotated

import typer

from recserve import __version__
from recserve.cli.deploy import asking
from recserve.cli.output import print_json, print_pairs

_LIBRARIES = ("torch", "fbgemm-gpu-cpu", "fbgemm-gpu", "pyarrow", "numpy", "uvicorn")
_COLUMNS = {"Version": "VERSION", "BuildTime": "CREATE", "Current": "CURRENT"}


@asking.asking
def version(
    plane: asking.Plane,
    service: Annotated[str, typer.Argument(help="A service, to see its versions.", show_default=False)] = "",
    number: Annotated[
        int | None, typer.Argument(min=1, help="The version to roll to.", show_default=False)
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    wait: asking.Wait = True,
    timeout: asking.Timeout = asking.TIMEOUT_S,
) -> None:
    """Print what recserve stands on; or list a service's versions, or roll to one of them."""
    name = asking.named(service)
    if number is not None:
        _roll(plane, name, number, wait=wait, seconds=timeout)
    elif name:
        found = plane.client.get(name, "versions")["Versions"]
        current = plane.client.service(name)["CurrentVersion"]
        mark = {True: "*", False: ""}
        rows = [{**one, "Current": mark[one["Version"] == current]} for one in found]
        plane.show_rows(found if plane.as_json else rows, _COLUMNS)
    else:
        versions = {"recserve": __version__, "python": platform.python_version()}
        versions |= {name: found for name in _LIBRARIES if (found := _installed(name))}
        (print_json if as_json or plane.as_json else print_pairs)(versions)


def _roll(plane: asking.Plane, name: str, number: int, *, wait: bool, seconds: float) -> None:
    from recserve.cli.deploy.progress import follow

    answer = plane.client.put(name, "version", {"Version": number})
    if wait and answer["Status"] not in ("Stopped", "Stopping"):
        answer = follow(plane.client, answer, seconds=seconds)
    plane.show_service(answer)


def _installed(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""
