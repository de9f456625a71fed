"""`recserve render`: manifests for Kubernetes."""

from pathlib import Path
from typing import Annotated

import typer


def render(
    files: Annotated[list[Path], typer.Argument(help="Service files, those of a group together.")],
    *,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="A folder to write to; else to stdout.", show_default=False),
    ] = None,
    chart: Annotated[bool, typer.Option("--chart", help="A Helm chart instead of manifests.")] = False,
    image: Annotated[
        str, typer.Option(help="The image of services that name none; build it of the Dockerfile.")
    ] = "",
    namespace: Annotated[str, typer.Option("-n", "--namespace")] = "default",
    gateway: Annotated[str, typer.Option(help="The Gateway that routes attach to.")] = "recserve",
    volume: Annotated[
        list[str] | None,
        typer.Option(
            help="Where a directory is: /data=pvc:claim/below or /data=nfs:server:/path; else on each node.",
            show_default=False,
        ),
    ] = None,
    version: Annotated[int, typer.Option(min=1, help="The version that objects are labelled with.")] = 1,
    apply: Annotated[
        bool, typer.Option("--apply", help="Apply them to the cluster of the kubeconfig, as `kubectl` does.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="With --apply: take fields over that others have set.")
    ] = False,
    kube_context: Annotated[
        str, typer.Option(help="With --apply: the context of the kubeconfig.", show_default=False)
    ] = "",
) -> None:
    """Write what a service file is on Kubernetes. Generated: nobody has run it on a cluster for you."""
    from recserve.config.document import read_json
    from recserve.deploy.aliases import Aliases
    from recserve.deploy.backends.kubernetes.chart import chart_of
    from recserve.deploy.backends.kubernetes.files import files_of, write_files
    from recserve.deploy.backends.kubernetes.manifest import stream_of
    from recserve.deploy.backends.kubernetes.render import group_routes
    from recserve.deploy.backends.kubernetes.render import render as rendered
    from recserve.deploy.backends.kubernetes.settings import IMAGE, Settings, volumes_of
    from recserve.deploy.client import home

    settings = Settings(
        namespace=namespace, image=image or IMAGE, volumes=volumes_of(volume or ()), gateway=gateway
    )
    aliases = Aliases(home())
    services = [rendered(read_json(file), settings, version=version, resolved=aliases) for file in files]
    routes = group_routes(services, settings)
    for service in services:
        for remark in service.remarks:
            typer.echo(f"{service.deployment.name}: {remark}", err=True)
    if apply:
        from recserve.deploy.backends.kubernetes.cluster import Cluster

        cluster = Cluster.found(namespace, kube_context)
        for manifest in [one for service in services for one in service.manifests] + routes:
            cluster.apply(manifest, force=force)
            typer.echo(f"{manifest['kind']} {manifest['metadata']['name']} applied")
        return
    if output is None and not chart:
        typer.echo(stream_of([one for service in services for one in service.manifests] + routes), nl=False)
        return
    made = chart_of(services, routes, settings) if chart else files_of(services, routes)
    folder = output or Path("chart")
    for path in write_files(folder, made):
        typer.echo(path)
