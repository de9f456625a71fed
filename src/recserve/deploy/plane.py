"""A control plane, put together: store, backend, prober, reconciler, and the verbs on them.

with Plane(folder, backend=…) as plane: …      # reconciles until it is closed
"""

from __future__ import annotations

import os
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from recserve.deploy.aliases import Aliases
from recserve.deploy.control import Control
from recserve.deploy.probing import Prober
from recserve.deploy.reconciler import Reconciler
from recserve.deploy.records import Phase
from recserve.deploy.scaling import Scaler
from recserve.deploy.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from recserve.deploy.backends.backend import Backend
    from recserve.deploy.gateway.gateway import Gateway
    from recserve.deploy.records import Instance


class Plane:
    """Everything that one control plane has."""

    def __init__(
        self,
        folder: Path,
        backend: Callable[[Callable[[], None]], Backend],
        *,
        endpoint: str,
        gateway: Callable[[Store], Gateway] | None = None,
        advice: str = "",
        elsewhere: bool = False,
    ) -> None:
        """`backend` is made with what it calls when something has changed.

        `endpoint` is where clients are sent to if there is no gateway, and `advice` says how to get one.
        `elsewhere`: instances have the directories of other machines, see Control.
        """
        self.store = Store(folder)
        self.token = _token(folder)
        self._endpoint = endpoint
        self.advice = advice
        self.gateway = gateway(self.store) if gateway is not None else None
        self.backend = backend(self.wake)
        self.prober = Prober(self.wake)
        aliases = Aliases(folder)
        self.reconciler = Reconciler(
            self.store,
            self.backend,
            self.prober,
            resolved=aliases,
            routes_changed=self.gateway.wake if self.gateway is not None else lambda: None,
        )
        self.control = Control(
            self.store, self.wake, resolved=aliases, nodes=self.backend.nodes, elsewhere=elsewhere
        )
        self.scaler = Scaler(self.store, self.control)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close(keep=False)

    def start(self) -> None:
        """Open the gateway, reconcile and scale, in threads."""
        if self.gateway is not None:
            self.gateway.start()
        self.reconciler.start()
        self.scaler.start()

    @property
    def endpoint(self) -> str:
        """Where clients are told to send requests: the gateway, or discovery."""
        return self._endpoint if self.gateway is None else self.gateway.url

    def instances_of(self, service: str) -> list[Instance]:
        """As users see them: one is ready when requests for the service reach it, by the gateway too."""
        found = self.store.instances_of(service)
        if self.gateway is None:
            return found
        reached = self.gateway.reached
        return [
            replace(one, phase=Phase.STARTING, message="the gateway does not know it yet")
            if one.phase is Phase.READY and one.id not in reached
            else one
            for one in found
        ]

    def wake(self) -> None:
        """Something has changed."""
        reconciler: Reconciler | None = getattr(self, "reconciler", None)  # the backend is made before it
        if reconciler is not None:
            reconciler.wake()

    def close(self, *, keep: bool) -> None:
        """Stop reconciling, and end all instances, or leave them to the next control plane."""
        self.scaler.close()
        self.reconciler.close()
        self.prober.close()
        if self.gateway is not None:  # while instances still answer what it has let in
            self.gateway.close(keep=keep)
        self.backend.close(keep=keep)
        self.store.close()


def _token(folder: Path) -> str:
    """Made at the first start, and kept where only its owner reads."""
    path = folder / "token"
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(32))
    return path.read_text().strip()
