"""Three nodes of Ray on this machine: real raylets, real actors, real processes."""

from __future__ import annotations

import os
import signal
import urllib.request
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from tests.deploy.backends.contract import ProcessContract, gone, order, running, wait_for

from recserve.deploy.backends.backend import Observed, Resources, State
from recserve.deploy.backends.processes import identity
from recserve.deploy.backends.ray.backend import RayBackend
from recserve.deploy.backends.ray.cluster import POOL, POOL_SIZE, SETTINGS
from recserve.deploy.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from recserve.deploy.backends.backend import Backend

NAME = "app-1-aaaaaa"
STORE_BYTES = 80 * 2**20


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    import ray
    from ray.cluster_utils import Cluster

    head = {
        "num_cpus": 2,
        "object_store_memory": STORE_BYTES,
        "include_dashboard": False,
        "_system_config": SETTINGS,
    }
    made = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(2):
            add_node(made)
        yield made
    finally:
        ray.shutdown()
        made.shutdown()


def add_node(cluster: Any, **options: Any) -> Any:
    return cluster.add_node(num_cpus=2, object_store_memory=STORE_BYTES, **options)


@pytest.fixture
def begun(cluster: Any, tmp_path: Path) -> Iterator[Callable[[], RayBackend]]:
    """Begins control planes of one state, one after the other."""
    made: list[RayBackend] = []

    def begin() -> RayBackend:
        if made:
            made[-1].close(keep=True)
        made.append(
            RayBackend(tmp_path / "state", address=cluster.address, node_folder=str(tmp_path / "nodes"))
        )
        return made[-1]

    yield begin
    if made:
        made[-1].close(keep=False)


@pytest.fixture
def backend(begun: Callable[[], RayBackend]) -> Backend:
    return begun()


def asked(seen: Observed) -> str:
    with urllib.request.urlopen(f"http://{seen.host}:{seen.port}/", timeout=10) as answer:
        text: str = answer.read().decode()
        return text


def answering(backend: Backend, name: str = NAME) -> str:
    """What it says, once it listens."""
    said: list[str] = []

    def answers(seen: Observed | None) -> bool:
        assert seen is not None
        try:
            said.append(asked(seen))
        except OSError:
            return False
        return True

    wait_for(backend, name, lambda one: running(one) and answers(one))
    return said[-1]


def everywhere(name: str = NAME, **changes: object) -> Any:
    """An app that listens at the address of its node."""
    app = order().files["app.py"].replace('"127.0.0.1"', '""')
    return order(name, **{"files": {"app.py": app}, **changes})


def actor_pid(backend: RayBackend, name: str = NAME) -> int:
    """The process of the actor that keeps an instance."""
    call = backend._running[name]._actor.pid.remote()
    pid: int = backend.cluster.ask(call, 10)
    return pid


class TestRayBackend(ProcessContract):
    pass


def test_the_nodes_of_the_cluster_are_its_machines(backend: Backend) -> None:
    nodes = backend.nodes()

    assert len(nodes) == len({node.name for node in nodes}) == 3
    assert all(node.cpu == 2 and node.memory_mb > 0 for node in nodes)


def test_instances_are_spread_over_the_nodes_though_they_ask_for_nothing(backend: Backend) -> None:
    """Ray puts who asks for nothing anywhere, whatever else it is told."""
    names = [f"app-1-{number:06}" for number in range(6)]
    for name in names:
        backend.start(order(name))

    nodes = [seen.node for name in names if (seen := wait_for(backend, name, running)) is not None]

    assert sorted(Counter(nodes).values()) == [2, 2, 2]


def test_a_killed_actor_is_replaced_and_the_process_does_not_notice(backend: RayBackend) -> None:
    backend.start(everywhere())
    assert answering(backend) == NAME
    before = backend.observe()[NAME]
    killed = actor_pid(backend)

    os.kill(killed, signal.SIGKILL)

    wait_for(backend, NAME, lambda _: identity(killed) is None)
    assert actor_pid_after(backend, killed) != killed
    assert answering(backend) == NAME
    after = backend.observe()[NAME]
    assert (after.pid, after.port, after.restarts) == (before.pid, before.port, 0)
    os.kill(before.pid, signal.SIGKILL)  # and the new one watches it
    wait_for(backend, NAME, lambda one: running(one) and one is not None and one.restarts == 1)


