"""Entry by entry: computed on what is told once, and told once again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recserve.compile.rates.values import Cat, Dense, Fields, Form, Rate, aligned, dense, join
from recserve.engines.torch_arrays import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from recserve.compile.rates.walk import Walk

_ONE = (
    "relu", "sigmoid", "tanh", "exp", "log", "log1p", "sqrt", "rsqrt", "abs", "neg", "square", "reciprocal",
    "silu", "erf", "sign", "logical_not", "bitwise_not", "isnan", "isinf", "floor", "ceil", "sin", "cos",
)  # fmt: skip
#: Operator with further arguments that are no tensors.
_ONE_WITH = (
    "gelu", "leaky_relu", "elu", "softplus", "hardtanh", "clamp", "clamp_min", "clamp_max", "nan_to_num",
    "hardsigmoid", "hardswish", "selu", "relu6", "mish", "celu", "log_sigmoid", "softshrink", "hardshrink",
    "expm1", "log2", "log10", "exp2", "round", "trunc", "acos", "asin", "atan", "tan", "sinh", "cosh",
)  # fmt: skip
_TWO = (
    "add", "sub", "mul", "div", "pow", "maximum", "minimum", "eq", "ne", "lt", "le", "gt", "ge", "__or__",
    "__and__", "bitwise_and", "bitwise_or", "logical_and", "logical_or", "rsub", "remainder", "atan2",
    "floor_divide", "fmod", "__xor__", "bitwise_xor", "logical_xor", "xlogy",
)  # fmt: skip


def _operator(name: str, overload: str) -> Any:
    return getattr(getattr(torch.ops.aten, name), overload, None)


def _on_bases(operation: Any) -> Callable[..., Any]:
    """A rule that broadcasts the tensors among its arguments, and leaves the others as they are."""

    def rule(_: Walk, *arguments: Any, **named: Any) -> Any:
        at = [k for k, one in enumerate(arguments) if isinstance(one, Dense | Cat | Form | Fields)]
        values = [dense(arguments[k]) for k in at]
        bases, tiles = aligned(values)
        given = list(arguments)
        for k, base in zip(at, bases, strict=True):
            given[k] = base
        return Dense(operation(*given, **named), join(values), tiles)

    return rule


def _alone(operation: Any) -> Callable[..., Any]:
    """A rule for one tensor, whose parts may each be computed."""

    def rule(_: Walk, value: Any, *arguments: Any, **named: Any) -> Any:
        if isinstance(value, Cat):
            parts = [part.with_base(operation(part.base, *arguments, **named)) for part in value.parts]
            return Cat(value.dim, tuple(parts))
        found = dense(value)
        return found.with_base(operation(found.base, *arguments, **named))

    return rule


def itself(_: Walk, value: Any, *arguments: Any, **named: Any) -> Any:
    """Operators that copy, and those that move to where everything is."""
    return value


def copied(_: Walk, written: Any, value: Any, *arguments: Any) -> Any:
    """`aten.copy_`: the new content."""
    return value


def to(walk: Walk, value: Any, dtype: Any, *arguments: Any, **named: Any) -> Any:
    """`aten.to.dtype`."""
    if isinstance(value, Form):
        return value if dtype == torch.float32 else _cast(walk, value, dtype)
    return _cast(walk, value, dtype)


def to_layout(walk: Walk, value: Any, *, dtype: Any = None, **named: Any) -> Any:
    """`aten.to.dtype_layout`: on one device, layouts are as they are."""
    return value if dtype is None else to(walk, value, dtype)


_cast = _alone(lambda tensor, dtype: tensor.to(dtype))


def _like(fill: Callable[..., Any]) -> Callable[..., Any]:
    """`ones_like` and others: of one row, where rows repeat."""

    def rule(_: Walk, value: Any, *arguments: Any, **named: Any) -> Any:
        for dropped in ("pin_memory", "device", "layout", "memory_format"):
            named.pop(dropped, None)
        if isinstance(value, Cat):
            parts = [part.with_base(fill(part.base, *arguments, **named)) for part in value.parts]
            return Cat(value.dim, tuple(parts))
        found = dense(value)
        return found.with_base(fill(found.base, *arguments, **named))

    return rule


def filled(walk: Walk, fill: Callable[..., Any]) -> Any:
    """A tensor of no input: the same for all."""
    return Dense.of(fill(), Rate.CONST)


def _made(operation: Any) -> Callable[..., Any]:
    def rule(_: Walk, *arguments: Any, **named: Any) -> Any:
        for dropped in ("pin_memory", "layout"):
            named.pop(dropped, None)
        return Dense.of(operation(*arguments, **named), Rate.CONST)

    return rule


def _new(operation: str) -> Callable[..., Any]:
    def rule(_: Walk, value: Any, size: Any, *arguments: Any, **named: Any) -> Any:
        for dropped in ("pin_memory", "layout"):
            named.pop(dropped, None)
        tensor = value.parts[0].base if isinstance(value, Cat) else dense(value).base
        return Dense.of(getattr(tensor, operation)(size, *arguments, **named), Rate.CONST)

    return rule


def prelu(_: Walk, value: Any, weight: Any) -> Any:
    """`aten.prelu`: a slope for all, or for each entry of the second dimension."""
    found, slopes = dense(value), dense(weight)
    if not (isinstance(slopes.base.size(0), int) and slopes.base.size(0) == 1):
        found = found.untiled(1)
    return Dense(torch.prelu(found.base, slopes.base), join([found, slopes]), found.tiles)


#: Of several tensors.
OF_SEVERAL: dict[str, Any] = {
    "aten.where.self": _on_bases(torch.ops.aten.where.self),
    "aten.where.ScalarOther": _on_bases(torch.ops.aten.where.ScalarOther),
    "aten.where.ScalarSelf": _on_bases(torch.ops.aten.where.ScalarSelf),
    "aten.masked_fill.Scalar": _on_bases(torch.ops.aten.masked_fill.Scalar),
    "aten.masked_fill_.Scalar": _on_bases(torch.ops.aten.masked_fill.Scalar),
    "aten.min.other": _on_bases(torch.ops.aten.minimum.default),
    "aten.max.other": _on_bases(torch.ops.aten.maximum.default),
    "aten.addcmul.default": _on_bases(torch.ops.aten.addcmul.default),
    "aten.clamp.Tensor": _on_bases(torch.ops.aten.clamp.Tensor),
    "aten.lerp.Scalar": _on_bases(torch.ops.aten.lerp.Scalar),
    "aten.masked_fill.Tensor": _on_bases(torch.ops.aten.masked_fill.Tensor),
}
OPS: dict[str, Any] = {
    "aten.prelu.default": prelu,
    "aten.clone.default": itself,
    "aten.detach.default": itself,
    "aten.alias.default": itself,
    "aten.contiguous.default": itself,
    "aten.dropout.default": itself,
    "aten.lift_fresh_copy.default": itself,
    "aten.copy_.default": copied,
    "aten.to.dtype": to,
    "aten._to_copy.default": to_layout,
    "aten.to.dtype_layout": to_layout,
    "aten.ones_like.default": _like(torch.ones_like),
    "aten.zeros_like.default": _like(torch.zeros_like),
    "aten.full_like.default": _like(torch.full_like),
    "aten.arange.default": _made(torch.arange),
    "aten.arange.start": _made(torch.arange),
    "aten.arange.start_step": _made(torch.arange),
    "aten.zeros.default": _made(torch.zeros),
    "aten.ones.default": _made(torch.ones),
    "aten.full.default": _made(torch.full),
    "aten.scalar_tensor.default": _made(torch.scalar_tensor),
    "aten.new_zeros.default": _new("new_zeros"),
    "aten.new_ones.default": _new("new_ones"),
    "aten.new_full.default": _new("new_full"),
    "aten.dropout_.default": itself,
    "aten.feature_dropout.default": itself,
    "aten.alpha_dropout.default": itself,
    "aten.empty.memory_format": _made(torch.zeros),
    "aten.empty_like.default": _like(torch.zeros_like),
    "aten.type_as.default": lambda walk, value, other: to(walk, value, dense(other).base.dtype),
}
for _name in _ONE + _ONE_WITH:
    OPS[f"aten.{_name}.default"] = _alone(_operator(_name, "default"))
    # What was written is read from the node that wrote it.
    OPS[f"aten.{_name}_.default"] = OPS[f"aten.{_name}.default"]
for _name in _TWO:
    for _overload in ("Tensor", "Scalar", "Tensor_Tensor", "Tensor_Scalar"):
        if _operator(_name, _overload) is not None:
            OF_SEVERAL[f"aten.{_name}.{_overload}"] = _on_bases(_operator(_name, _overload))
    if _operator(_name, "default") is not None:
        OF_SEVERAL[f"aten.{_name}.default"] = _on_bases(_operator(_name, "default"))
OPS |= OF_SEVERAL
