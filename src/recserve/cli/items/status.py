"""`recserve items status`: how fresh the items of a running service are."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from recserve.cli.items import target
from recserve.cli.output import print_json, print_pairs, print_table


def status(
    *,
    url: target.Url = "",
    token: target.Token = "",
    config: target.Config = None,
    timeout: target.Timeout = 10.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show rows, freshness, alarms and memory of a running service; exit code 1 if an alarm is on."""
    with target.client(url, token, config, timeout) as items:
        told = items.status()
    if as_json:
        print_json(told)
    else:
        _print(told)
    raise typer.Exit(int(bool(told["alarms"])))


def _print(told: dict[str, Any]) -> None:
    image = told["image"] or {}
    print_pairs(
        {
            "state": told["state"],
            "items": f"{told['rows']:,}",
            "memory": megabytes(told["bytes"]),
            "snapshot": f"{image['path']}, {moment(image['saved_at'])}" if image else "none",
        }
    )
    rows = [
        [
            table["name"],
            table["state"],
            table["rows"],
            moment(table["watermark"]),
            "" if table["lag_seconds"] is None else f"{table['lag_seconds']:.1f} s",
            table["changes"],
            moment((table["last_refresh"] or {}).get("finished_at")),
            table["last_error"],
        ]
        for table in told["tables"]
    ]
    titles = ["table", "state", "rows", "watermark", "lag", "changes", "refreshed", "last error"]
    typer.echo()
    print_table(titles, rows, title="Tables")
    for alarm in told["alarms"]:
        typer.echo(f"✗ {alarm['table'] or 'items'}: {alarm['message']} (since {moment(alarm['since'])})")


def moment(seconds: float | None) -> str:
    """Seconds since 1970 for a person, in UTC."""
    if not seconds:
        return ""
    return datetime.fromtimestamp(seconds, UTC).isoformat(sep=" ", timespec="seconds").replace("+00:00", "Z")


def megabytes(size: int) -> str:
    """Bytes for a person."""
    return f"{size / 2**20:,.1f} MiB"
