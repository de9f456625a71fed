"""Instances as processes of this machine, each with a folder of its own below `folder`."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from typing import TYPE_CHECKING

from recserve.cores import cores
from recserve.deploy.backends.backend import Node
from recserve.deploy.backends.environments import Environments
from recserve.deploy.backends.logs import kept_log
from recserve.deploy.backends.root import Root, cleared
from recserve.deploy.backends.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from recserve.deploy.backends.backend import Observed, Order

_NODE = "local"
#: Logs of instances that have ended are kept for so long.
LOGS_KEPT_S = 7 * 86_400.0
_CLOSE_SECONDS = 40.0


class LocalBackend:
    """Begins by adopting what an earlier control plane has left running there."""

    def __init__(
        self, folder: Path, on_change: Callable[[], None] = lambda: None, *, host: str = "127.0.0.1"
    ) -> None:
        self._folder = folder = folder.absolute()  # processes start in other folders
        self._host = host
        self._on_change = on_change
        self._lock = threading.Lock()
        self._environments = Environments(folder.parent / "environments")
        self._running: dict[str, Supervisor] = {}
        self._cards: dict[str, tuple[str, ...]] = {}  # of the instances that have some
        self._every_card = _gpus()
        self._node = Node(_NODE, host, cpu=cores(), memory_mb=_memory_mb(), gpu=len(self._every_card))
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in sorted(folder.iterdir()):
            root = Root.found(path)
            if root is not None:
                self._running[root.order.instance] = supervisor = self._supervisor(root)
                supervisor.adopt()
            elif path.is_dir() and time.time() - path.stat().st_mtime > LOGS_KEPT_S:
                shutil.rmtree(path, ignore_errors=True)
            elif path.is_dir():  # an earlier control plane was killed while it took this away
                cleared(path)

    def nodes(self) -> list[Node]:
        """This machine."""
        return [self._node]

    def start(self, order: Order) -> None:
        """See backend.py."""
        with self._lock:
            if order.instance in self._running:
                return
            supervisor = self._supervisor(Root(self._folder / order.instance, order))
            self._running[order.instance] = supervisor
        supervisor.start()

    def stop(self, instance: str, grace_s: float) -> None:
        """See backend.py."""
        with self._lock:
            supervisor = self._running.get(instance)
        if supervisor is not None:
            supervisor.stop(grace_s)

    def observe(self) -> Mapping[str, Observed]:
        """See backend.py."""
        with self._lock:
            for name in [name for name, one in self._running.items() if one.done.is_set()]:
                del self._running[name]
                self._cards.pop(name, None)
            return {name: one.observed for name, one in self._running.items()}

    def logs(self, instance: str, lines: int) -> list[str]:
        """See backend.py."""
        return kept_log(self._folder, instance, lines)

    def close(self, *, keep: bool) -> None:
        """See backend.py."""
        with self._lock:
            running = list(self._running.values())
        for one in running:
            if keep:
                one.let_go()
            else:
                one.stop(min(one.order.grace_s, _CLOSE_SECONDS))
        for one in running:
            if not keep:
                one.done.wait(_CLOSE_SECONDS + 10)

    def _supervisor(self, root: Root) -> Supervisor:
        return Supervisor(
            root,
            self._environments,
            host=self._host,
            node=_NODE,
            on_change=self._on_change,
            visible_gpus=self._taken(root.order),
        )

    def _taken(self, order: Order) -> str | None:
        """Cards that nobody else has; None leaves it to the process, as where there are none."""
        every = self._every_card
        if not every or not (order.resources.gpu or order.resources.gpu_memory_gb):
            return None
        uses = {card: sum(card in cards for cards in self._cards.values()) for card in every}
        cards = tuple(sorted(every, key=lambda card: uses[card])[: max(1, order.resources.gpu)])
        self._cards[order.instance] = cards
        return ",".join(cards)


def _memory_mb() -> int:
    try:
        with open("/proc/meminfo") as file:
            return int(file.readline().split()[1]) // 1024
    except (OSError, ValueError, IndexError):
        return 0


def _gpus() -> list[str]:
    """The numbers of NVIDIA's cards."""
    if shutil.which("nvidia-smi") is None:
        return []
    command = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return found.stdout.split() if found.returncode == 0 else []
