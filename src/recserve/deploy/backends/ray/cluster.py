"""All that is asked of Ray: nodes, actors, and what becomes of calls. The one file that imports it."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING, Any

from recserve.deploy.backends.backend import Node
from recserve.deploy.backends.ray.keeper import Keeper
from recserve.deploy.errors import BackendError

try:
    import ray
    from ray.exceptions import (
        ActorUnavailableError,
        ActorUnschedulableError,
        GetTimeoutError,
        RayActorError,
        RayError,
    )
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
except ImportError as missing:
    raise BackendError("the backend ray needs Ray: pip install 'recserve[ray]'") from missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from recserve.deploy.backends.backend import Order, Resources

#: What the head of a cluster is started with: a node that is silent is given up after three to six seconds,
#: nodes go on for an hour without the head, and what an actor has started outlives it however it ends: Ray
#: would kill its children when a raylet dies. benchmarks/ray_deploy.py measures with these.
SETTINGS = {
    "health_check_period_ms": 1000,
    "health_check_timeout_ms": 2000,
    "health_check_failure_threshold": 3,
    "gcs_rpc_server_reconnect_timeout_s": 3600,
    "kill_child_processes_on_worker_exit": False,
}
#: A node that was started for a pool has `POOL_SIZE` of it; an instance takes one.
POOL, POOL_SIZE = "pool:", 1_000_000
#: Ours: the memory that a shared card is taken to have, as Ray counts cards and not their memory.
CARD_GB = 16
#: Calls to one actor that run at once: one watches, of each control plane that has been there lately.
_CALLS = 8
_MIB = 2**20
_CONNECT_S = 5.0


class DiedError(Exception):
    """The actor, or its node, has died; `began`: it had begun, so that another one may do better."""

    def __init__(self, why: str, *, began: bool) -> None:
        super().__init__(why)
        self.began = began


class SilentError(Exception):
    """The actor, or its node, cannot be reached now; Ray will find out whether it has died."""


class _Actor(Keeper):
    """A keeper that knows where Ray has put it."""

    def __init__(self, order: Order, plane: str, folder: str) -> None:
        node = ray.get_runtime_context().get_node_id()
        super().__init__(order, plane, folder, host=ray.util.get_node_ip_address(), node=node)


class Cluster:
    """A connection to a cluster; a process has one at a time."""

    def __init__(self, address: str, plane: str, folder: str) -> None:
        """`plane`: whose actors these are; `folder`: where nodes keep instances, see keeper.py."""
        self._plane = plane
        self._folder = folder
        try:
            _look_for(address)
            ray.init(address=address, namespace=plane, log_to_driver=False, logging_level="WARNING")
        except (OSError, RuntimeError, ValueError, RayError) as error:
            why = f"no Ray cluster at {address!r} ({_first_line(error)})"
            raise BackendError(f"{why}; `recserve node start --head` begins one") from error

    def nodes(self) -> dict[str, Node]:
        """The nodes by Ray's ids, also those that have died. A node that comes back has another id."""
        try:
            return {values["NodeID"]: _node(values) for values in ray.nodes()}
        except (RayError, OSError, RuntimeError) as error:
            raise BackendError(
                f"the head of the Ray cluster does not answer: {_first_line(error)}"
            ) from error

    def keep(self, order: Order, *, on: str = "", near: str = "", counted: bool = True) -> Any:
        """An actor that keeps an instance: the one that does already, or a new one.

        `on`: only on this node. `near`: there if it has room now, else anywhere. `counted`: Ray sets aside
        what the instance needs. Nothing waits for a place here.
        """
        options: dict[str, Any] = {"name": order.instance, "lifetime": "detached", "max_restarts": 0}
        options |= _needs(order) if counted else {"num_cpus": 0}
        if on:
            options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(on, soft=False)
        elif near:
            # Ray heeds a wish only of those who ask for something: a byte, which every node has.
            options["memory"] = options.get("memory") or 1
            options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(
                near, soft=True, _spill_on_unavailable=True
            )
        made = ray.remote(_Actor).options(max_concurrency=_CALLS, **options)
        try:
            return made.remote(order, self._plane, self._folder)
        except ValueError:  # the name is taken
            return ray.get_actor(order.instance)
        except RayError as error:
            raise SilentError(_first_line(error)) from error

    def kept(self) -> list[Any]:
        """The actors that an earlier control plane has left."""
        found = []
        for name in ray.util.list_named_actors():
            with contextlib.suppress(ValueError):  # it has ended just now
                found.append(ray.get_actor(name))
        return found

    def ask(self, call: Any, seconds: float) -> Any:
        """The answer to a call. Raises TimeoutError after `seconds`, DiedError, SilentError."""
        try:
            return ray.get(call, timeout=seconds)
        except GetTimeoutError:
            raise TimeoutError from None
        except ActorUnavailableError as error:
            raise SilentError(_first_line(error)) from error
        except RayActorError as error:
            began = not getattr(error, "actor_init_failed", False)
            raise DiedError(_first_line(error) if began else _last_line(error), began=began) from error
        except ActorUnschedulableError as error:
            raise DiedError(_first_line(error), began=True) from error
        except RayError as error:
            raise SilentError(_first_line(error)) from error

    def on_each(
        self, nodes: Iterable[str], function: Callable[..., Any], *arguments: object, seconds: float
    ) -> dict[str, Any]:
        """Call `function(plane, folder, *arguments)` on these nodes; what those answer that do in time."""
        remote = ray.remote(function)
        calls = {
            node: remote.options(
                num_cpus=0,
                max_retries=0,
                scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
            ).remote(self._plane, self._folder, *arguments)
            for node in nodes
        }
        done, _ = (
            ray.wait(list(calls.values()), num_returns=len(calls), timeout=seconds) if calls else ([], [])
        )
        answers = {}
        for node, call in calls.items():
            if call in done:
                with contextlib.suppress(RayError):
                    answers[node] = ray.get(call)
        return answers

    def kill(self, actor: Any) -> None:
        """End an actor, or the wait for its place."""
        with contextlib.suppress(RayError, ValueError, RuntimeError):
            ray.kill(actor)

    def close(self) -> None:
        """Leave the cluster; actors go on."""
        ray.shutdown()


