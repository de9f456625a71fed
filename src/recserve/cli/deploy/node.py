"""`recserve node`: this machine as one of those that instances run on."""

from typing import Annotated

import typer

app = typer.Typer(
    name="node",
    no_args_is_help=True,
    help="Machines of a Ray cluster.",
    epilog="[bold]Example[/bold]: recserve node start --head",
)


@app.command(epilog="[bold]Example[/bold]: recserve node start --address 10.0.0.1:6379 --pool gpu")
def start(
    *,
    head: Annotated[bool, typer.Option("--head", help="Begin a cluster; one machine does.")] = False,
    address: Annotated[str, typer.Option(help="Join the cluster of this head: host:port.")] = "",
    host: Annotated[
        str, typer.Option(help="Address by which the others reach this machine; Ray finds one.")
    ] = "",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where the head listens.")] = 6379,
    pool: Annotated[
        list[str] | None,
        typer.Option(help="A pool that it belongs to (metadata.resource); may be given again."),
    ] = None,
    cpu: Annotated[int | None, typer.Option(min=0, help="Cores to give away; all of them.")] = None,
    gpu: Annotated[int | None, typer.Option(min=0, help="Cards to give away; all of them.")] = None,
) -> None:
    """Give this machine to a cluster, until SIGTERM or Ctrl-C."""
    from recserve.deploy.backends.ray.token import use_token

    token = use_token(make=head)
    from recserve.deploy.backends.ray import node  # it imports Ray, which looks for the token's variable

    if head and token is not None:
        typer.echo(f"the other nodes and `recserve up` need this cluster's token: {token}")
    node.become(
        node.command(head=head, address=address, host=host, port=port, pools=pool or (), cpu=cpu, gpu=gpu)
    )
