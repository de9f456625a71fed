"""Cuts a flat graph into what depends on the item alone, and the rest.

    item inputs ──items──▶ item results, (rows, width) floats each ┐
    inputs of the user and of pairs ───────────────────────────────┴──rest──▶ outputs

The frontier is where the two meet: item-rate tensors that something else reads. Kept per item row, they are
computed once per version of a row. There are many places to cut at; the cheapest is taken: every byte of a
frontier is gathered for each candidate and kept for each item, and all work behind it is done anew.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recserve.compile.export import Exported, for_any_size
from recserve.compile.nodes import operator_name, size_hint, writes
from recserve.compile.rates.min_cut import WHOLE, behind_the_cut
from recserve.compile.rates.values import NotUnderstood, Rate
from recserve.engines.engine import TensorSpec
from recserve.engines.sizes import Size, exactly
from recserve.engines.torch_arrays import torch

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from numpy.typing import NDArray

ROWS = "rows"  # how specs name the number of candidates

#: What a core multiplies in the time in which it gathers a byte from a large table.
_FLOPS_PER_BYTE = 10
#: What it costs, in bytes, that one more tensor is kept.
_EACH = 32
#: What it costs, in bytes, that an item feature is laid out for every request.
_LAYING_OUT = 256

_PRODUCTS = {"mm": 0, "bmm": 0, "matmul": 0, "linear": 0, "addmm": 1, "baddbmm": 1}  # → the left factor
_VIEWS = {
    "view", "reshape", "unsqueeze", "squeeze", "expand", "slice", "select", "transpose", "permute", "t",
    "alias", "detach", "narrow", "split", "split_with_sizes", "getitem", "unbind", "chunk",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cut:
    """Both programs; `rest` reads what `items` answers, under the same names."""

    items: Exported
    rest: Exported
    widths: Mapping[str, int]  # item results in their order → floats of one item

    @property
    def bytes_per_item(self) -> int:
        """Memory that the results of one item take."""
        return 4 * sum(self.widths.values())


def cut(exported: Exported, rates: Mapping[str, Rate], example: Mapping[str, NDArray[Any]]) -> Cut:
    """Cut a graph whose user inputs have one row, and whose other inputs have rows.

    `rates` has every input, as the expressions of fg.json say it: what reads context is pair. `example` is a
    request with sizes that are no special cases. NotUnderstood where nothing depends on items alone, or the
    graph writes into its tensors otherwise than to save a copy.
    """
    graph = _Graph(exported, rates)
    frontier = graph.frontier()
    if all(node in graph.inputs for node in frontier):
        raise NotUnderstood("nothing that the model computes depends on items alone")
    names = {node: f"item_results_{k:02}.values" for k, node in enumerate(frontier)}
    widths = {name: graph.width(node) for node, name in names.items()}
    items = _Part(graph, {name: node for node, name in names.items()}, names, keeps=True)
    rest = _Part(graph, graph.outputs, names, keeps=False)
    given = {name: torch.from_numpy(array) for name, array in example.items()}
    rows = next(given[name].size(d) for name, spec in exported.inputs.items() for d in _rows_of(spec))
    given |= {name: torch.zeros(rows, width) for name, width in widths.items()}
    specs = {**exported.inputs, **{name: _spec(width) for name, width in widths.items()}}
    return Cut(items.exported(given, specs), rest.exported(given, specs), widths)


def _spec(width: int) -> TensorSpec:
    return TensorSpec("float32", 2, (Size(ROWS), exactly(width)))


def _rows_of(spec: TensorSpec) -> list[int]:
    return [d for d, size in enumerate(spec.shape) if size.name == ROWS]


class _Graph:
    """Nodes, what they depend on, and at which rates."""

    def __init__(self, exported: Exported, rates: Mapping[str, Rate]) -> None:
        program = exported.program
        self.exported = exported
        self.nodes: list[Any] = list(program.graph_module.graph.nodes)
        by_name = {node.name: node for node in self.nodes}
        given = [by_name[str(name)] for name in program.graph_signature.user_inputs]
        unflatten = torch.utils._pytree.tree_unflatten
        (tables, inputs), _ = unflatten(given, program.call_spec.in_spec)
        self.tables: dict[Any, str] = {node: path for path, node in tables.items()}
        self.inputs: dict[Any, str] = {node: name for name, node in inputs.items()}
        self.constants = {
            node: tensor
            for node in self.nodes
            if node.op == "placeholder" and (tensor := _constant(program, node.name)) is not None
        }
        answers = [by_name[str(name)] for name in program.graph_signature.user_outputs]
        self.outputs: dict[str, Any] = unflatten(answers, program.call_spec.out_spec)
        #: symbol of a size → an input of the lowest rate that has it, and where; rows are everybody's
        self.symbols: dict[str, list[tuple[Any, int]]] = {}
        for node in sorted(self.inputs, key=lambda node: rates[self.inputs[node]]):
            for d, size in enumerate(node.meta["val"].shape):
                self.symbols.setdefault(str(size), []).append((node, d))
        self.rows = {
            str(node.meta["val"].shape[d])
            for node, name in self.inputs.items()
            for d in _rows_of(exported.inputs[name])
        }
        self.example_rows = max(
            size_hint(node.meta["val"].shape[d])
            for node, name in self.inputs.items()
            for d in _rows_of(exported.inputs[name])
        )
        self.rates: dict[Any, Rate] = {}
        self.needed = set(self.before(self.outputs.values()))
        for node in self.nodes:
            if node in self.needed:
                self.rates[node] = self._rate(node, rates)

    def read_by(self, node: Any) -> list[Any]:
        """What a node is computed from; the size of an input is read there, and that of rows anywhere."""
        symbol = self.size_read(node)
        if symbol is None:
            return list(node.all_input_nodes)
        return [] if symbol in self.rows else [self.symbols[symbol][0][0]]

    def size_read(self, node: Any) -> str | None:
        """The symbol of an input's size, where that is all that the node is."""
        value = node.meta.get("val")
        if operator_name(node) != "sym_size" or not isinstance(value, torch.SymInt):
            return None
        symbol = str(value.node.expr)
        return symbol if symbol in self.symbols else None

    def before(self, ends: Iterable[Any], stop: Collection[Any] = ()) -> list[Any]:
        """All that has to be computed for `ends`, in order; nothing before `stop`, which is included."""
        found: set[Any] = set()
        waiting = list(ends)
        while waiting:
            node = waiting.pop()
            if node not in found:
                found.add(node)
                if node not in stop:
                    waiting += self.read_by(node)
        return [node for node in self.nodes if node in found]

    def frontier(self) -> list[Any]:
        """The item-rate nodes to keep."""
        self._check_writes()
        items = [node for node in self.nodes if self.rates.get(node) == Rate.ITEM]
        readers: dict[Any, list[Any]] = {node: [] for node in items}
        for node in self.nodes:
            for read in self.read_by(node) if node in self.needed else ():
                if read in readers:
                    readers[read].append(node)
        for node in self.outputs.values():
            if node in readers:
                readers[node].append("end")
        edges: list[tuple[Any, Any, int]] = []
        for node in items:
            is_input = node in self.inputs
            edges.append(("start", node, WHOLE if is_input else self._work(node)))
            edges.append((node, ("kept", node), self._kept(node)))
            for reader in readers[node]:
                inside = self.rates.get(reader) == Rate.ITEM
                edges.append((("kept", node), reader if inside else "end", WHOLE))
                if inside:  # who computes a node computes what it reads
                    edges.append((reader, node, WHOLE))
        rest = behind_the_cut(edges, "start", "end")
        return [node for node in items if node not in rest and ("kept", node) in rest and self._is_kept(node)]

    def width(self, node: Any) -> int:
        """Floats of one item."""
        return math.prod(int(size) for size in node.meta["val"].shape[1:])

    def _rate(self, node: Any, rates: Mapping[str, Rate]) -> Rate:
        if node in self.inputs:
            return rates[self.inputs[node]]
        found = Rate.CONST
        for read in self.read_by(node):
            found |= self.rates[read]
        return found

    def _check_writes(self) -> None:
        """Refuse what writes, unless it could as well give its result as a new tensor: addmm_."""
        for node in self.needed:
            if writes(node) and _without_writing(node) is None:
                raise NotUnderstood(f"{node.target}: it writes into a tensor")

    def _is_kept(self, node: Any) -> bool:
        """Whether a table of floats can keep it: some numbers for each row."""
        value = node.meta["val"]
        if not isinstance(value, torch.Tensor) or value.dtype != torch.float32 or value.dim() == 0:
            return False
        first, *others = value.shape
        return str(first) in self.rows and all(isinstance(size, int) for size in others)

    def _kept(self, node: Any) -> int:
        """What it costs that something else reads a node."""
        if self._is_kept(node):
            return 4 * self.width(node) + _EACH
        return _LAYING_OUT if node in self.inputs else WHOLE

    def _work(self, node: Any) -> int:
        """What it costs to compute a node for every request, in bytes of a row."""
        value = node.meta.get("val")
        if not isinstance(value, torch.Tensor) or operator_name(node) in _VIEWS:
            return 1
        per_row = size_hint(value.numel()) / self.example_rows
        factor = _PRODUCTS.get(operator_name(node).removesuffix("_"))
        if factor is None:
            return int(4 * per_row) + 1
        inner = size_hint(node.args[factor].meta["val"].shape[-1])
        return int(2 * per_row * inner / _FLOPS_PER_BYTE) + 1


