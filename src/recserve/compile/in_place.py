"""Which operators of a graph may write their result over their first argument.

A result that is read once, by an operator that makes as large a one of it, needs no memory of its own. For
hidden layers of sequences that is a pass over megabytes less. The graph stays as it is: only what is run
operator by operator is told, as compilers find such things out themselves.
"""

from __future__ import annotations

from typing import Any

from recserve.engines.torch_arrays import torch

#: Operators that have a form that writes, by the names of their packets.
_HAVE_ONE = frozenset(
    {
        "relu", "leaky_relu", "sigmoid", "tanh", "clamp", "masked_fill", "add", "sub", "mul", "div", "addmm",
        "ids_in_range",
    }
)  # fmt: skip
#: Operators that may give back what they take, though their schemas do not say so.
_MAY_GIVE_BACK = frozenset(
    {
        "dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout", "type_as", "einsum",
        "atleast_1d", "atleast_2d", "atleast_3d", "sum_to_size", "_reshape_from_tensor", "lift",
    }
)  # fmt: skip
#: Operators that give other sizes to the same entries, or copy them.
_SAME_MEMORY = frozenset({"view", "reshape", "_unsafe_view", "unsqueeze", "squeeze", "alias", "detach"})


def writes_over(graph: Any) -> set[Any]:
    """The nodes that may write over what their first argument holds."""
    return {node for node in graph.nodes if _may(node)}


def _may(node: Any) -> bool:
    if not _is_one_of(node, _HAVE_ONE) or not node.args or not isinstance(node.args[0], torch.fx.Node):
        return False
    argument = node.args[0]
    once = sum(one is argument for one in [*node.args, *node.kwargs.values()]) == 1
    return once and _alike(argument, node) and _is_read_once(argument)


def _is_read_once(argument: Any) -> bool:
    """Whether nothing else reads the memory, nor another view of it."""
    while len(argument.users) == 1:
        if not _is_one_of(argument, _SAME_MEMORY):
            return _is_new(argument)
        argument = argument.args[0]
    return False


def _is_new(node: Any) -> bool:
    """Whether an operator gives memory of its own; a copy of an input may be left out."""
    if not isinstance(node.target, torch._ops.OpOverload) or node.target._schema.is_mutable:
        return False
    if _is_one_of(node, _MAY_GIVE_BACK):
        return False
    returns = node.target._schema.returns
    new = len(returns) == 1 and returns[0].alias_info is None
    copies = str(node.target).startswith(("aten.clone", "aten.lift_fresh"))
    return new and not (copies and node.args[0].op == "placeholder")


def _is_one_of(node: Any, names: frozenset[str]) -> bool:
    ours = isinstance(node.target, torch._ops.OpOverload) and node.target.namespace in ("aten", "recserve")
    return ours and node.target._schema.name.partition("::")[2] in names


def _alike(argument: Any, result: Any) -> bool:
    given, made = argument.meta.get("val"), result.meta.get("val")
    if not isinstance(given, torch.Tensor) or not isinstance(made, torch.Tensor):
        return False
    same_sizes = given.dim() == made.dim() and all(
        str(a) == str(b) for a, b in zip(given.shape, made.shape, strict=True)
    )
    contiguous: Any = torch._prims_common.is_contiguous_or_false  # a size that nobody knows yet may be 0 or 1
    return same_sizes and given.dtype == made.dtype and bool(contiguous(given))
