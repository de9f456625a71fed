"""Operators of TorchScript that compute no tensors, but containers, numbers and texts.

All others are torch's own, and are called by their names. Under export sizes are symbols, which Python's
operators take as they take numbers.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from recserve.engines.torch_arrays import torch
from recserve.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Callable

#: TorchScript's numbers of types, by position.
TYPES = (
    torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64,
    torch.float16, torch.float32, torch.float64,
    torch.complex32, torch.complex64, torch.complex128,
    torch.bool, torch.qint8, torch.quint8, torch.qint32, torch.bfloat16,
)  # fmt: skip
_NUMBERS = {dtype: number for number, dtype in enumerate(TYPES)}
_FORMATS = (torch.contiguous_format, torch.preserve_format, torch.channels_last, torch.channels_last_3d)


def _set_item(container: Any, key: Any, value: Any) -> Any:
    container[key] = value
    return container


def _changed(change: Callable[..., object]) -> Callable[..., Any]:
    """An operator that changes its first argument and gives it back."""

    def apply(container: Any, *arguments: Any) -> Any:
        change(container, *arguments)
        return container

    return apply


def _integer(value: Any) -> Any:
    return value if isinstance(value, torch.SymInt) else int(value)


#: Operator → what it does when its first argument is no tensor.
PYTHON: dict[str, Callable[..., Any]] = {
    "aten::__getitem__": operator.getitem,
    "aten::_set_item": _set_item,
    "aten::append": _changed(list.append),
    "aten::extend": _changed(list.extend),
    "aten::update": lambda container, other: container.update(other),
    "aten::items": lambda container: list(container.items()),
    "aten::keys": list,
    "aten::values": lambda container: list(container.values()),
    "aten::list": list,
    "aten::dict": dict,
    "aten::__contains__": operator.contains,
    "aten::len": len,
    "aten::slice": lambda container, start, end, step: container[start:end:step],
    "aten::sum": sum,
    "aten::__is__": operator.is_,
    "aten::__isnot__": operator.is_not,
    "aten::__not__": operator.not_,
    "aten::add": operator.add,
    "aten::sub": operator.sub,
    "aten::mul": operator.mul,
    "aten::div": operator.truediv,
    "aten::floordiv": operator.floordiv,
    "aten::remainder": operator.mod,
    "aten::pow": operator.pow,
    "aten::neg": operator.neg,
    "aten::eq": operator.eq,
    "aten::ne": operator.ne,
    "aten::lt": operator.lt,
    "aten::le": operator.le,
    "aten::gt": operator.gt,
    "aten::ge": operator.ge,
    "aten::Int": _integer,
    "aten::Float": float,
    "aten::Bool": bool,
    "aten::format": lambda text, *values: text.format(*values),
    "aten::str": str,
    "aten::join": lambda between, texts: between.join(texts),
    "aten::warn": lambda *_: None,
    "prim::Print": lambda *_: None,
    "prim::min": min,
    "prim::max": max,
    "prim::type": lambda device: device.type,
}

#: Operator → what it does when its first argument is a tensor.
OF_TENSOR: dict[str, Callable[..., Any]] = {
    "aten::size": lambda tensor, *dim: tensor.size(*dim) if dim else list(tensor.size()),
    "aten::numel": lambda tensor: tensor.numel(),
    "aten::dim": lambda tensor: tensor.dim(),
    "aten::len": lambda tensor: tensor.size(0),
    "aten::item": lambda tensor: tensor.item(),
    "aten::Int": lambda tensor: tensor.item(),
    "aten::Float": lambda tensor: tensor.item(),
    "aten::Bool": lambda tensor: tensor.item(),
    "aten::__is__": operator.is_,
    "aten::__isnot__": operator.is_not,
    "aten::pin_memory": lambda tensor, _device: tensor,
    "prim::tolist": lambda tensor, *_: tensor.tolist(),
    "prim::dtype": lambda tensor: _NUMBERS[tensor.dtype],
    "prim::device": lambda tensor: tensor.device,
    "prim::is_meta": lambda tensor: False,
    "prim::is_cuda": lambda tensor: False,
}

#: Types that `prim::isinstance` asks for.
_CLASSES = {
    "int": (int, torch.SymInt),
    "float": (float, torch.SymFloat),
    "bool": (bool, torch.SymBool),
    "str": (str,),
    "list": (list,),
    "tuple": (tuple,),
    "Tensor": (torch.Tensor,),
    "NoneType": (type(None),),
}


def is_instance(value: Any, types: str) -> bool:
    """`prim::isinstance`, whose types are written `list, int`."""
    names = types.replace(" ", "").split(",")
    unknown = [name for name in names if name not in _CLASSES]
    if unknown:
        raise BundleError(f"the model asks whether a value is a {unknown[0]}, which cannot be compiled")
    return any(isinstance(value, _CLASSES[name]) for name in names)


def call(schema: str, arguments: list[Any]) -> Any:
    """Call torch's own operator: `aten::cat(Tensor[] tensors, int dim=0) -> Tensor`."""
    name = schema.partition("(")[0]
    namespace, _, rest = name.partition("::")
    packet, _, overload = rest.partition(".")
    try:
        operation = getattr(getattr(getattr(torch.ops, namespace), packet), overload or "default")
    except AttributeError as e:
        raise BundleError(f"the model calls {name}, which cannot be compiled") from e
    positional, named = [], {}
    for argument, value in zip(operation._schema.arguments, arguments, strict=True):
        if argument.kwarg_only:
            named[argument.name] = _value(argument, value)
        else:
            positional.append(_value(argument, value))
    return operation(*positional, **named)


def _value(argument: Any, value: Any) -> Any:
    """TorchScript has numbers for types, layouts and formats; operators want the things themselves."""
    if not isinstance(value, int) or isinstance(value, bool):
        return value
    real = str(argument.real_type)
    if "ScalarType" in real:
        return TYPES[value]
    if "Layout" in real:
        return torch.strided
    return _FORMATS[value] if "MemoryFormat" in real else value
