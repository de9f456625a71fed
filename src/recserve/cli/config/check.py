"""`recserve config check`: whether a service file can be meant; nothing is opened, reached or started."""

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from recserve.cli.check import read_service_file
from recserve.cli.findings import FailedError, Report


def check(
    service_file: Annotated[Path, typer.Argument(help="The service file.", show_default=False)],
    *,
    strict: Annotated[bool, typer.Option("--strict", help="A warning is a failure too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check a service file alone: keys, types, limits, contradictions; exit code 1 if it would not do.

    `recserve check service.json` also reaches the tables that it names.
    """
    report = Report(as_json=as_json)
    with suppress(FailedError):
        spec = read_service_file(report, service_file)
        for warning in spec.warnings:
            report.note("service file", False if strict else None, warning)
    report.end()
