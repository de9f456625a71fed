"""`recserve node start`: this machine as a node of a Ray cluster, with the settings that failures need."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

from recserve.deploy.backends.ray.cluster import POOL, POOL_SIZE, SETTINGS
from recserve.errors import LoadError

if TYPE_CHECKING:
    from collections.abc import Sequence

#: No request and no model goes through Ray's object store; this is the least that it takes.
_STORE_BYTES = 80 * 2**20


def command(
    *,
    head: bool,
    address: str = "",
    host: str = "",
    port: int = 6379,
    pools: Sequence[str] = (),
    cpu: int | None = None,
    gpu: int | None = None,
) -> list[str]:
    """What begins it. Raises LoadError if it would be neither a head nor a node of one."""
    if head == bool(address):
        raise LoadError("a node is the head (--head), or belongs to one (--address host:6379); say which")
    options = {
        "object-store-memory": _STORE_BYTES,
        "node-ip-address": host or None,
        "num-cpus": cpu,
        "num-gpus": gpu,
        "resources": json.dumps({POOL + pool: POOL_SIZE for pool in pools}) if pools else None,
        "port": port if head else None,
        "address": address or None,
        "system-config": json.dumps(SETTINGS) if head else None,
        "include-dashboard": "false" if head else None,
    }
    made = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"]
    made += ["--head"] if head else []
    return made + [f"--{name}={value}" for name, value in options.items() if value is not None]


def become(what: Sequence[str]) -> None:
    """Become the node: this process is Ray's from now on, and a SIGTERM ends what it has started."""
    os.execv(what[0], list(what))
