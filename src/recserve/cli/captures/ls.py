"""`recserve captures ls`: which requests a service has kept."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recserve.cli.output import print_json, print_table, progress_bar

if TYPE_CHECKING:
    from recserve.client.captures import Kept


def ls(
    captures: Annotated[
        list[Path],
        typer.Argument(help="Files that a service has kept, or folders of them.", show_default=False),
    ],
    *,
    limit: Annotated[int, typer.Option(min=1, help="The newest so many.")] = 1000,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List kept requests, the newest last; exit code 1 if a file cannot be read."""
    from recserve.client.captures import find

    files = find(captures)[-limit:]
    rows = []
    with progress_bar("captures", "files") as show:
        for number, file in enumerate(files):
            show(number, len(files))
            rows.append(_row(file))
        show(len(files), len(files))
    if as_json:
        print_json(rows)
    else:
        titles = ("time", "request", "kind", "items", "level", "bytes", "file")
        print_table(titles, [[row.get(title, "") for title in titles] for row in rows])
        for row in rows:
            if "problem" in row:
                typer.echo(row["problem"], err=True)
    raise typer.Exit(int(any("problem" in row for row in rows)))


def _row(file: Path) -> dict[str, Any]:
    from recserve.client.captures import read
    from recserve.errors import RequestError

    row: dict[str, Any] = {"file": str(file)}
    try:
        kept = read(file)
        row |= {
            "time": kept.written.isoformat(timespec="seconds"),
            "request": kept.request_id,
            "bytes": kept.size,
        }
        row |= _of_request(kept)
    except RequestError as error:
        message = str(error)
        row["problem"] = message if str(file) in message else f"{file}: {message}"
    return row


def _of_request(kept: "Kept") -> dict[str, Any]:
    if kept.data.kind == "tensors":
        return {"kind": "tensors", "level": kept.tensors().debug_level}
    request = kept.request()
    return {
        "kind": "features and texts" if kept.data.generate_features else "features",
        "items": request.rows,
        "level": request.debug_level,
    }
