"""The gateway of a control plane: HAProxy kept running, and told what it should know.

    store ──routes──▶ wanted ┐
                             ├──changes──▶ commands     after every change, and until none is left
    HAProxy ──observe──────▶ ┘

What it knows is asked before each pass, so one that was started again, adopted, or told things by somebody
else ends where it should.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from recserve.deploy.errors import BackendError
from recserve.deploy.gateway.changes import changes, slot
from recserve.deploy.gateway.configuration import CONTROL, Settings
from recserve.deploy.gateway.policy import Policy, policy
from recserve.deploy.gateway.process import Address, Process, Tls
from recserve.deploy.gateway.routes import Routes, routes
from recserve.deploy.gateway.runtime import Runtime
from recserve.errors import LoadError, RecserveError

if TYPE_CHECKING:
    from pathlib import Path

    from recserve.deploy.records import Version
    from recserve.deploy.store import Store

log = logging.getLogger("recserve.deploy")

#: How often the process is looked after.
_PERIOD_S = 0.2
#: How often what it knows is compared with what it should know although nothing has changed.
_COMPARED_S = 5.0
#: To answer a first question in, after its start.
_BEGIN_S = 10.0
_FIRST_REST_S, _LONGEST_REST_S = 0.1, 10.0


class Gateway:
    """One address for all services."""

    def __init__(
        self,
        store: Store,
        program: Path,
        address: Address,
        *,
        control: str,
        tls: Tls | None = None,
        advertised: str = "",
    ) -> None:
        """`control` is host:port of the control plane, which answers discovery.

        `advertised` is the host that clients are told, where they cannot use that of `address`.
        """
        folder = store.folder / "gateway"
        folder.mkdir(mode=0o700, exist_ok=True)
        self.reached: frozenset[str] = frozenset()  # instances that requests come to
        self._store = store
        self._advertised = advertised
        self._settings = Settings(control, tls=tls is not None)
        self._slots = frozenset(slot(number) for number in range(self._settings.slots))
        self._process = Process(folder, program, address, self._settings, tls)
        self._runtime = Runtime(folder)
        self._policies: dict[str, tuple[Version, Policy]] = {}
        self._passing = threading.Lock()  # two at once would undo what the other has just done
        self._woken = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="gateway", daemon=True)

    @property
    def url(self) -> str:
        """Where clients send requests to."""
        address = self._process.address
        host = self._advertised or address.host
        host = f"[{host}]" if ":" in host else host
        return f"{'https' if self._settings.tls else 'http'}://{host}:{address.port}"

    def start(self) -> None:
        """Begin, or adopt what an earlier control plane left, and look after it until `close`."""
        if self._process.adopt():
            log.info("the gateway at %s goes on", self.url)
        else:
            self._process.start()
        self._begin()
        self._thread.start()

    def wake(self) -> None:
        """Something has changed."""
        self._woken.set()

    def close(self, *, keep: bool, grace_s: float = 5.0) -> None:
        """End it when the requests under way are answered, or leave it to the next control plane."""
        self._closing = True
        self.wake()
        if self._thread.ident is not None:
            self._thread.join()
        self._process.close(keep=keep, grace_s=grace_s)

    def settle(self) -> bool:
        """One pass; true if there was nothing to tell."""
        with self._passing:
            return self._pass()

    def _pass(self) -> bool:
        observed = self._runtime.observe(self._slots, CONTROL)
        wanted = self._wanted()
        commands = changes(wanted, observed)
        if observed.control != self._settings.control:
            host, _, port = self._settings.control.rpartition(":")
            commands.append(f"set server {CONTROL}/plane addr {host.strip('[]')} port {port}")
        for command in commands:
            said = self._runtime.tell(command)
            if said:
                log.debug("gateway: %s", said)
        if not commands:
            self.reached = frozenset(
                server.rpartition(".")[0] for target in wanted.targets.values() for server in target
            )
        return not commands

    def _wanted(self) -> Routes:
        with self._store.reading():
            services = dict(self._store.services)
            instances = list(self._store.instances.values())
            versions = {name: self._store.versions[name, one.version] for name, one in services.items()}
        policies = {}
        for name, version in versions.items():
            known = self._policies.get(name)
            if known is None or known[0] is not version:
                try:
                    known = version, policy(version.document)
                except RecserveError as error:
                    log.warning("service %s gets no requests by the gateway: %s", name, error)
                    continue
                self._policies[name] = known
            policies[name] = known[1]
        self._policies = {name: one for name, one in self._policies.items() if name in versions}
        return routes(services, instances, policies)

    def _begin(self) -> None:
        """Wait until it answers, and tell it everything."""
        give_up_at = time.monotonic() + _BEGIN_S
        while True:
            try:
                self.settle()
                return
            except BackendError as error:
                if time.monotonic() > give_up_at:
                    raise LoadError(f"{error}, {_BEGIN_S:g} s after its start") from error
                time.sleep(0.01)

    def _run(self) -> None:
        settled, compared_at, rest_s = False, time.monotonic(), _FIRST_REST_S
        while not self._closing:
            if self._woken.wait(_PERIOD_S):
                self._woken.clear()
                settled = False
            if self._closing:
                return
            try:
                if not self._process.alive:
                    log.warning("the gateway has ended; it is started again")
                    self._process.start()
                    self._begin()
                    settled = False
                if not settled or time.monotonic() - compared_at > _COMPARED_S:
                    # What was told is looked at once more: only then it is known to be there.
                    settled, compared_at = self.settle() or self.settle(), time.monotonic()
                rest_s = _FIRST_REST_S
            except Exception as error:  # whatever it is, the next try may do better than no gateway
                log.warning("gateway: %s", error, exc_info=not isinstance(error, RecserveError))
                self._woken.wait(rest_s)
                rest_s = min(_LONGEST_REST_S, 2 * rest_s)
