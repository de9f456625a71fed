"""`recserve alias`: where on this machine is what an object store's URI names?"""

from pathlib import Path
from typing import Annotated

import typer


def alias(
    uri: Annotated[str, typer.Argument(help="oss://bucket, or oss:// for the parent of all.")] = "",
    folder: Annotated[
        Path | None, typer.Argument(help="The directory that it stands for.", show_default=False)
    ] = None,
    *,
    remove: Annotated[bool, typer.Option("--rm", help="Forget it.")] = False,
    state: Annotated[
        Path | None,
        typer.Option(help="The control plane's folder; RECSERVE_HOME or ~/.recserve.", show_default=False),
    ] = None,
) -> None:
    """Show, set or forget which directories URIs such as oss://bucket stand for."""
    from recserve.cli.output import print_table
    from recserve.deploy.aliases import read_table, write_table
    from recserve.deploy.client import home

    place = (state or home()) / "aliases.json"
    table = read_table(place)
    if uri and (folder is not None or remove):
        if remove and uri not in table:
            raise typer.BadParameter(
                f"{uri} stands for nothing; there are {', '.join(table) or 'no aliases'}"
            )
        kept = {key: value for key, value in table.items() if key != uri}
        write_table(place, kept if folder is None else {**kept, uri: str(folder.absolute())})
        table = read_table(place)
    rows = [(name, to) for name, to in sorted(table.items()) if uri in ("", name)]
    print_table(("URI", "DIRECTORY"), rows)
