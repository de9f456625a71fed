"""`recserve replay`: kept requests, sent again to one service or two."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recserve.cli.output import print_json, print_pairs, print_table, progress_bar

if TYPE_CHECKING:
    from recserve.client.replay import Report, Service


def replay(
    captures: Annotated[
        list[Path],
        typer.Argument(help="Files that a service has kept, or folders of them.", show_default=False),
    ],
    *,
    against: Annotated[
        str,
        typer.Option(
            help="The URL of a service, or of two, separated by a comma: that of today, and the other one.",
            show_default=False,
        ),
    ],
    name: Annotated[
        str, typer.Option(help="Name of the service, where a URL is only a server's address.")
    ] = "",
    token: Annotated[
        list[str] | None,
        typer.Option(envvar="RECSERVE_TOKEN", help="One for both, or given twice.", show_default=False),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="A service file, for name and token.", show_default=False),
    ] = None,
    tolerance: Annotated[float, typer.Option(min=0, help="How far two scores may be apart.")] = 1e-6,
    top: Annotated[int, typer.Option(min=1, help="The best items of a request that overlap is about.")] = 10,
    overlap: Annotated[
        float, typer.Option(min=0, max=1, help="The share of them that has to be the same.")
    ] = 0.0,
    slowdown: Annotated[
        float,
        typer.Option(min=0, help="How many times as slow the second may be (median).", show_default="any"),
    ] = math.inf,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for an answer.")] = 10.0,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder to write report.json and a plot to.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Send kept requests again; exit code 1 if one is not answered, or two services differ too much.

    Nothing else of a request is asked for than its scores, so nothing is kept again.
    """
    from recserve.client.captures import find
    from recserve.client.replay import Limits, replay

    services = _services(against, name, token or [], config)
    files = find(captures)
    limits = Limits(tolerance=tolerance, least_overlap=overlap, most_slowdown=slowdown, top=top)
    with progress_bar("replay", "requests") as show:
        report = replay(files, services, limits=limits, timeout_s=timeout, progress=show)
    if output is not None:
        _write(report, output)
    if as_json:
        print_json(report.to_json())
    else:
        _print(report)
    raise typer.Exit(int(bool(report.objections())))


def _services(against: str, name: str, tokens: list[str], config: Path | None) -> "list[Service]":
    from recserve.cli.target import target
    from recserve.client.replay import Service

    urls = [url.strip() for url in against.split(",") if url.strip()]
    if len(tokens) not in (0, 1, len(urls)):
        raise typer.BadParameter(
            f"{len(tokens)} tokens for {len(urls)} services; give one for all or one each"
        )
    services = []
    for place, url in enumerate(urls):
        token = tokens[place if len(tokens) > 1 else 0] if tokens else ""
        found = target(url, name, token, config)
        services.append(Service(found.service_url, found.token))
    return services


def _write(report: "Report", folder: Path) -> None:
    import json

    from recserve.client.replay_plot import draw

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(report.to_json(), indent=2, ensure_ascii=False))
    draw(report, folder / "replay.png")
    typer.echo(f"{folder / 'report.json'} {folder / 'replay.png'}", err=True)


def _print(report: "Report") -> None:
    figures = report.to_json()
    rows = [
        [
            service["url"],
            ", ".join(f"{status}: {times}" for status, times in service["statuses"].items()),
            service["p50_ms"] if service["p50_ms"] is not None else "",
            service["p99_ms"] if service["p99_ms"] is not None else "",
        ]
        for service in figures["services"]
    ]
    print_table(("service", "answers", "p50 ms", "p99 ms"), rows, title=f"{figures['requests']} requests")
    if outputs := report.outputs():
        typer.echo("")
        print_table(
            ("output", "max", "mean", f"top {report.limits.top}", "spearman"),
            [[name, *values.values()] for name, values in outputs.items()],
        )
    if worst := report.worst():
        typer.echo("")
        print_table(("worst", "max", "problem"), [[one.name, one.largest, one.problem] for one in worst])
    typer.echo("")
    objections = report.objections()
    verdict = {"verdict": "no" if objections else "yes"}
    print_pairs({**verdict, **{f"because {place + 1}": why for place, why in enumerate(objections)}})
