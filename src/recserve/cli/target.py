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
Deployed: TypeAlias = Annotated[
    str,
    typer.Option(
        "--service",
        help="A service of the control plane, by name: its instances are asked, with its token.",
        show_default=False,
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


def deployed(service: str, token: str) -> tuple[list[str], str]:
    """Where the ready instances of a service are posted to, and its token; the control plane knows."""
    from recserve.deploy.client import ControlClient, ControlError

    client = ControlClient.found()
    found = client.service(service)
    urls = [
        f"http://{one['InnerIP']}:{one['InstancePort']}{_PREDICT}{service}"
        for one in client.get(service, "instances")["Instances"]
        if one["Status"] == "Ready"
    ]
    if not urls:
        raise ControlError(f"no instance of service {service} is ready: it is {found['Status'].lower()}")
    return urls, token or found.get("AccessToken", "")
