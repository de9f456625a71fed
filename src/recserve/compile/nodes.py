"""What a node of a graph calls, and how large it is."""

from __future__ import annotations

from typing import Any

from recserve.engines.torch_arrays import torch


def operator_name(node: Any) -> str:
    """Its name without namespace and overload: mm, sym_size, getitem; nothing for what is no call."""
    if not isinstance(node, torch.fx.Node) or node.op != "call_function":
        return ""
    packet = getattr(node.target, "overloadpacket", node.target)
    return str(getattr(packet, "__name__", packet))


def writes(node: Any) -> bool:
    """Whether it changes one of its arguments."""
    return isinstance(node.target, torch._ops.OpOverload) and bool(node.target._schema.is_mutable)


def size_hint(size: Any) -> int:
    """A size in the example that the graph was made with; 1 where nobody knows."""
    if isinstance(size, int):
        return size
    hint = size.node.hint
    return 1 if hint is None else int(hint)