def shares(order: Order) -> dict[str, float]:
    """What an instance needs, in the names that nodes have for what they own."""
    needs: Resources = order.resources
    cards = needs.gpu or min(1.0, needs.gpu_memory_gb / CARD_GB)
    every = {"CPU": needs.cpu, "memory": float(needs.memory_mb * _MIB), "GPU": float(cards)}
    every |= {POOL + order.pool: 1.0} if order.pool else {}
    return {name: value for name, value in every.items() if value}


def _needs(order: Order) -> dict[str, Any]:
    """The same, in the names of Ray's options. Less than a ten-thousandth is nothing to Ray."""
    found = {name: round(value, 4) for name, value in shares(order).items()}
    return {
        "num_cpus": found.pop("CPU", 0),
        "num_gpus": found.pop("GPU", 0),
        "memory": int(found.pop("memory", 0)) or None,
        "resources": found or None,
    }


def _node(values: dict[str, Any]) -> Node:
    owns: dict[str, float] = values.get("Resources", {})
    host = values["NodeManagerAddress"]
    return Node(
        f"{values.get('NodeName') or host}-{values['NodeID'][:6]}",  # several may have one name
        host,
        alive=bool(values["Alive"]),
        cpu=owns.get("CPU", 0.0),
        memory_mb=int(owns.get("memory", 0) / _MIB),
        gpu=int(owns.get("GPU", 0)),
        pools=tuple(sorted(name.removeprefix(POOL) for name in owns if name.startswith(POOL))),
        labels=dict(values.get("Labels", {})),
    )


def _look_for(address: str) -> None:
    """Raise OSError where nobody listens: Ray itself would try for minutes."""
    host, colon, port = address.rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=_CONNECT_S).close()


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
