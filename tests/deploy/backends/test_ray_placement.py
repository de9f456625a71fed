from __future__ import annotations

import pytest

from recserve.deploy.backends.backend import Node, Order, Resources
from recserve.deploy.backends.ray.placement import preferred

#: Two machines, one of which has two nodes.
NODES = {
    "a": Node("a", "10.0.0.1", cpu=4, memory_mb=8000),
    "b": Node("b", "10.0.0.1", cpu=4, memory_mb=8000),
    "c": Node("c", "10.0.0.2", cpu=2, memory_mb=4000, pools=("small",)),
}


def order(service: str = "rank", version: int = 1, **changes: object) -> Order:
    return Order(f"{service}-{version}", service, version, **changes)  # type: ignore[arg-type]


OLD, NEW, OTHER = order(), order(version=2), order("other")


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ([], "a"),
        ([(OTHER, "a")], "b"),
        ([(NEW, "a")], "c"),  # another machine, rather than another node of this one
        ([(NEW, "a"), (NEW, "c")], "b"),
        ([(OLD, "a"), (OLD, "b"), (OLD, "c")], "c"),
        ([(OLD, "a"), (OLD, "b"), (NEW, "c")], "a"),
        ([(OLD, "b"), (OLD, "c"), (NEW, "a")], "c"),
        ([(NEW, "lost")], "a"),
    ],
)
def test_it_keeps_clear_of_its_version_then_of_its_service_then_of_all(
    others: list[tuple[Order, str]], expected: str
) -> None:
    assert preferred(NEW, NODES, others) == expected


def test_in_a_roll_the_new_ones_keep_clear_of_each_other_rather_than_of_those_that_end() -> None:
    """Before, the second one went to the first one's node: every node had one of the service."""
    nodes = {name: Node(name, "10.0.0.1", cpu=2) for name in ("a", "b", "c")}
    old = [(OLD, "b"), (OLD, "c")]  # begun before node a was there

    first = preferred(NEW, nodes, old)
    second = preferred(NEW, nodes, [*old, (NEW, first)])

    assert first == "a"
    assert second != first


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (order(resources=Resources(cpu=3)), "a"),
        (order(resources=Resources(cpu=2, memory_mb=4000), pool="small"), "c"),
        (order(resources=Resources(cpu=3), pool="small"), ""),
        (order(resources=Resources(gpu=1)), ""),
        (order(resources=Resources(gpu_memory_gb=4)), ""),
        (order(pool="large"), ""),
    ],
)
def test_only_a_node_that_is_large_enough_will_do(wanted: Order, expected: str) -> None:
    assert preferred(wanted, NODES, []) == expected


def test_nobody_is_sent_to_a_node_that_is_lost() -> None:
    lost = {"a": Node("a", "10.0.0.1", alive=False)}

    assert preferred(order(), lost, []) == ""
