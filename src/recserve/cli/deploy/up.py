"""`recserve up`: the control plane of this machine."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from recserve.deploy.backends.backend import Backend


def up(
    context: typer.Context,
    *,
    state: Annotated[
        Path | None,
        typer.Option(help="Folder of its state; RECSERVE_HOME or ~/.recserve.", show_default=False),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on, and where instances listen.")
    ] = "127.0.0.1",
    advertise: Annotated[
        str,
        typer.Option(
            help="Address that clients are told; with --host 0.0.0.0, the one that this machine sends from.",
            show_default=False,
        ),
    ] = "",
    port: Annotated[int, typer.Option("--port", "-p", min=0, max=65535, help="0 takes a free one.")] = 8088,
    keep: Annotated[bool, typer.Option(help="Leave instances running when it ends.")] = False,
    detach: Annotated[bool, typer.Option(help="Run it in the background, until `recserve down`.")] = False,
    gateway: Annotated[bool, typer.Option(help="One address for all services, by HAProxy.")] = True,
    gateway_port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="Where the gateway listens; the port after --port.", show_default=False
        ),
    ] = None,
    tls_certificate: Annotated[
        Path | None,
        typer.Option(help="PEM file with the gateway's certificate chain.", show_default=False),
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(help="PEM file with the certificate's key.", show_default=False)
    ] = None,
    backend: Annotated[str, typer.Option(help="Where instances run: local, ray, kubernetes.")] = "local",
    address: Annotated[
        str, typer.Option(help="Ray: the head, host:port; else this machine's cluster.", show_default=False)
    ] = "auto",
    namespace: Annotated[
        str, typer.Option(help="Kubernetes: where pods are made.", show_default=False)
    ] = "default",
    kube_context: Annotated[
        str, typer.Option(help="Kubernetes: the context of the kubeconfig.", show_default=False)
    ] = "",
    image: Annotated[
        str, typer.Option(help="Kubernetes: the image of services that name none.", show_default=False)
    ] = "",
    volume: Annotated[
        list[str] | None,
        typer.Option(
            help="Kubernetes: /data=pvc:claim/below or …=nfs:server:/path; else on each node.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Run services that `recserve create` begins, until SIGTERM, Ctrl-C or `recserve down`."""
    from recserve.deploy.client import home

    folder = state or home()
    if detach:
        from recserve.deploy.background import begin

        url, log = begin(folder, _again(context))
        typer.echo(f"recserve control plane is ready at {url} (token: {folder / 'token'}, log: {log})")
        return
    from recserve.deploy import up as plane

    plane.up(
        folder,
        host=host,
        advertised=advertise,
        port=port,
        keep=keep,
        gateway=gateway,
        gateway_port=gateway_port,
        tls=plane.tls(tls_certificate, tls_key),
        backend=_backend(
            backend,
            folder,
            address=address,
            namespace=namespace,
            context=kube_context,
            image=image,
            volumes=volume or [],
        ),
        ready=lambda url: typer.echo(f"recserve control plane is ready at {url} (token: {folder / 'token'})"),
    )


def _backend(
    name: str, folder: Path, *, address: str, namespace: str, context: str, image: str, volumes: list[str]
) -> "Callable[[Callable[[], None]], Backend] | None":
    """Where instances run; None is this machine."""
    if name == "local":
        return None
    if name == "ray":
        from functools import partial

        from recserve.deploy.backends.ray.token import use_token

        use_token()
        from recserve.deploy.backends.ray.backend import RayBackend  # Ray looks for the token's variable

        return partial(RayBackend, folder, address=address)
    if name == "kubernetes":
        from recserve.deploy.backends.kubernetes.backend import connected
        from recserve.deploy.backends.kubernetes.settings import IMAGE, Settings, volumes_of

        settings = Settings(namespace=namespace, image=image or IMAGE, volumes=volumes_of(volumes))
        return connected(folder, settings, context)
    raise typer.BadParameter(f"{name!r}; local, ray and kubernetes are possible", param_hint="--backend")


def _again(context: typer.Context) -> list[str]:
    """The options of this command, for the process that stays."""
    options: list[str] = []
    for name, value in context.params.items():
        word = name.replace("_", "-")
        if isinstance(value, bool):
            options.append(f"--{word}" if value and name != "detach" else f"--no-{word}")
        elif isinstance(value, list | tuple):
            options += [part for one in value for part in (f"--{word}", str(one))]
        elif value is not None:
            options += [f"--{word}", str(value)]
    return options
