"""The backend `ray`: which instances there are, where they should be, and which nodes come and go."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from recserve.deploy.backends.backend import State
from recserve.deploy.backends.ray.cluster import Cluster, DiedError, SilentError, shares
from recserve.deploy.backends.ray.keeper import kept_log, left_behind
from recserve.deploy.backends.ray.placed import PATIENCE_S, Placed
from recserve.deploy.backends.ray.placement import fits, preferred
from recserve.deploy.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from recserve.deploy.backends.backend import Node, Observed, Order

log = logging.getLogger("recserve.deploy")

_PERIOD_S = 1.0
#: For a task on a node, which begins with a new process of Python.
_TASK_S = 30.0
_CLOSE_SECONDS = 40.0


class RayBackend:
    """Begins by adopting what an earlier control plane of the same folder has left in the cluster."""

    def __init__(
        self,
        folder: Path,
        on_change: Callable[[], None] = lambda: None,
        *,
        address: str = "auto",
        node_folder: str = "",
    ) -> None:
        """`node_folder`: where nodes keep instances; "" is RECSERVE_HOME of each, or ~/.recserve."""
        self.changed = on_change
        self.cluster = Cluster(address, _plane(folder), node_folder)
        self._lock = threading.Lock()
        self._running: dict[str, Placed] = {}
        self._nodes = self.cluster.nodes()
        self._to_search = self._living()  # nodes on which something may be left that is not known
        self._closing = threading.Event()
        self._adopt_actors()
        self._search()
        give_up_at = time.monotonic() + PATIENCE_S
        for one in list(self._running.values()):
            one.answered.wait(max(0.0, give_up_at - time.monotonic()))
        self._thread = threading.Thread(target=self._follow_nodes, name="ray nodes", daemon=True)
        self._thread.start()

    def nodes(self) -> list[Node]:
        """The machines of the cluster that Ray takes for alive."""
        return [node for node in self._nodes.values() if node.alive]

    def start(self, order: Order) -> None:
        """See backend.py."""
        with self._lock:
            if order.instance not in self._running:
                self._running[order.instance] = one = Placed(self, order, near=self._preferred(order))
                one.start()

    def stop(self, instance: str, grace_s: float) -> None:
        """See backend.py; what is left of a lost one is stopped when its node comes back."""
        with self._lock:
            found = self._running.get(instance)
        if found is not None:
            found.stop(grace_s)

    def observe(self) -> Mapping[str, Observed]:
        """See backend.py."""
        with self._lock:
            # What a node is called may be known later than that something runs there.
            return {
                name: replace(one.observed, node=self.name_of(one.node)) if one.node else one.observed
                for name, one in self._running.items()
            }

    def logs(self, instance: str, lines: int) -> list[str]:
        """See backend.py; of one that has ended, every node is asked whether it has its log."""
        with self._lock:
            found = self._running.get(instance)
        said = found.logs(lines) if found is not None else None
        if said is None:
            asked = self.cluster.on_each(self._living(), kept_log, instance, lines, seconds=PATIENCE_S)
            said = next((one for one in asked.values() if one), [])
        return said

    def close(self, *, keep: bool) -> None:
        """See backend.py."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._thread.join(_TASK_S)
        with self._lock:
            running = list(self._running.values())
        for one in running:
            if keep:
                one.let_go()
            else:
                one.stop(min(one.order.grace_s, _CLOSE_SECONDS))
        for one in running:
            if not keep:
                one.done.wait(_CLOSE_SECONDS + PATIENCE_S)
                one.let_go()
            one.join()  # Ray does not survive whoever waits for it while it is left
        self.cluster.close()

    def alive(self, node: str) -> bool:
        """Whether Ray takes a node for alive, as asked now."""
        try:
            self._nodes = self.cluster.nodes()
        except BackendError:
            return True
        return node in self._living()

    def name_of(self, node: str) -> str:
        """What people call a node; "" for none."""
        return self._nodes[node].name if node in self._nodes else node[:6]

    def why_not(self, order: Order) -> str:
        """What stands in the way of a place for an instance."""
        asked = ", ".join(f"{name} {value:g}" for name, value in shares(order).items()) or "nothing"
        large = [node.name for node in self._nodes.values() if fits(order, node)]
        if large:
            return f"waits for {asked}: {', '.join(large)} would be large enough, but others have it now"
        return f"no node has {asked}; start one (`recserve node start`), or ask for less"

    def forget(self, one: Placed) -> None:
        """It has ended. On a node that shares its machine with others, something may be left of it."""
        with self._lock:
            if self._running.get(one.order.instance) is one:
                del self._running[one.order.instance]
            gone = self._nodes.get(one.node)
            if gone is not None and not gone.alive:
                self._to_search |= {key for key in self._living() if self._nodes[key].host == gone.host}
        self.changed()

    def _preferred(self, order: Order) -> str:
        stay = [one for one in self._running.values() if one.observed.state is not State.STOPPING]
        return preferred(order, self._nodes, [(one.order, one.node or one.near) for one in stay])

    def _living(self) -> set[str]:
        return {key for key, node in self._nodes.items() if node.alive}

    def _adopt_actors(self) -> None:
        """Go on watching what an earlier control plane has placed."""
        for actor in self.cluster.kept():
            try:
                order, node = self.cluster.ask(actor.about.remote(), PATIENCE_S)
            except (TimeoutError, SilentError, DiedError):
                self.cluster.kill(actor)  # it never got a place: whoever still wants it orders it again
                continue
            self._adopt(order, node)

    def _search(self) -> None:
        """Take over what is on nodes and has no actor: left by one that died, or by the whole cluster."""
        searched = set(self._to_search)
        found = self.cluster.on_each(searched, left_behind, seconds=_TASK_S)
        self._to_search -= set(found) | (searched - self._living())
        for node, orders in found.items():
            for order in orders:
                self._adopt(order, node)

    def _adopt(self, order: Order, node: str) -> None:
        with self._lock:
            if order.instance not in self._running:
                self._running[order.instance] = one = Placed(self, order, node=node)
                one.start()

    def _follow_nodes(self) -> None:
        while not self._closing.wait(_PERIOD_S):
            try:
                known = self._living()
                self._nodes = self.cluster.nodes()
                self._to_search |= self._living() - known
                if self._to_search:
                    self._search()
            except BackendError as error:
                log.warning("%s", error)
            except Exception:  # the next time may do better
                if not self._closing.is_set():
                    log.exception("following the nodes of the cluster")


def _plane(folder: Path) -> str:
    """The name of a control plane among those that share a cluster: made once, kept with its state."""
    path = folder / "ray-namespace"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        path.write_text(f"recserve-{secrets.token_hex(4)}")
    return path.read_text().strip()
