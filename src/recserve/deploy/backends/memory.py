"""Instances that only seem to run: for tests and simulations of everything above a backend.

The second, smallest implementation of the contract, and the example to read. Tests play fate: `end`, `lose`.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from recserve.deploy.backends.backend import Node, Observed, State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from recserve.deploy.backends.backend import Order


class MemoryBackend:
    """Every order runs at once; nothing listens at its address."""

    def __init__(
        self, on_change: Callable[[], None] = lambda: None, *, clock: Callable[[], float] = time.time
    ) -> None:
        self.orders: dict[str, Order] = {}
        self._observed: dict[str, Observed] = {}
        self._on_change = on_change
        self._clock = clock
        self._ports = 20_000

    def nodes(self) -> list[Node]:
        """One machine without limits."""
        return [Node("memory", "127.0.0.1")]

    def start(self, order: Order) -> None:
        """See backend.py."""
        if order.instance in self._observed:
            return
        self._ports += 1
        self.orders[order.instance] = order
        self._observed[order.instance] = Observed(
            State.RUNNING,
            "127.0.0.1",
            order.port or self._ports,
            fixed_port=bool(order.port),
            node="memory",
            pid=1,
            started_at=self._clock(),
        )
        self._on_change()

    def stop(self, instance: str, grace_s: float) -> None:
        """See backend.py; it ends at once."""
        self._observed.pop(instance, None)
        self.orders.pop(instance, None)
        self._on_change()

    def observe(self) -> Mapping[str, Observed]:
        """See backend.py."""
        return dict(self._observed)

    def logs(self, instance: str, lines: int) -> list[str]:
        """See backend.py; nothing writes."""
        return []

    def close(self, *, keep: bool) -> None:
        """See backend.py."""
        if not keep:
            self._observed.clear()

    def end(self, instance: str, exit_code: int = 1, *, again: bool = False) -> None:
        """Its process ends; `again`: and is started again at once."""
        was = self._observed[instance]
        state = State.RUNNING if again else State.EXITED
        self._observed[instance] = replace(
            was,
            state=state,
            restarts=was.restarts + again,
            pid=was.pid + again,
            exit_code=exit_code,
            finished_at=self._clock(),
            reason="OOMKilled" if exit_code == -9 else "Error",
        )
        self._on_change()

    def lose(self, instance: str) -> None:
        """Its node does not answer any more."""
        self._observed[instance] = replace(self._observed[instance], state=State.LOST, reason="NodeLost")
        self._on_change()
