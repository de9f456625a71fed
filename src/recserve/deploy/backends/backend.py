"""The contract of a backend: it starts, stops and observes instances, and decides nothing.

    order ──start──▶ [PREPARING ─▶ RUNNING ◀─▶ BACKING_OFF] ──stop──▶ STOPPING ─▶ (not observed any more)
                          └─────────────┴──▶ EXITED · LOST

Restarting a process that ended is the backend's: in place, with back-off. Replacing an instance is not: what
is EXITED or LOST stays so, until it is stopped. What a backend observes and nobody ordered, from before a
restart of the control plane or on a node that came back, is told as well: the reconciler adopts it or stops
it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


class State(StrEnum):
    """What became of an order."""

    PREPARING = "preparing"  # folders, environment, waiting for a place
    RUNNING = "running"  # its process runs; whether it is ready is the prober's to say
    BACKING_OFF = "backing off"  # its process ended and will be started again
    EXITED = "exited"  # its process ended for good, or never began
    LOST = "lost"  # its node does not answer; the process may still run
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class Resources:
    """What an instance needs; 0 is "does not matter"."""

    cpu: float = 0.0  # cores
    memory_mb: int = 0
    gpu: int = 0  # whole cards
    gpu_memory_gb: int = 0  # of a shared card
    shm_gb: int = 0


@dataclass(frozen=True, slots=True)
class Probe:
    """How readiness is asked for; times in seconds."""

    path: str = ""  # of an HTTP GET that answers 200–399; "" is a TCP connection
    initial_delay_s: float = 0.0
    period_s: float = 1.0
    timeout_s: float = 1.0
    success_threshold: int = 1
    failure_threshold: int = 3


@dataclass(frozen=True, slots=True)
class Repository:
    """What git fetches for an instance: a commit, or else the last one of a branch."""

    url: str  # https, http, ssh or file, without credentials
    branch: str = ""  # "" is the repository's own choice
    commit: str = ""
    user: str = ""
    secret: str = field(default="", repr=False)  # a password, or a token

    def __str__(self) -> str:
        return f"{self.url} {self.commit or self.branch}".strip()


@dataclass(frozen=True, slots=True)
class Mount:
    """A directory that an instance finds at `path`."""

    path: str  # where it looks for it: /eas/workspace/model
    source: str  # an absolute directory or file of the node; "" is an empty directory of its own
    read_only: bool = False
    memory_gb: int = 0  # > 0: in memory (/dev/shm)
    repository: Repository | None = None  # fills the directory of its own


@dataclass(frozen=True, slots=True)
class Order:
    """One instance to run, in words that every backend understands.

    `script` is run by /bin/sh; otherwise `command` is executed, in which `{port}`, `{host}`, `{root}` and
    `{python}` stand for what the backend chose. The variable LISTENING_PORT has the port too.
    """

    instance: str
    service: str
    version: int
    command: tuple[str, ...] = ()
    script: str = ""
    image: str = ""  # of containers; "" and env://… are environments of Python on the node
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    files: Mapping[str, str] = field(default_factory=dict, repr=False)  # written below {root}, mode 0600
    mounts: tuple[Mount, ...] = ()
    workdir: str = ""  # a mount's path, or one below it; "" is {root}
    requirements: tuple[str, ...] = ()  # of pip
    requirements_path: str = ""  # a file below a mount
    port: int = 0  # where it listens if it does not read LISTENING_PORT; 0: it does
    resources: Resources = Resources()
    pool: str = ""  # nodes that it may run on; "" is any
    spread: str = "default"  # host: no two instances of a service on one node, where there are enough
    readiness: Probe = Probe()
    startup: Probe | None = None
    start_seconds: float = 600.0  # to become ready in
    grace_s: float = 30.0  # from SIGTERM to SIGKILL
    restart: bool = True  # whether its process is started again when it ends
    document: Mapping[str, Any] = field(default_factory=dict, repr=False)  # for those that render manifests


@dataclass(frozen=True, slots=True)
class Observed:
    """What a backend knows of one instance."""

    state: State
    host: str = ""  # where it is reached; "" until it is known
    port: int = 0
    fixed_port: bool = False  # it listens where it wants, not where it was told: one for each node
    node: str = ""
    pid: int = 0
    restarts: int = 0
    started_at: float = 0.0  # seconds since 1970, of the process that runs
    exit_code: int | None = None  # of the last process; −9 is signal 9
    finished_at: float = 0.0
    reason: str = ""  # OOMKilled, Error, Completed, RequirementsFailed, PortInUse, NoRoom, NodeLost, …
    message: str = ""  # what a person should know: the last lines of its log, the way out


@dataclass(frozen=True, slots=True)
class Node:
    """A machine that instances run on."""

    name: str
    host: str
    alive: bool = True
    cpu: float = 0.0
    memory_mb: int = 0
    gpu: int = 0
    pools: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


class Backend(Protocol):
    """Calls return at once, whatever they set going; they may come from any thread.

    What goes wrong with an order is observed (EXITED with a reason), not raised. BackendError is raised where
    the backend itself cannot be reached; the reconciler asks again.
    """

    def nodes(self) -> list[Node]:
        """The machines."""
        ...

    def start(self, order: Order) -> None:
        """Run an instance; ordering one that is known already does nothing."""
        ...

    def stop(self, instance: str, grace_s: float) -> None:
        """SIGTERM, then SIGKILL after `grace_s`; one that is unknown or ending already is left alone."""
        ...

    def observe(self) -> Mapping[str, Observed]:
        """Every instance that it knows, by id."""
        ...

    def logs(self, instance: str, lines: int) -> list[str]:
        """The last lines that it wrote, also of one that ended, as long as they are kept."""
        ...

    def close(self, *, keep: bool) -> None:
        """Let go: end everything, or leave instances running for the next control plane to adopt."""
        ...
