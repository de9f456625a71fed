"""One instance on one machine: prepared, started, watched, started again, ended. For every backend that has
processes.

    PREPARING ──▶ RUNNING ──ended──▶ BACKING_OFF ──▶ RUNNING …      EXITED, if it is not to be started again
        └────────────┴──── stop ───▶ STOPPING ──▶ (done)

A thread each. The process leads a session of its own and carries a variable by which it and all that it has
started are known, so that nothing of it is left behind, whoever ended. It outlives the control plane if that
is killed, and the next one adopts it by its number and the time that it began.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import signal
import subprocess
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from recserve.deploy.backends.backend import Observed, State
from recserve.deploy.backends.checkout import CheckoutError, checkout
from recserve.deploy.backends.environments import Environments, RequirementsError
from recserve.deploy.backends.limits import Limits
from recserve.deploy.backends.logs import last_lines, turn
from recserve.deploy.backends.processes import Identity, family, free_port, identity, listening_ports, marked
from recserve.deploy.backends.root import MARK, PrepareError, Root, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from recserve.deploy.backends.backend import Order

log = logging.getLogger("recserve.deploy")

#: Between an end and the next start; doubled each time, and from the beginning after a longer life.
FIRST_REST_S, LONGEST_REST_S, LONG_LIFE_S = 0.5, 30.0, 60.0
_MESSAGE_LINES, _MESSAGE_CHARACTERS = 4, 500
_DYING_S = 5.0  # from SIGKILL; one that hangs in the system is not waited for
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Supervisor:
    """See above. `on_change` is called, from its thread, whenever `observed` is another."""

    def __init__(
        self,
        root: Root,
        environments: Environments,
        *,
        host: str,
        node: str,
        on_change: Callable[[], None],
        visible_gpus: str | None = None,
    ) -> None:
        self.order: Order = root.order
        self.observed = Observed(State.PREPARING, node=node)
        self.done = threading.Event()  # it has ended, and is not observed any more
        self._root = root
        self._environments = environments
        self._host = host
        self._on_change = on_change
        self._visible_gpus = visible_gpus
        self._limits = Limits(self.order.instance, self.order.resources)
        self._stopping = threading.Event()
        self._let_go = False
        self._grace_s = 0.0
        self._identity: Identity | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._listens = False
        self._out_of_memory = 0  # how often the system had ended one of its processes when it began
        self._python = ""
        self._thread = threading.Thread(target=self._live, name=self.order.instance, daemon=True)

    def start(self) -> None:
        """Prepare and run it."""
        self._thread.start()

    def adopt(self) -> None:
        """Take over what an earlier control plane has begun: its process, if it still runs.

        It is observed as running when this returns, so that nobody takes it for one that is still to begin.
        """
        noted = _read(self._root.path / "process.json")
        found = _known_process(noted)
        if found is not None and found.alive:
            self._identity = found
            self._adopted(noted)
        else:
            self._kill_rest()
            self._see(restarts=int(noted.get("restarts", 0)))
            if noted and self.order.restart:
                self._see(restarts=self.observed.restarts + 1)
            elif noted:
                self._see(state=State.EXITED, reason="Error", message="it ended while nobody watched it")
                return
        self._thread.start()

    def stop(self, grace_s: float) -> None:
        """SIGTERM, and SIGKILL after `grace_s`; returns at once."""
        if self._stopping.is_set():
            return
        self._grace_s = grace_s
        self._see(state=State.STOPPING)
        self._stopping.set()
        threading.Thread(target=self._end, name=f"end {self.order.instance}", daemon=True).start()

    def let_go(self) -> None:
        """Watch no longer; its process goes on."""
        self._let_go = True

    def logs(self, lines: int) -> list[str]:
        """The last lines that it wrote."""
        return last_lines(self._root.log, lines)

    def _live(self) -> None:
        try:
            if self._identity is not None or self._prepared():
                self._run()
        except Exception as error:  # a thread that dies in silence is an instance that nobody replaces
            log.exception("%s", self.order.instance)
            self._see(state=State.EXITED, reason="Error", message=str(error)[:_MESSAGE_CHARACTERS])

    def _prepared(self) -> bool:
        order = self.order
        try:
            self._root.prepare()
            for mount in order.mounts:
                if mount.repository is not None:
                    self._write_line(f"fetching {mount.repository}")
                    where = self._root.inside(mount.path)
                    checkout(mount.repository, where, given_up=self._stopping.is_set)
            self._root.write_files()
            file = self._root.where(order.requirements_path) if order.requirements_path else None
            self._python = self._environments.python_for(
                order.requirements, file, self._write_line, given_up=self._stopping.is_set
            )
        except RequirementsError as error:
            self._see(state=State.EXITED, reason="RequirementsFailed", message=str(error))
        except (PrepareError, CheckoutError) as error:
            self._see(state=State.EXITED, reason="CannotPrepare", message=str(error))
        except OSError as error:
            self._cannot("CannotPrepare", error)
        else:
            return True
        return False

    def _cannot(self, reason: str, error: OSError, exit_code: int | None = None) -> None:
        """The system refuses what it needs; a disk without room is the reason that people look for."""
        if error.errno in _NO_ROOM:
            reason = "DiskFull"
            message = f"{self._root.path}: {error.strerror}; make room on the disk of {self.observed.node}"
        else:
            message = str(error)
        self._see(state=State.EXITED, reason=reason, message=message, exit_code=exit_code)

    def _adopted(self, values: dict[str, Any]) -> None:
        assert self._identity is not None
        self._python = str(values.get("python", ""))
        self._see(
            state=State.RUNNING,
            host=self._host,
            port=int(values.get("port", 0)),
            fixed_port=bool(values.get("fixed_port", False)),
            pid=self._identity.pid,
            restarts=int(values.get("restarts", 0)),
            started_at=float(values.get("started_at", 0.0)),
        )

    def _run(self) -> None:
        rest = FIRST_REST_S
        while not self._stopping.is_set() and not self._let_go:
            began = time.monotonic()
            if self._identity is None and not self._begun():
                return
            code = self._watched()
            if self._stopping.is_set() or self._let_go:
                return
            self._ended(code)
            if not self.order.restart:
                return
            rest = FIRST_REST_S if time.monotonic() - began > LONG_LIFE_S else rest
            self._stopping.wait(rest)
            rest = min(LONGEST_REST_S, 2 * rest)

    def _begun(self) -> bool:
        """Start the process; false if it cannot be."""
        turn(self._root.log)
        self._out_of_memory = self._limits.out_of_memory()
        port = free_port(self._host)
        chosen = {"port": str(port), "host": self._host, "root": str(self._root.path), "python": self._python}
        environment = self._root.environment(chosen)
        if self._visible_gpus is not None:
            environment["CUDA_VISIBLE_DEVICES"] = self._visible_gpus
        try:
            with self._root.log.open("ab") as output:
                self._process = subprocess.Popen(
                    self._limits.entering(self._root.command(chosen)),
                    cwd=self._root.workdir(),
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
        except OSError as error:  # no such command, no such folder, no memory for another process
            self._cannot("CannotStart", error, exit_code=127)
            return False
        pid = self._process.pid
        self._identity = identity(pid) or Identity(pid, 0)
        self._note(port)
        self._see(
            state=State.RUNNING,
            host=self._host,
            port=port,
            fixed_port=False,
            pid=pid,
            started_at=time.time(),
            message="",
        )
        if self._stopping.is_set():  # it was stopped while it began
            self._signal(signal.SIGTERM)
        return True

    def _watched(self) -> int | None:
        """Wait until it has ended; its exit code, if it is our child."""
        assert self._identity is not None
        while not self._identity.wait(0.1 if self._looks_for_port() else 2.0):
            turn(self._root.log)
            if self._looks_for_port():
                self._find_port()
        if self._process is not None and self._process.pid == self._identity.pid:
            return self._process.wait()
        return None

    def _looks_for_port(self) -> bool:
        """Whether it may listen somewhere else than it was told, and was not seen to listen yet."""
        return bool(self.order.port) and not self._listens

    def _find_port(self) -> None:
        assert self._identity is not None
        ports = listening_ports(family(self._identity.pid))
        if self.observed.port in ports:
            self._listens = True
        elif self.order.port in ports:
            self._listens = True
            self._note(self.order.port, fixed=True)
            self._see(port=self.order.port, fixed_port=True)

    def _ended(self, code: int | None) -> None:
        self._kill_rest()
        self._identity = None
        self._listens = False
        lines = self.logs(_MESSAGE_LINES)
        said = " ".join(lines)[-_MESSAGE_CHARACTERS:]
        reason = "Completed" if code == 0 else "Error"
        if self._limits.out_of_memory() > self._out_of_memory:
            reason = "OOMKilled"
        elif code == -signal.SIGKILL:
            reason = "Killed"
        elif "ddress already in use" in said or "ddress in use" in said:
            reason = "PortInUse"
            said = (
                f"port {self.order.port} is taken on {self.observed.node}; an app that does not read"
                f" LISTENING_PORT runs once on each machine ({said})"
            )
        state = State.BACKING_OFF if self.order.restart else State.EXITED
        self._see(
            state=state,
            exit_code=code,
            finished_at=time.time(),
            reason=reason,
            message=said,
            restarts=self.observed.restarts + self.order.restart,
        )

    def _end(self) -> None:
        give_up_at = time.monotonic() + self._grace_s
        self._signal(signal.SIGTERM)
        found = self._identity
        if found is not None:
            found.wait(self._grace_s)
            # A shell that led it has ended at once; the server that the shell had started answers its last.
            while family(found.pid) and time.monotonic() < give_up_at:
                time.sleep(0.05)
            self._signal(signal.SIGKILL)
        if self._thread.ident is not None:  # what had ended before it was adopted has none
            self._thread.join(10)
        self._kill_rest()
        self._limits.remove()
        with contextlib.suppress(OSError):
            self._root.remove()
        self.done.set()
        self._on_change()

    def _signal(self, number: signal.Signals) -> None:
        found = self._identity
        if found is not None and found.alive:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(found.pid, number)

    def _kill_rest(self) -> None:
        """End what it has started and left behind; its port and its memory are free then."""
        led = family(self._identity.pid) if self._identity is not None else []
        found = [identity(pid) for pid in {*led, *marked(MARK, str(self._root.path))}]
        for one in filter(None, found):
            with contextlib.suppress(ProcessLookupError):
                os.kill(one.pid, signal.SIGKILL)
            one.wait(_DYING_S)

    def _note(self, port: int, *, fixed: bool = False) -> None:
        """Which process it is, for a control plane that comes later."""
        assert self._identity is not None
        values = {
            "pid": self._identity.pid,
            "began": self._identity.began,
            "port": port,
            "fixed_port": fixed,
            "python": self._python,
            "restarts": self.observed.restarts,
            "started_at": time.time(),
        }
        with contextlib.suppress(OSError):  # a full disk is no reason to end what runs
            write(self._root.path / "process.json", json.dumps(values))

    def _write_line(self, line: str) -> None:
        with contextlib.suppress(OSError), self._root.log.open("a") as file:
            file.write(f"{line}\n")

    def _see(self, **changes: Any) -> None:
        if self._stopping.is_set() and "state" in changes:
            changes["state"] = State.STOPPING
        self.observed = replace(self.observed, **changes)
        self._on_change()


def _known_process(values: dict[str, Any]) -> Identity | None:
    return Identity(values["pid"], values["began"]) if "pid" in values and "began" in values else None


def _read(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}
