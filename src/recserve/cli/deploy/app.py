"""Commands that deploy services: which there are, in eascmd's words, and what else they are called."""

from collections.abc import Callable

import typer

from recserve.cli.deploy.alias import alias
from recserve.cli.deploy.create import create
from recserve.cli.deploy.delete import delete
from recserve.cli.deploy.deleteworkers import deleteworkers
from recserve.cli.deploy.desc import desc
from recserve.cli.deploy.down import down
from recserve.cli.deploy.events import events
from recserve.cli.deploy.groups import groups
from recserve.cli.deploy.lock import lock
from recserve.cli.deploy.logs import logs
from recserve.cli.deploy.ls import ls
from recserve.cli.deploy.mirror import mirror
from recserve.cli.deploy.modify import modify
from recserve.cli.deploy.node import app as node
from recserve.cli.deploy.nodes import nodes
from recserve.cli.deploy.release import release
from recserve.cli.deploy.render import render
from recserve.cli.deploy.rollout import rollout
from recserve.cli.deploy.scale import scale
from recserve.cli.deploy.scalers import autoscale, cronscale
from recserve.cli.deploy.showworkers import showworkers
from recserve.cli.deploy.start import start
from recserve.cli.deploy.stop import stop
from recserve.cli.deploy.up import up

#: What eascmd calls some of them, too.
ALSO = {"modify": ("update",), "ls": ("list",), "showworkers": ("w",), "deleteworkers": ("dw",)}

#: Each with an example.
COMMANDS: tuple[tuple[Callable[..., None], str], ...] = (
    (up, "up --detach"),
    (down, "down"),
    (create, "create service.json"),
    (modify, "modify rank -s service.json  [bold]or[/bold]  recserve modify rank -Dmetadata.instance=3"),
    (scale, "scale rank 3"),
    (desc, "desc rank -o json"),
    (ls, "ls"),
    (showworkers, "showworkers rank"),
    (deleteworkers, "deleteworkers rank rank-1-0a1b2c"),
    (stop, "stop rank"),
    (start, "start rank"),
    (delete, "delete rank -y"),
    (release, "release rank_canary --weight 10"),
    (rollout, "rollout rank --partition 1"),
    (autoscale, "autoscale rank -Dmin=1 -Dmax=5 -Dstrategies.qps=50"),
    (cronscale, "cronscale rank -s night.json"),
    (mirror, "mirror rank --target rank_next --ratio 10"),
    (lock, "lock rank dangerous"),
    (logs, "logs rank --lines 50"),
    (events, "events rank"),
    (groups, "groups"),
    (nodes, "nodes"),
    (render, "render service.json -o manifests"),
    (alias, "alias oss://my-bucket /data/my-bucket"),
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command, example in COMMANDS:
        epilog = f"[bold]Example[/bold]: recserve {example}"
        app.command(epilog=epilog, rich_help_panel="Services")(command)
        for name in ALSO.get(command.__name__, ()):
            app.command(name, epilog=epilog, hidden=True)(command)
    app.add_typer(node, rich_help_panel="Services")
