"""Runs a TorchScript graph in Python, operator by operator, so that torch.export can watch.

An exported model is thousands of nodes of containers, optional arguments and checks around a few hundred
tensor operators. Run on real tensors, this gives bit for bit what torch's interpreter gives. Run under
torch.export it leaves exactly the tensor operators: whatever depends on no tensor happens here and is gone,
sizes are symbols, and a branch that depends on a size is decided for all sizes or refused by torch.export.

That is why the graph is walked and not translated: torch's own converter refuses classes and the device
argument; tracing burns sizes in; gm.code names functions of torchrec that change with its releases.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from recserve.compile.ids_in_range import spelled_out
from recserve.compile.operators import OF_TENSOR, PYTHON, call, is_instance
from recserve.engines.torch_arrays import torch
from recserve.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

#: Operators that read rows of a table → the arguments that are tables.
_LOOK_UPS = {
    "fbgemm::int_nbit_split_embedding_codegen_lookup_function": ("dev_weights", "uvm_weights"),
    "aten::embedding": ("weight",),
    "aten::embedding_bag": ("weight",),
}
_CPU = torch.device("cpu")
_IN_RANGE_OR_ZERO = (1, 2)  # modes of bounds_check_indices: warn, say nothing; 0 throws


@dataclass(slots=True)
class _Instance:
    """An object of a TorchScript class."""

    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Module:
    """A submodule, by its path from the model."""

    path: str


class Interpreter:
    """One model's graph; `run` may be called again and again.

    `tensors` stands for what the model holds, by path; what it lacks is taken from the model. `read` says
    what was taken, `tables` what of it embeddings were read from: only known after a run.
    """

    def __init__(self, script: Any, *, in_range: Callable[..., torch.Tensor] = spelled_out) -> None:
        """`in_range`: the bounds check of ids, one operator or spelled out (ids_in_range.py).

        fbgemm's own has a counter of warnings, which concurrent calls would share.
        """
        self._script = script
        self._in_range = in_range
        self._graph = script.inlined_graph
        self._numbers: dict[int, Any] = {}  # by the identity of the tensor
        self.tensors: Mapping[str, torch.Tensor] = {}
        self.read: dict[str, torch.Tensor] = {}
        self.tables: dict[str, torch.Tensor] = {}

    def run(self, data: Mapping[str, torch.Tensor], numbers: Mapping[str, Any] | None = None) -> Any:
        """What the model answers; `data` is left as it is, which the model itself does not promise.

        `numbers` are those that tensors of `data` are known to hold, where the model takes them out.
        """
        module, *arguments = (value.debugName() for value in self._graph.inputs())
        values: dict[str, Any] = dict.fromkeys(arguments, _CPU)
        values[module] = _Module("")
        owned = {name: _own(tensor) for name, tensor in data.items()}
        values[arguments[0]] = owned
        known = {
            name: number for name, number in (numbers or {}).items() if number is not None and name in owned
        }
        self._numbers = {id(owned[name]): number for name, number in known.items()}
        self._run_block(self._graph, values)
        return values[next(iter(self._graph.outputs())).debugName()]

    def _run_block(self, block: Any, values: dict[str, Any]) -> list[Any]:
        for node in block.nodes():
            if node.kind() == "prim::Constant":
                values[node.output().debugName()] = node.output().toIValue()
                continue
            results = self._run_node(node, [values[value.debugName()] for value in node.inputs()], values)
            for output, result in zip(node.outputs(), results, strict=True):
                values[output.debugName()] = result
        return [values[value.debugName()] for value in block.outputs()]

    def _run_node(self, node: Any, arguments: list[Any], values: dict[str, Any]) -> Sequence[Any]:
        """Results of a node, as many as it has outputs."""
        kind = node.kind()
        if kind == "prim::If":
            return self._run_block(list(node.blocks())[0 if bool(arguments[0]) else 1], values)
        if kind == "prim::Loop":
            return self._loop(next(node.blocks()), arguments, values)
        if kind in _STRUCTURE:
            results: Sequence[Any] = _STRUCTURE[kind](self, node, arguments)
            return results
        return self._run_operator(kind, node, arguments)

    def _run_operator(self, kind: str, node: Any, arguments: list[Any]) -> Sequence[Any]:
        if kind == "fbgemm::bounds_check_indices" and _can_be_clamped(arguments):
            rows, indices, offsets = arguments[:3]
            indices.copy_(self._in_range(indices, offsets, rows))
            return ()
        if kind in ("aten::item", "aten::Int") and id(arguments[0]) in self._numbers:
            return (self._numbers[id(arguments[0])],)
        self._note_tables(kind, node, arguments)
        of_tensor = bool(arguments) and isinstance(arguments[0], torch.Tensor)
        known = OF_TENSOR if of_tensor else PYTHON
        result = known[kind](*arguments) if kind in known else call(node.schema(), arguments)
        count = node.outputsSize()
        if count == 1:
            return (result,)
        return tuple(result) if count else ()

    def _loop(self, body: Any, arguments: list[Any], values: dict[str, Any]) -> list[Any]:
        """`for` and `while`: trip count, condition and what is carried from turn to turn."""
        count, goes_on, *carried = arguments
        names = [value.debugName() for value in body.inputs()]
        turn = 0
        while turn < count and goes_on:
            values.update(zip(names, [turn, *carried], strict=True))
            goes_on, *carried = self._run_block(body, values)
            turn += 1
        return carried

    def _attribute(self, owner: Any, name: str) -> Any:
        if isinstance(owner, _Instance):
            return owner.attributes[name]
        if not isinstance(owner, _Module):
            return getattr(owner, name)
        path = f"{owner.path}.{name}" if owner.path else name
        if path in self.tensors:
            return self.tensors[path]
        found = self._script
        for part in path.split("."):
            found = getattr(found, part)
        if isinstance(found, torch.nn.Module):
            return _Module(path)
        if isinstance(found, torch.Tensor):
            # One object for each path, by which _note_tables knows it again.
            found = self.read.setdefault(path, found.detach())
        return found

    def _note_tables(self, kind: str, node: Any, arguments: list[Any]) -> None:
        if kind not in _LOOK_UPS or self.tensors:
            return
        paths = {id(tensor): path for path, tensor in self.read.items()}
        for argument, value in zip(_argument_names(node.schema()), arguments, strict=True):
            if argument in _LOOK_UPS[kind] and id(value) in paths:
                self.tables[paths[id(value)]] = value


def _argument_names(schema: str) -> list[str]:
    return [argument.name for argument in torch._C.parse_schema(schema).arguments]


def _own(tensor: torch.Tensor) -> torch.Tensor:
    """Ids in memory that the model may write to. In a compiled graph nothing is copied for it."""
    return tensor if tensor.is_floating_point() else tensor.clone()


def _can_be_clamped(arguments: list[Any]) -> bool:
    _rows, _indices, _offsets, mode, _warning, weights, b_offsets = (*arguments, None, None)[:7]
    return mode in _IN_RANGE_OR_ZERO and weights is None and b_offsets is None


def _isinstance(_: Interpreter, node: Any, arguments: list[Any]) -> Sequence[Any]:
    return (is_instance(arguments[0], str(node).partition("types=[")[2].partition("]")[0]),)


def _set_attribute(_: Interpreter, node: Any, arguments: list[Any]) -> Sequence[Any]:
    owner, value = arguments
    if not isinstance(owner, _Instance):
        raise BundleError(f"the model changes its own '{node.s('name')}' in a call, which cannot be compiled")
    owner.attributes[node.s("name")] = value
    return ()


def _raise(_: Interpreter, node: Any, arguments: list[Any]) -> Sequence[Any]:
    raise BundleError(f"the model refuses a drawn request: {arguments[0]}")


def _refuse(_: Interpreter, node: Any, arguments: list[Any]) -> Sequence[Any]:
    raise BundleError(f"the model has a {node.kind()}, which cannot be compiled")


#: Nodes that are the language and no operators.
_STRUCTURE: dict[str, Any] = {
    "prim::GetAttr": lambda self, node, arguments: (self._attribute(arguments[0], node.s("name")),),
    "prim::SetAttr": _set_attribute,
    "prim::CreateObject": lambda self, node, arguments: (_Instance(),),
    "prim::ListConstruct": lambda self, node, arguments: (arguments,),
    "prim::TupleConstruct": lambda self, node, arguments: (tuple(arguments),),
    "prim::DictConstruct": lambda self, node, arguments: (
        dict(zip(arguments[::2], arguments[1::2], strict=True)),
    ),
    "prim::ListUnpack": lambda self, node, arguments: arguments[0],
    "prim::TupleUnpack": lambda self, node, arguments: arguments[0],
    "prim::TupleIndex": lambda self, node, arguments: (arguments[0][arguments[1]],),
    "prim::unchecked_cast": lambda self, node, arguments: (arguments[0],),
    "prim::Uninitialized": lambda self, node, arguments: (None,),
    "prim::isinstance": _isinstance,
    "prim::RaiseException": _raise,
    "prim::CallMethod": _refuse,
    "prim::CallFunction": _refuse,
    "prim::fork": _refuse,
}
