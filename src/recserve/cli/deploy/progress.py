"""Following a service until it is as asked: one line on stderr for each change that can be seen."""

import time
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recserve.deploy.client import ControlClient

_PERIOD_S = 0.2
_WORDS = {"Creating": "Waiting"}


def follow(
    client: "ControlClient", answer: "Mapping[str, Any]", until: str = "Running", *, seconds: float
) -> dict[str, Any]:
    """Wait until the service of an answer has a status; exit code 1 where it fails, or takes longer.

    A roll-out that fails is an end, too: what has served before serves. One that had failed before the answer
    is not: then its instances are waited for.
    """
    name, failed_before = answer["ServiceName"], answer["Reason"] == "FAILED"
    deadline = time.monotonic() + seconds
    told = ""
    while True:
        found = client.service(name)
        status, failed = found["Status"], found["Reason"] == "FAILED" and until == "Running"
        line = _line(found)
        if line != told:
            typer.echo(f"[OK] {line}", err=True)
            told = line
        if status == "Failed" or (failed and not failed_before):
            typer.echo(f"recserve: service {name}: {found['Message']}; see `recserve logs {name}`", err=True)
            raise typer.Exit(1)
        if status == until and (not failed or found["RunningInstance"] == found["TotalInstance"]):
            typer.echo(f"[OK] Service is {until.lower()}", err=True)
            return found
        if time.monotonic() > deadline:
            typer.echo(
                f"recserve: service {name} is {status.lower()} after {seconds:g} s, and goes on"
                f"; see `recserve desc {name}`",
                err=True,
            )
            raise typer.Exit(1)
        time.sleep(_PERIOD_S)


def follow_away(client: "ControlClient", answer: "Mapping[str, Any]", *, seconds: float) -> None:
    """Wait until a deleted service is gone."""
    from recserve.deploy.client import ControlError

    try:
        follow(client, answer, "Deleted", seconds=seconds)
    except ControlError as error:
        if error.status != 404:
            raise
    typer.echo("[OK] Service is deleted", err=True)


def _line(found: dict[str, Any]) -> str:
    counts = (
        f"[Total: {found['TotalInstance']}, Pending: {found['PendingInstance']},"
        f" Running: {found['RunningInstance']}]"
    )
    word = _WORDS.get(found["Status"], found["Status"])
    return f"{word} {counts} {found['Message']}".rstrip()
