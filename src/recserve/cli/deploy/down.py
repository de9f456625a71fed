"""`recserve down`: the end of the control plane of this machine."""

from pathlib import Path
from typing import Annotated

import typer


def down(
    *,
    state: Annotated[
        Path | None,
        typer.Option(help="Folder of its state; RECSERVE_HOME or ~/.recserve.", show_default=False),
    ] = None,
    timeout: Annotated[float, typer.Option(min=0, help="Seconds to wait for its end.")] = 120.0,
) -> None:
    """End the control plane of this machine, and its instances unless it was started with --keep."""
    from recserve.deploy.background import end
    from recserve.deploy.client import home

    folder = state or home()
    end(folder, timeout)
    typer.echo(f"the control plane of {folder} has ended")
