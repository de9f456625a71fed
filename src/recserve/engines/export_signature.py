"""What a torch.export program reads and answers, and the check of a request's tensors against it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recserve.engines import sizes
from recserve.engines.engine import DTYPES, TensorSpec
from recserve.engines.first_sizes import limit
from recserve.engines.sizes import Size, exactly
from recserve.engines.torch_arrays import torch
from recserve.errors import BundleError, RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray


class Signature:
    """Inputs and outputs by name, in the order of the model, and the way from tensors to arguments."""

    def __init__(self, program: torch.export.ExportedProgram) -> None:
        leaves = _leaves(program.call_spec.in_spec, _argument_names(program))
        placeholders = {node.name: node.meta.get("val") for node in program.graph.nodes}
        user_inputs = [
            spec.arg
            for spec in program.graph_signature.input_specs
            if spec.kind == torch.export.graph_signature.InputKind.USER_INPUT
        ]
        _check_keeps_nothing(program)
        self.outputs = _names_of_outputs(program)
        self._arguments: list[tuple[str, Any]] = []  # (name of a tensor, None) or ("", a number)
        self.inputs: dict[str, TensorSpec] = {}
        #: First sizes of the inputs of which the archive does not state that any number is right.
        self.first_sizes: dict[str, Size] = {}
        first: dict[Any, str] = {}
        for name, argument in zip(leaves, user_inputs, strict=True):
            if isinstance(argument, torch.export.graph_signature.ConstantArgument):
                self._arguments.append(("", argument.value))
                continue
            value = placeholders.get(argument.name)
            if not isinstance(value, torch.Tensor) or _dtype(value) not in DTYPES:
                what = _dtype(value) if isinstance(value, torch.Tensor) else "no tensor"
                raise BundleError(
                    f"the model's argument '{name}' is {what}, which cannot be sent; wrap the model"
                )
            if name in self.inputs:
                raise BundleError(f"the model has two inputs '{name}'; rename one of them")
            self._arguments.append((name, None))
            shape = tuple(
                exactly(size) if isinstance(size, int) else _size(f"{name}[{position}]", size, program, first)
                for position, size in enumerate(value.shape)
            )
            self.inputs[name] = TensorSpec(_dtype(value), len(shape), tuple(map(limit, shape)))
            if shape and (shape[0].least or shape[0].most is not None):
                self.first_sizes[name] = Size("", shape[0].least, shape[0].most)
        self._derived = _derived(first)

    def check(self, given: Mapping[str, NDArray[Any]]) -> None:
        """Refuse tensors of other types, ranks or sizes than the program was exported for."""
        sizes.check(given, self.inputs)
        for place, expression, places in self._derived:
            expected = int(expression.subs({symbol: _count(given, at) for symbol, at in places.items()}))
            if _count(given, place) != expected:
                raise RequestError(
                    f"input '{place.rpartition('[')[0]}' has {_count(given, place)} in {place}; "
                    f"it is {expected} where {', '.join(sorted(places.values()))} are as sent"
                )

    def arguments(self, given: Mapping[str, torch.Tensor], device: torch.device) -> list[Any]:
        """Tensors, and numbers that were exported with the model, in the order in which it takes them."""
        return [given[name].to(device) if name else constant for name, constant in self._arguments]


def _argument_names(program: torch.export.ExportedProgram) -> list[str]:
    signature = program.module_call_graph[0].signature
    return list(signature.forward_arg_names or ()) if signature else []


def _leaves(spec: Any, argument_names: Sequence[str]) -> list[str]:
    """Names of the tensors that a program takes, in order: of an argument its own, of a dict its keys."""
    positional, named = spec.child(0), spec.child(1)
    names = list(argument_names[: positional.num_children])
    names += [f"input_{position}" for position in range(len(names), positional.num_children)]
    found = [
        leaf for position, name in enumerate(names) for leaf in _inside(positional.child(position), name)
    ]
    for position, name in enumerate(named.context or ()):
        found += _inside(named.child(position), name)
    return found


def _inside(spec: Any, name: str) -> Iterator[str]:
    """Names of the leaves of an argument or an answer."""
    if spec.is_leaf():
        yield name
        return
    is_dict = spec.type is dict
    keys = spec.context if is_dict else [f"{name}_{position}" for position in range(spec.num_children)]
    for position, key in enumerate(keys):
        yield from _inside(spec.child(position), key)


def _check_keeps_nothing(program: torch.export.ExportedProgram) -> None:
    """Refuse a model that writes into its own weights: calls of many threads would change one another."""
    own = {spec.arg.name: spec.target for spec in program.graph_signature.input_specs if spec.target}
    for node in program.graph.nodes:
        arguments = node.target._schema.arguments if isinstance(node.target, torch._ops.OpOverload) else ()
        for argument, value in zip(arguments, node.args, strict=False):
            written = argument.alias_info is not None and argument.alias_info.is_write
            if written and isinstance(value, torch.fx.Node) and value.name in own:
                raise BundleError(
                    f"the model changes its '{own[value.name]}' in every call; export model.eval() instead"
                )


def _names_of_outputs(program: torch.export.ExportedProgram) -> tuple[str, ...]:
    """Keys of an answered dict, else output_0, output_1, …"""
    made = {node.name: node.meta.get("val") for node in program.graph.nodes}
    for spec in program.graph_signature.output_specs:
        answered = made.get(getattr(spec.arg, "name", ""))
        if not isinstance(answered, torch.Tensor) or _dtype(answered) not in DTYPES | {"bfloat16"}:
            what = _dtype(answered) if isinstance(answered, torch.Tensor) else "no tensor"
            raise BundleError(
                f"the model's answer '{spec.arg.name}' is {what}, which cannot be sent; wrap the model"
            )
    tree = program.call_spec.out_spec
    names = ("output_0",) if tree.is_leaf() else tuple(_inside(tree, "output"))
    if len(set(names)) < len(names):
        raise BundleError(f"the model answers two outputs of one name: {', '.join(names)}")
    return names


def _derived(first: Mapping[Any, str]) -> list[tuple[str, Any, dict[Any, str]]]:
    """Sizes that follow from others, as 2 * s0: where one stands, the expression, where its symbols stand."""
    return [
        (place, expression, {symbol: first[symbol] for symbol in expression.free_symbols})
        for expression, place in first.items()
        if not expression.is_symbol and expression.free_symbols <= first.keys()
    ]


def _count(given: Mapping[str, NDArray[Any]], place: str) -> int:
    """The size at a place such as x[0]."""
    name, _, position = place.removesuffix("]").rpartition("[")
    return int(given[name].shape[int(position)])


def _dtype(value: torch.Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")


def _size(
    place: str, size: torch.SymInt, program: torch.export.ExportedProgram, first: dict[Any, str]
) -> Size:
    """A size that requests choose; the same expression is the same size, named by where it stood first."""
    expression = size.node.expr
    limit = program.range_constraints.get(expression)
    least, most = (_number(limit.lower), _number(limit.upper)) if limit is not None else (None, None)
    return Size(first.setdefault(expression, place), least or 0, most)


def _number(limit: Any) -> int | None:
    """None for the infinity that torch has of its own for sizes."""
    return int(limit) if limit.is_Integer else None
