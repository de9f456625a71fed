"""Which admin port the commands talk to: options, the service file and the environment."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

if TYPE_CHECKING:
    from recserve.client.items import ItemsClient

Url: TypeAlias = Annotated[
    str,
    typer.Option(
        "--url",
        "-u",
        help="Address of the admin port; by default the service file's, on this machine.",
        show_default=False,
    ),
]
Token: TypeAlias = Annotated[
    str,
    typer.Option(
        "--token", envvar="RECSERVE_ADMIN_TOKEN", help="By default the service file's.", show_default=False
    ),
]
Config: TypeAlias = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="A service file, for port and token.", show_default=False),
]
Timeout: TypeAlias = Annotated[float, typer.Option("--timeout", help="Seconds to wait for the answer.")]


def client(url: str, token: str, config: Path | None, timeout: float) -> "ItemsClient":
    """Put together what the options say and what they leave to the service file."""
    from recserve.client.items import ItemsClient
    from recserve.config.service import load

    spec = load(config)
    if not url and spec.rpc.admin_port <= 0:
        where = "--url" if config is None else "--url, since the service file names no fixed rpc.admin_port"
        raise typer.BadParameter(f"say where the admin port is: {where}", param_hint="--url")
    known = next(iter((*spec.admin_tokens, *spec.tokens)), "")
    return ItemsClient(url or f"http://127.0.0.1:{spec.rpc.admin_port}", token or known, timeout_s=timeout)