class _Part(torch.nn.Module):
    """Some nodes of a graph, as a model of its own: forward(tables, data) -> outputs."""

    def __init__(
        self, graph: _Graph, outputs: Mapping[str, Any], frontier: Mapping[Any, str], *, keeps: bool
    ) -> None:
        """`frontier`: node → the item result that it is, which this part answers (`keeps`) or reads."""
        super().__init__()
        self._graph, self._outputs, self._keeps = graph, outputs, keeps
        self._frontier = {} if keeps else frontier
        self._nodes = graph.before(outputs.values(), self._frontier)
        inputs = [node for node in self._nodes if node in graph.inputs and node not in self._frontier]
        self.names = sorted([*map(graph.inputs.__getitem__, inputs), *self._frontier.values()])
        needed = set(self._nodes)
        self.tables = tuple(path for node, path in graph.tables.items() if node in needed)
        self._constants: dict[Any, str] = {}
        for node in self._nodes:
            if node in graph.constants:
                self._constants[node] = f"constant_{len(self._constants)}"
                self.register_buffer(self._constants[node], graph.constants[node])

    def forward(
        self, tables: dict[str, torch.Tensor], data: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        self._say_equal(data)
        found: dict[Any, Any] = {}
        for node in self._nodes:
            found[node] = self._value(node, found, tables, data)
        answers = {name: found[node] for name, node in self._outputs.items()}
        if not self._keeps:
            return answers
        return {
            name: value.reshape(value.size(0), self._graph.width(self._outputs[name])).clone()
            for name, value in answers.items()
        }

    def _value(
        self, node: Any, found: Mapping[Any, Any], tables: Mapping[str, Any], data: Mapping[str, Any]
    ) -> Any:
        graph = self._graph
        if node in self._frontier:
            kept = data[self._frontier[node]]
            return kept.view(kept.size(0), *node.meta["val"].shape[1:])
        if node in graph.inputs:
            return data[graph.inputs[node]]
        if node in graph.tables:
            return tables[graph.tables[node]]
        if node in self._constants:
            return getattr(self, self._constants[node])
        symbol = graph.size_read(node)
        if symbol is not None:
            return self._size(symbol, data)
        arguments, options = torch.fx.node.map_arg((node.args, node.kwargs), found.__getitem__)
        target = node.target
        if writes(node) and self._is_shared(node.args[0]):
            target = _without_writing(node)
        return target(*arguments, **options)

    def _is_shared(self, node: Any) -> bool:
        """Whether a tensor is what is kept, or may be part of it: it stays as it is."""
        kept = node in self._frontier or any(node is one for one in self._outputs.values())
        return kept or operator_name(node) in _VIEWS

    def _size(self, symbol: str, data: Mapping[str, torch.Tensor]) -> Any:
        for node, d in self._graph.symbols[symbol]:
            name = self._graph.inputs[node]
            if name in data:
                return data[name].size(d)
        for name in self._frontier.values():
            return data[name].size(0)  # of rows
        raise NotUnderstood(f"no input has the size {symbol}")

    def _say_equal(self, data: Mapping[str, torch.Tensor]) -> None:
        """Make one symbol of sizes that are the same number."""
        check: Any = torch._check
        first: dict[str, Any] = {}
        for name, tensor in data.items():
            for d, size in enumerate(self._specs[name].shape):
                if size.name:
                    check(tensor.size(d) == first.setdefault(size.name, tensor.size(d)))

    def exported(self, given: Mapping[str, torch.Tensor], specs: Mapping[str, TensorSpec]) -> Exported:
        """Trace it for all sizes."""
        self._specs = {name: specs[name] for name in self.names}
        tables = {
            path: torch.empty(node.meta["val"].shape, dtype=node.meta["val"].dtype)  # of no memory: untouched
            for node, path in self._graph.tables.items()
            if path in self.tables
        }
        fixed = {name for name, spec in self._specs.items() if spec.shape[0].fixed is not None}
        program = for_any_size(self, tables, {name: given[name] for name in self.names}, fixed)
        return Exported(program, self._specs, self.tables, tuple(sorted(self._outputs)))


def _constant(program: Any, name: str) -> torch.Tensor | None:
    """The tensor behind a placeholder, if the program holds it."""
    signature = program.graph_signature
    for found in (signature.inputs_to_buffers, signature.inputs_to_parameters):
        if name in found:
            target = found[name]
            tensor = program.state_dict.get(target)
            return program.constants[target] if tensor is None else tensor  # type: ignore[no-any-return]
    target = signature.inputs_to_lifted_tensor_constants.get(name)
    return None if target is None else program.constants[target]


def _without_writing(node: Any) -> Any:
    """The operator that gives what this one writes: addmm for addmm_; None if there is none."""
    name, overload = operator_name(node), node.target._overloadname
    if not name.endswith("_"):
        return None
    return getattr(getattr(torch.ops.aten, name.removesuffix("_"), None), overload, None)
