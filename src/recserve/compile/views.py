"""Leaves out of a graph what is there already: tensors that are shown again, and what is computed twice.

Containers of features wrap each one in a dimension and take it off again, for hundreds of features. It costs
next to nothing each time, and together as much as a layer of the model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recserve.compile.nodes import operator_name, writes

if TYPE_CHECKING:
    from recserve.engines.torch_arrays import torch

_VIEWS = frozenset(
    {
        "unsqueeze", "squeeze", "slice", "select", "narrow", "view", "reshape", "t", "transpose", "permute",
        "expand", "sym_size",
    }
)  # fmt: skip
#: What gives the same from the same; of memory that nobody writes to.
_COMPUTED = frozenset({"asynchronous_complete_cumsum", "ids_in_range", "cat", "ones_like", "square", "sum"})


def tidy(graph: torch.fx.Graph) -> None:
    """Change the graph, which answers what it did."""
    seen: dict[Any, Any] = {}
    once = _VIEWS if any(map(writes, graph.nodes)) else _VIEWS | _COMPUTED
    for node in list(graph.nodes):
        if operator_name(node) not in once or any(user.op == "output" for user in node.users):
            continue
        same = _unwrapped(node)
        if same is None:
            key = (node.target, _hashable(node.args), _hashable(node.kwargs))
            same = seen.setdefault(key, node)
        if same is not node:
            node.replace_all_uses_with(same)
    for node in reversed(list(graph.nodes)):
        if not node.users and operator_name(node) in once:
            graph.erase_node(node)


def _unwrapped(node: Any) -> Any:
    """What a tensor was before a dimension was put on, or taken off, that this node takes off or puts on."""
    pair = (operator_name(node), operator_name(node.args[0]))
    if pair not in (("squeeze", "unsqueeze"), ("unsqueeze", "squeeze")) or len(node.args) < 2:
        return None
    inner = node.args[0]
    before = inner.args[0]
    sizes = [list(one.meta["val"].shape) for one in (before, node)]
    one_dimension = len(inner.args) > 1 and all(isinstance(one.args[1], int) for one in (inner, node))
    if not one_dimension or len(sizes[0]) != len(sizes[1]):
        return None
    dims = max(len(sizes[0]), inner.meta["val"].dim())
    return before if inner.args[1] % dims == node.args[1] % dims else None


def _hashable(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return tuple(map(_hashable, value))
    if isinstance(value, dict):
        return tuple((key, _hashable(one)) for key, one in sorted(value.items()))
    return (type(value), value)  # 1 and 1.0 are two arguments
