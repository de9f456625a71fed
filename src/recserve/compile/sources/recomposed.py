"""Operators that torch.export takes apart, put together again.

A program may have been exported as what `run_decompositions` leaves: `torch.nn.Linear` is a product with a
transposed weight there. The same kernels run under both names, and the rules for rates know one of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recserve.engines.torch_arrays import torch

if TYPE_CHECKING:
    from collections.abc import Callable

_aten = torch.ops.aten

#: What `_embedding_bag` takes where it is not told: scale, mode, sparse, weights, last offset, padding.
_BAG: tuple[Any, ...] = (False, 0, False, None, False, -1)


def _embedding_bag(weight: Any, indices: Any, offsets: Any, *arguments: Any) -> Any:
    *others, padding = [*arguments, *_BAG[len(arguments) :]]
    row = padding if padding >= 0 else None
    return _aten.embedding_bag.padding_idx(weight, indices, offsets, *others, row)


def _layer_norm(value: Any, shape: Any, weight: Any, bias: Any, eps: float) -> Any:
    return (_aten.layer_norm.default(value, shape, weight, bias, eps), None, None)


def _batch_norm(value: Any, *arguments: Any) -> Any:
    *statistics, momentum, eps = arguments
    found = _aten.batch_norm.default(value, *statistics, False, momentum, eps, False)
    return (found, None, None)


#: Operator → what answers the same; of several results the first alone, which is the one that models read.
_RECOMPOSED: dict[Any, Callable[..., Any]] = {
    _aten._embedding_bag.default: _embedding_bag,
    _aten._embedding_bag_forward_only.default: _embedding_bag,
    _aten.native_layer_norm.default: _layer_norm,
    _aten._native_batch_norm_legit_no_training.default: _batch_norm,
}
_TRANSPOSED = (_aten.permute.default, _aten.t.default, _aten.transpose.int)
_VIEWS = (_aten.view.default, _aten.reshape.default, _aten._unsafe_view.default)


def recomposed(node: Any) -> Callable[..., Any] | None:
    """What stands for a node's operator; None: itself, as it also is where a second result is read."""
    found = _RECOMPOSED.get(node.target)
    if found is None or any(user.args[1] != 0 and user.users for user in node.users):
        return None
    return found


@dataclass(frozen=True, slots=True)
class Linear:
    """What was a `torch.nn.Linear`; all nodes."""

    value: Any
    weight: Any
    bias: Any  # or None
    readers: tuple[Any, ...]  # views that give the product the value's dimensions again


def linear(node: Any) -> Linear | None:
    """What a product with a transposed weight was; None for any other node.

    Of a value of more than two dimensions it is taken as a matrix, and its product is given them back.
    """
    if node.target not in (_aten.addmm.default, _aten.mm.default) or node.kwargs:
        return None
    *bias, value, turned = node.args
    shift = bias[0] if bias else None
    if not _is_transposed(turned) or (shift is not None and len(_sizes(shift) or ()) != 1):
        return None
    before = value.args[0] if value.target in _VIEWS else None
    sizes, wide = _sizes(before), _sizes(node)
    if sizes is None or wide is None or len(sizes) < 3 or sizes[-1] != str(value.meta["val"].shape[-1]):
        return Linear(value, turned.args[0], shift, ())
    views = tuple(user for user in node.users if user.target in _VIEWS)
    if len(views) < len(node.users) or any(_sizes(view) != [*sizes[:-1], wide[-1]] for view in views):
        return Linear(value, turned.args[0], shift, ())
    return Linear(before, turned.args[0], shift, views)


def _is_transposed(node: Any) -> bool:
    turned = isinstance(node, torch.fx.Node) and node.target in _TRANSPOSED
    return turned and node.args[1:] in ((), ([1, 0],), (0, 1), (1, 0))


def _sizes(node: Any) -> list[str] | None:
    """Sizes as they are written; None where there is no tensor."""
    value = node.meta.get("val") if isinstance(node, torch.fx.Node) else None
    return list(map(str, value.shape)) if isinstance(value, torch.Tensor) else None
