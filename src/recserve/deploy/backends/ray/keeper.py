"""One instance's supervisor, as other machines call it: what the actor of an instance does on its node.

    control plane ──watch, stop, logs──▶ Keeper ──▶ Supervisor ──▶ process     one folder, on the node

The process leads a session of its own and outlives its keeper. Whoever keeps the same instance on the same
node next finds it by its folder, by its number and by when it began, and goes on; nothing serves less
meanwhile.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from recserve.config.environment import put
from recserve.deploy.backends import logs
from recserve.deploy.backends.environments import Environments
from recserve.deploy.backends.root import Root
from recserve.deploy.backends.supervisor import Supervisor
from recserve.deploy.client import home

if TYPE_CHECKING:
    from recserve.deploy.backends.backend import Observed, Order

#: What Ray tells its own workers: not meant for what they start.
_OF_RAY = ("OMP_NUM_THREADS", "PYTHONBREAKPOINT", "RAY_JOB_ID", "RAY_RAYLET_PID", "SPT_NOENV")


class Keeper:
    """Keeps one instance running; the methods are called from several threads."""

    def __init__(self, order: Order, plane: str, folder: str, *, host: str, node: str) -> None:
        """`plane` tells control planes apart that share nodes; `folder` is the node's own if it is ""."""
        for name in _OF_RAY:
            put(name, None)
        self._node = node
        self._changed = threading.Condition()
        self._changes = 0
        path = instances(plane, folder) / order.instance
        left = Root.found(path)
        self._supervisor = Supervisor(
            left or Root(path, order),
            Environments(path.parent.parent.parent / "environments"),
            host=host,
            node=node,
            on_change=self._on_change,
        )
        if left is None:
            self._supervisor.start()
        else:
            self._supervisor.adopt()

    def about(self) -> tuple[Order, str]:
        """What it keeps, and on which node."""
        return self._supervisor.order, self._node

    def where(self) -> str:
        """The node that it is on."""
        return self._node

    def pid(self) -> int:
        """Its own process, not that of the instance."""
        return os.getpid()

    def watch(self, changes: int, seconds: float) -> tuple[int, Observed, bool]:
        """Wait for another count of changes than `changes`, but no longer than `seconds`.

        The count, what is observed, and whether the instance has ended and is to be forgotten.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._changes != changes, seconds)
            return self._changes, self._supervisor.observed, self._supervisor.done.is_set()

    def stop(self, grace_s: float) -> None:
        """See backend.py."""
        self._supervisor.stop(grace_s)

    def logs(self, lines: int) -> list[str]:
        """See backend.py."""
        return self._supervisor.logs(lines)

    def _on_change(self) -> None:
        with self._changed:
            self._changes += 1
            self._changed.notify_all()


def instances(plane: str, folder: str) -> Path:
    """Where the instances of a control plane are on this node."""
    return (Path(folder) if folder else home()) / "instances" / plane


def left_behind(plane: str, folder: str) -> list[Order]:
    """What was running on this node, or is still, for all that its folders tell."""
    path = instances(plane, folder)
    roots = [Root.found(entry) for entry in sorted(path.iterdir())] if path.is_dir() else []
    return [root.order for root in roots if root is not None]


def kept_log(plane: str, folder: str, instance: str, lines: int) -> list[str]:
    """The log of an instance that was here; empty if there was none."""
    return logs.kept_log(instances(plane, folder), instance, lines)
