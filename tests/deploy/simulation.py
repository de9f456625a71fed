"""A control plane without processes and without a clock of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recserve.deploy.backends.memory import MemoryBackend
from recserve.deploy.control import Control
from recserve.deploy.probing import Answered
from recserve.deploy.reconciler import Reconciler
from recserve.deploy.records import Phase
from recserve.deploy.status import Status, status
from recserve.deploy.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from recserve.deploy.backends.backend import Order
    from recserve.deploy.probing import Asked
    from recserve.deploy.records import Instance

TINY = {
    "name": "tiny",
    "processor": "easyrec-torch-1.12",
    "model_path": "/usr",
    "metadata": {"instance": 2},
}


class Answers:
    """A prober whose answers a test decides: by default every instance that runs is ready."""

    def __init__(self) -> None:
        self.broken: Callable[[Order], bool] = lambda order: False
        self.asked: Mapping[str, Asked] = {}
        self.backend = MemoryBackend()

    def ask(self, wanted: Mapping[str, Asked]) -> None:
        self.asked = wanted

    def known(self, instance: str) -> Answered | None:
        if instance not in self.asked or instance not in self.backend.orders:
            return None
        ready = not self.broken(self.backend.orders[instance])
        return Answered(ready, message="it answers 503", pid=self.asked[instance].pid)


class Simulation:
    """Steps of a second each, in which everything happens that can."""

    def __init__(self, folder: Path) -> None:
        self.now = 1000.0
        self.folder = folder
        self.store = Store(folder)
        self.prober = Answers()
        self.backend = MemoryBackend(clock=self.clock)
        self.prober.backend = self.backend
        self.control = Control(self.store, lambda: None)
        self.reconciler = self._reconciler()
        self.least_ready = 1_000_000
        self.most_living = 0

    def clock(self) -> float:
        return self.now

    def restart(self) -> None:
        """The control plane is killed and begun again; instances live on."""
        self.store.close()
        self.store = Store(self.folder)
        self.control = Control(self.store, lambda: None)
        self.reconciler = self._reconciler()

    def create(self, **changes: Any) -> None:
        self.control.create({**TINY, **changes})

    def step(self, seconds: int = 1) -> None:
        for _ in range(seconds):
            self.now += 1
            self.reconciler.reconcile()
            for service in self.store.services.values():
                found = self.instances(service.name)
                self.least_ready = min(self.least_ready, sum(one.phase is Phase.READY for one in found))
                self.most_living = max(self.most_living, sum(one.living for one in found))

    def watch(self) -> None:
        """Count anew how few were ready and how many lived at any step."""
        self.least_ready, self.most_living = 1_000_000, 0

    def instances(self, service: str = "tiny") -> list[Instance]:
        return self.store.instances_of(service)

    def ready(self, service: str = "tiny") -> dict[int, int]:
        """How many instances of each version are ready."""
        result: dict[int, int] = {}
        for one in self.instances(service):
            if one.phase is Phase.READY:
                result[one.version] = result.get(one.version, 0) + 1
        return result

    def status(self, service: str = "tiny") -> Status:
        return status(self.store.services[service], self.instances(service))

    def _reconciler(self) -> Reconciler:
        return Reconciler(self.store, self.backend, self.prober, clock=self.clock)
