"""What a node of a graph calls."""

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
