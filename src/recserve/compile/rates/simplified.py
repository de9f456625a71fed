"""A flat graph in which every value is computed once and never changes.

Checks of what is known are left out. A tensor that is written to in place is its new content from then on,
for all that read its memory; a graph of which that cannot be told is refused.
"""

from __future__ import annotations

import operator
import re
from typing import Any

from recserve.compile.rates.unread import leave_out_unread
from recserve.compile.rates.values import NotUnderstood
from recserve.engines.torch_arrays import torch

#: Nodes that check what is known, or change nothing here.
_CHECKS = ("aten._assert_tensor_metadata", "aten._assert_scalar", "aten.sym_constrain_range")
#: Operators that write to their first argument, copy_ among them.
_IN_PLACE = re.compile(r"aten\.[a-z0-9]\w*(?<!_)_\.\w+")
#: Operators that show memory of their first argument.
_VIEWS = ("aten.slice.Tensor", "aten.view.", "aten.reshape.", "aten.to.", "aten.select.", "aten.unsqueeze.")


def simplified(graph: torch.fx.Graph) -> torch.fx.Graph:
    """Without checks and what nobody reads; a tensor that is written to is its new content from then on."""
    made = torch.fx.Graph()
    made.output(made.graph_copy(graph, {}))
    made.lint()
    for node in list(made.nodes):
        if str(node.target).startswith(_CHECKS):
            made.erase_node(node)
        elif _IN_PLACE.fullmatch(str(node.target)):
            _see_what_is_written(made, node)
        elif str(node.target) == "aten.split.sizes" and len(node.args[1]) == 1:
            for user in list(node.users):  # the whole, whose size need not be known
                user.replace_all_uses_with(node.args[0])
    leave_out_unread(made)
    read: set[Any] = set()
    for node in reversed(list(made.nodes)):
        if node.op in ("output", "placeholder") or node in read:
            read.update(node.all_input_nodes)
        else:
            made.erase_node(node)
    return made


def _see_what_is_written(graph: torch.fx.Graph, node: Any) -> None:
    """Let later nodes read what an operator in place has written, also those that read what it is a part of.

    A bounds check of the ids of some features, say, changes the list of all features' ids.
    """
    written, new = node.args[0], node
    while True:
        for user in [user for user in written.users if user > node and user is not new]:
            user.replace_input_with(written, new)
        target = str(written.target)
        if not target.startswith(_VIEWS):
            return
        part, written = written, written.args[0]
        others = [one for one in written.users if one is not part and one < node]
        if any(_shows_later(one, node) and not _are_apart(one, part) for one in others):
            raise NotUnderstood(f"{node.target} writes to memory that is read under several names")
        if not any(user > node for user in written.users):
            return
        if target == "aten.slice.Tensor":
            after = new
            with graph.inserting_after(after):
                operation = torch.ops.aten.slice_scatter.default
                new = graph.call_function(operation, (written, after, *part.args[1:]))
        elif not target.startswith("aten.to."):
            raise NotUnderstood(f"{node.target} writes to a {target}, which others read")


def _shows_later(one: Any, node: Any) -> bool:
    """Whether a view of memory, or of a part of it, is read behind a node."""
    several = ("aten.split", "aten.unbind", "aten.chunk", str(operator.getitem))
    if not str(one.target).startswith((*_VIEWS, *several)):
        return False
    return any(user > node or _shows_later(user, node) for user in one.users)


def _are_apart(one: Any, other: Any) -> bool:
    """Whether two views of the same memory are sure to share no entry, as the ids of other features do."""
    slices = all(str(view.target) == "aten.slice.Tensor" and len(view.args) == 4 for view in (one, other))
    if not slices or one.args[1] != other.args[1]:
        return False
    (first, last), (other_first, other_last) = one.args[2:], other.args[2:]
    return _is_at_most(last, other_first) or _is_at_most(other_last, first)


def _is_at_most(small: Any, large: Any) -> bool:
    """Of positions, whatever the sizes of tensors will be."""
    if small is None or large is None or any(isinstance(one, int) and one < 0 for one in (small, large)):
        return False  # from the end
    difference = _size(large) - _size(small)
    return bool(difference >= 0 if isinstance(difference, int) else difference.is_nonnegative)


def _size(position: Any) -> Any:
    """What is known of a number of the graph: itself, or how sizes make it."""
    found = position.meta["val"] if isinstance(position, torch.fx.Node) else position
    return found.node.expr if isinstance(found, torch.SymInt) else found
