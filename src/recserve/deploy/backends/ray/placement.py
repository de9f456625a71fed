"""Which node an instance should be on: apart from those whose loss it is to outlive."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from recserve.deploy.backends.backend import Node, Order


def preferred(order: Order, nodes: Mapping[str, Node], others: Iterable[tuple[Order, str]]) -> str:
    """Of the nodes that are large enough, the best; "" if there is none.

    `nodes` by their ids; `others`: the instances that stay, and the node of each, or where it is to be.
    Best is the host, then the node, with the fewest instances of the version, then of the service, then of
    all. The version comes first: in a roll the others of the service are about to end, and who keeps clear
    of those may end up beside one of its own.
    """
    at = [(other.service, other.version, node) for other, node in others]

    def host(node: str) -> str:
        return nodes[node].host if node in nodes else ""

    def taken(node: str) -> tuple[int, ...]:
        service = [(version, other) for name, version, other in at if name == order.service]
        own = [other for version, other in service if version == order.version]
        beside = [other for _, other in service]
        return (
            [host(other) for other in own].count(host(node)),
            own.count(node),
            [host(other) for other in beside].count(host(node)),
            beside.count(node),
            sum(other == node for *_, other in at),
        )

    return min((node for node in sorted(nodes) if fits(order, nodes[node])), key=taken, default="")


def fits(order: Order, node: Node) -> bool:
    """Whether an instance could run on a node, if nothing else did."""
    needs = order.resources
    enough = node.cpu >= needs.cpu and node.memory_mb >= needs.memory_mb and node.gpu >= needs.gpu
    cards = node.gpu > 0 or not needs.gpu_memory_gb
    return node.alive and enough and cards and (not order.pool or order.pool in node.pools)