def actor_pid_after(backend: RayBackend, killed: int) -> int:
    """The process of the next actor, once it answers."""
    found = [killed]

    def another(_: object) -> bool:
        if backend._running[NAME]._actor is None:
            return False
        try:
            found[0] = actor_pid(backend)
        except Exception:  # Ray has several words for an actor that is not there any more
            return False
        return found[0] != killed

    wait_for(backend, NAME, another)
    return found[0]


def test_the_next_control_plane_adopts_what_the_killed_one_left(begun: Callable[[], RayBackend]) -> None:
    first = begun()
    first.start(everywhere())
    assert answering(first) == NAME
    before = first.observe()[NAME]

    second = begun()

    assert second.observe() == {NAME: before}
    assert answering(second) == NAME


def test_the_next_control_plane_adopts_what_has_lost_its_actor_meanwhile(
    begun: Callable[[], RayBackend],
) -> None:
    first = begun()
    first.start(everywhere())
    assert answering(first) == NAME
    before = first.observe()[NAME]
    actor = actor_pid(first)
    first.close(keep=True)
    os.kill(actor, signal.SIGKILL)  # as all of them do when the cluster begins anew

    after = begun().observe()[NAME]

    assert (after.state, after.pid, after.port) == (State.RUNNING, before.pid, before.port)
    assert asked(after) == NAME


def test_another_control_plane_neither_sees_nor_ends_it(
    backend: RayBackend, cluster: Any, tmp_path: Path
) -> None:
    backend.start(everywhere())
    answering(backend)
    before = backend.observe()[NAME]
    backend.close(keep=True)

    other = RayBackend(tmp_path / "other", address=cluster.address, node_folder=str(tmp_path / "nodes"))
    seen = other.observe()
    other.close(keep=False)

    assert seen == {}
    assert identity(before.pid) is not None
    again = RayBackend(tmp_path / "state", address=cluster.address, node_folder=str(tmp_path / "nodes"))
    assert again.observe() == {NAME: before}
    again.close(keep=False)
    assert identity(before.pid) is None


def test_what_no_node_has_room_for_waits_and_says_so(backend: RayBackend) -> None:
    backend.start(order(resources=Resources(cpu=64)))

    seen = wait_for(backend, NAME, lambda one: one is not None and one.reason == "NoRoom")

    assert seen is not None
    assert seen.state is State.PREPARING
    assert "no node has CPU 64" in seen.message
    backend.stop(NAME, 1.0)
    wait_for(backend, NAME, gone)


def test_a_lost_node_is_told_and_what_it_has_left_is_taken_over_to_be_stopped(
    begun: Callable[[], RayBackend], cluster: Any
) -> None:
    first = begun()
    node = add_node(cluster, resources={f"{POOL}left": POOL_SIZE})
    first.start(everywhere(pool="left"))
    answering(first)
    placed = first.observe()[NAME]
    process = placed.pid
    assert [one.name for one in first.nodes() if "left" in one.pools] == [placed.node]

    cluster.remove_node(node, allow_graceful=False)

    lost = wait_for(first, NAME, lambda one: one is not None and one.state is State.LOST)
    assert lost is not None
    assert (lost.reason, placed.node in lost.message) == ("NodeLost", True)
    assert placed.node not in {one.name for one in first.nodes()}
    first.stop(NAME, 1.0)
    seen = wait_for(first, NAME, lambda one: one is not None and one.state is State.RUNNING)
    assert seen is not None
    assert (seen.pid, asked(seen)) == (process, NAME)
    first.stop(NAME, 1.0)
    wait_for(first, NAME, gone)
    assert identity(process) is None


def test_no_cluster_is_an_error_that_says_how_to_begin_one(cluster: Any, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="recserve node start --head"):
        RayBackend(tmp_path, address="127.0.0.1:1")
