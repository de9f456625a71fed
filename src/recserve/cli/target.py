"""Which running service `score` and `bench` talk to: options, the service file and the environment."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

Url: TypeAlias = Annotated[
    str, typer.Option("--url", "-u", help="Address of the server, or the whole URL of the service.")
]
Name: TypeAlias = Annotated[
    str, typer.Option("--name", help="Name of the service; by default the service file's.")
]
Token: TypeAlias = Annotated[
    str,
    typer.Option(
        "--token", envvar="RECSERVE_TOKEN", help="By default the service file's.", show_default=False
    ),
]
Config: TypeAlias = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="A service file, for name and token.", show_default=False),
]

DEFAULT_URL = "http://127.0.0.1:8000"
_PREDICT = "/api/predict/"


@dataclass(frozen=True, slots=True)
class Target:
    """A service: `url` is the server's, without path."""

    url: str
    name: str
    token: str

    @property
    def service_url(self) -> str:
        """Where predictions are posted."""
        return f"{self.url}{_PREDICT}{self.name}"


def target(url: str, name: str, token: str, config: Path | None) -> Target:
    """Put together what the options say and what they leave to the service file."""
    from recserve.config.service import load

    spec = load(config)
    server, found, path = url.rstrip("/").partition(_PREDICT)
    if "://" not in server:
        server = f"http://{server}"
    own = name or (path if found else "") or spec.name
    return Target(server, own, token or next(iter(spec.tokens), ""))
