"""`recserve serve`: a bundle becomes a service."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from recserve.errors import RecserveError

#: What the context holds where the command is all that its process does, so that it may be begun again.
OWN_PROCESS = "own process"


class LogLevel(StrEnum):
    """Names of logging levels."""

    debug = "debug"
    info = "info"
    warning = "warning"
    error = "error"


def serve(
    context: typer.Context,
    bundle: Annotated[Path, typer.Argument(help="The exported model directory.", show_default=False)],
    *,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="The service file.", show_default=False)
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 is every one.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", "-p", min=0, max=65535, help="0 takes a free one.")] = 8000,
    log_level: Annotated[LogLevel, typer.Option(help="What is logged.")] = LogLevel.info,
) -> None:
    """Serve a model until SIGTERM or Ctrl-C."""
    from recserve.allocator import relaunch
    from recserve.config.concealed import blotted
    from recserve.config.environment import process_environ
    from recserve.config.service import load

    spec = load(config)
    if context.obj == OWN_PROCESS:
        relaunch(spec.rpc.allocators, process_environ())
    from recserve.server.without_pandas import do_without_pandas

    do_without_pandas()  # before anything converts something
    from recserve.server.serve import run

    try:
        status = run(bundle, spec, host=host, port=port, log_level=log_level.value)
    except RecserveError as error:  # it may name a table, or a path, that came from the environment
        raise type(error)(blotted(str(error), spec.secrets)) from error
    raise typer.Exit(status)
