"""Leaves out of a graph the entries that nobody reads: of a sequence that attends to itself, mostly all.

    what is read   norm(softmax(q kᵀ) v + x)[:, -1]
    instead        norm(softmax(q[:, -1:] kᵀ) v + x[:, -1:])[:, 0]

Which entry is read moves to what it is computed of, as far as that computes entries apart.
"""

from __future__ import annotations

from typing import Any

from recserve.compile.nodes import operator_name, size_hint
from recserve.compile.rates.values import same
from recserve.engines.torch_arrays import torch

#: Operators that compute each entry by itself, or show it.
_EACH_ENTRY = frozenset(
    {
        "add", "sub", "mul", "div", "neg", "exp", "pow", "maximum", "minimum", "where", "masked_fill", "relu",
        "leaky_relu", "elu", "silu", "gelu", "sigmoid", "tanh", "softplus", "clamp", "dropout", "clone", "to",
        "contiguous", "detach", "alias",
    }
)  # fmt: skip
#: Operators along the dimension that is their second argument.
_ALONG = frozenset({"softmax", "_softmax", "log_softmax", "slice"})
#: Operators that are worth it.
_PRODUCTS = frozenset({"matmul", "bmm", "linear"})
_TO_THE_END = 2**63 - 1

#: How many entries the original computes, for the one that a node does; of `meta`.
ENTRIES = "entries"


def leave_out_unread(graph: torch.fx.Graph) -> None:
    """Change the graph, which answers what it did; what is not read any more stays in it."""
    for node in reversed(list(graph.nodes)):
        if operator_name(node) == "select" and isinstance(node.args[2], int):
            whole, dim, index = node.args
            at = dim % _dims(whole) - _dims(whole)
            if _is_worth_it(whole, at):
                node.args = (_entry(graph, whole, at, index), dim, 0)


def _is_worth_it(node: Any, at: int) -> bool:
    needed = _needed(node, at)
    if not needed:
        return False
    return operator_name(node) in _PRODUCTS or any(_is_worth_it(*one) for one in needed)


def _entry(graph: torch.fx.Graph, node: Any, at: int, index: int) -> Any:
    """A node that has an entry of another alone, of the dimension `at`, from the end."""
    needed = dict(_needed(node, at))
    if needed:
        arguments = tuple(
            _entry(graph, one, needed[one], index) if one in needed else one for one in node.args
        )
        with graph.inserting_after(node):
            made = graph.call_function(node.target, arguments, dict(node.kwargs))
    elif _ends_with(node, at, index):
        return node.args[0][index]
    else:
        last = index + 1 if index != -1 else _TO_THE_END
        with graph.inserting_after(node):
            slice_ = torch.ops.aten.slice.Tensor
            made = graph.call_function(slice_, (node, _dims(node) + at, index, last))
    value = node.meta["val"]
    made.meta["val"] = value.new_empty([*value.shape[:at], 1, *value.shape[at:][1:]])
    made.meta[ENTRIES] = node.meta.get(ENTRIES, 1) * size_hint(value.shape[at])
    return made


def _needed(node: Any, at: int) -> list[tuple[Any, int]]:
    """What one entry is enough of, to compute one of a node; nothing where others are needed, or read."""
    name = operator_name(node)
    if len(node.users) != 1 or not node.args:
        return []
    first, *others = node.args
    if name in _EACH_ENTRY:
        given = [one for one in node.args if isinstance(one, torch.fx.Node) and not _is_broadcast(one, at)]
        size = node.meta["val"].shape[at]
        return [(one, at) for one in given] if all(same(_size(one, at), size) for one in given) else []
    if not others:
        return []
    apart = (
        (name in _ALONG and isinstance(others[0], int) and others[0] % _dims(node) != _dims(node) + at)
        or (name == "layer_norm" and at < -len(others[0]))
        or (name == "linear" and at != -1)
        or (name in ("matmul", "bmm") and at == -2 and min(_dims(first), _dims(others[0])) > 1)
    )
    if apart:
        return [(first, at)]
    if name == "transpose":
        dims = [d % _dims(node) - _dims(node) for d in others]
        return [(first, dims[1 - dims.index(at)] if at in dims else at)]
    return []


def _ends_with(node: Any, at: int, index: int) -> bool:
    """Whether the entry is the first or the last part of a concatenation."""
    if operator_name(node) != "cat" or index not in (0, -1):
        return False
    dim = node.args[1] if len(node.args) > 1 else 0
    return dim % _dims(node) == _dims(node) + at and same(_size(node.args[0][index], at), 1)


def _is_broadcast(node: Any, at: int) -> bool:
    """Whether an argument has the same for every entry, or is no tensor."""
    value = node.meta.get("val")
    return not isinstance(value, torch.Tensor) or value.dim() < -at or same(value.shape[at], 1)


def _size(node: Any, at: int) -> Any:
    return node.meta["val"].shape[at]


def _dims(node: Any) -> int:
    return int(node.meta["val"].dim())
