"""A flat graph ──▶ one TorchScript file, a statement for each of its nodes.

    forward(Dict[str, Tensor] data) -> Dict[str, Tensor]

TorchScript needs no compiler, runs without the interpreter's lock, and is loaded by torch and fbgemm alone.
What it runs are the same operators as the graph's, so it answers what the graph answers. Embedding tables are
attributes that are empty in the file and are set when it is loaded (`recserve.engines.flat_script`).

The text is read by the compiler of TorchScript, which chooses among the overloads of an operator by types.
It is not frozen: at rank-200 freezing saves no time, and it doubles what is in memory.
"""

from __future__ import annotations

import keyword
import math
import operator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from recserve.compile import ids_in_range, row_blocks  # noqa: F401  the first makes torch.ops.recserve
from recserve.compile.in_place import writes_over
from recserve.compile.nodes import writes
from recserve.engines.flat_script import table_name
from recserve.engines.torch_arrays import torch
from recserve.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from recserve.compile.export import Exported
    from recserve.compile.row_blocks import RowBlocks


def write_script(exported: Exported, path: Path) -> None:
    """Write the graph as a TorchScript file; BundleError names the first node that cannot be written."""
    to_script(exported).save(path)


def to_script(exported: Exported) -> Any:
    """The graph as a TorchScript module, whose tables are still empty."""
    text = _Text(exported)
    module = torch.nn.Module()
    for name, tensor in text.attributes.items():
        module.register_buffer(name, tensor)
    # Types are not shared: two models may have attributes of the same names.
    create: Any = torch.jit._recursive.create_script_module
    script = create(module.eval(), lambda _: [], share_types=False)
    try:
        script.define(text.source)  # finds `torch` and `math` in this file
    except RuntimeError as e:
        raise BundleError(
            f"the compiled model cannot be written as TorchScript: {_blamed(str(e))}; please report it"
        ) from e
    return script


def _blamed(error: str) -> str:
    """The first line of TorchScript's error, and the line of the text that it points to."""
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    at = [above for above, line in pairwise(lines) if line.endswith("<--- HERE")]
    return ": ".join([*lines[:1], *at[:1]])[:500]


class _Text:
    """The source of a graph's `forward`, and the tensors that it reads from `self`."""

    def __init__(self, exported: Exported) -> None:
        self._graph = exported.program.graph
        self._names: dict[Any, str] = {}
        self._written = _written(self._graph)
        self._needed = _needed(self._graph)
        self._writes_over = writes_over(self._graph)
        self.attributes: dict[str, torch.Tensor] = {}
        inputs = self._inputs(exported)
        self._methods: list[str] = []
        parts = row_blocks.find(exported, self._needed)
        inside = {node for part in parts for node in part.nodes}
        lines = []
        for node in self._graph.nodes:
            lines += [line for part in parts if part.reader is node for line in self._in_blocks(part)]
            lines += self._statement(node) if node not in inside else []
        outputs = next(node for node in self._graph.nodes if node.op == "output").args[0]
        answer = ", ".join(
            f"{name!r}: {self._names[output]}"
            for name, output in zip(_output_keys(exported), outputs, strict=True)
        )
        header = "def forward(self, data: Dict[str, Tensor]) -> Dict[str, Tensor]:"
        self.source = _method(header, [*inputs, *lines, f"return {{{answer}}}"]) + "".join(self._methods)
        if any(node.target in _METHODS for node in self._needed):
            self.source += _IDS_IN_RANGE

    def _inputs(self, exported: Exported) -> list[str]:
        """Statements that give the graph's arguments their names."""
        signature, lines = exported.program.graph_signature, []
        arguments = iter([*map(table_name, range(len(exported.tables))), *exported.inputs])
        placeholders = {node.name: node for node in self._graph.nodes if node.op == "placeholder"}
        tables = len(exported.tables)
        for spec in signature.input_specs:
            node = placeholders[spec.arg.name]
            name = self._name(node)
            if spec.kind is torch.export.graph_signature.InputKind.USER_INPUT:
                argument = next(arguments)
                if argument in exported.inputs and tables == 0:
                    lines += [f"{name} = data[{argument!r}]"] if node in self._needed else []
                    continue
                tables -= 1
                self.attributes[argument] = torch.empty(0, dtype=node.meta["val"].dtype)
            else:
                argument = f"constant_{len(self.attributes)}"
                self.attributes[argument] = _held(exported.program, spec.target)
            lines += [f"{name} = self.{argument}"] if node in self._needed else []
        return lines

    def _statement(self, node: Any) -> list[str]:
        if node.op in ("placeholder", "output") or node not in self._needed:
            return []
        if node.op != "call_function":
            raise BundleError(f"the compiled model has a {node.op} '{node.target}', which cannot be written")
        if self._is_nothing(node):
            self._names[node] = self._names[node.args[0]]
            return []
        if node.target is operator.getitem and isinstance(node.args[0].meta.get("val"), (list, tuple)):
            return []  # named where the parts are made
        expression = self._expression(node)
        parts = node.meta.get("val")
        if isinstance(parts, (list, tuple)):
            return self._parts(node, expression, parts)
        if not node.users:
            return [expression]  # called for what it writes
        return [f"{self._name(node)} = {expression}"]

    def _in_blocks(self, part: RowBlocks) -> list[str]:
        """Statements that run a part, whose methods are written too."""
        number = len(self._methods) // 2
        given = [*part.sliced, *part.whole]
        names = [self._names[node] for node in given]
        typed = [f"{name}: {_kind(node)}" for name, node in zip(names, given, strict=True)]
        signature = f"(self, rows: int, {', '.join(typed)}) -> List[Tensor]:"
        body = [line for node in part.counts for line in self._count(node, part)]
        body += [line for node in part.nodes for line in self._statement(node)]
        outputs = [self._names[node] for node in part.outputs]
        self._methods.append(
            _method(f"def block_{number}{signature}", [*body, f"return [{', '.join(outputs)}]"])
        )
        sliced = [
            f"{name}.narrow(0, start * ({name}.size(0) // rows), count * ({name}.size(0) // rows))"
            for name in names[: len(part.sliced)]
        ]
        call = f"self.block_{number}(count, {', '.join([*sliced, *names[len(part.sliced) :]])})"
        whole = f"self.block_{number}(rows, {', '.join(names)})"
        most = " * ".join(
            [str(part.row_bytes), *(f"{self._names[node]}.size({d})" for node, d in part.steps)]
        )
        lines = [
            f"most = max({row_blocks.LEAST_ROWS}, {row_blocks.block_bytes()} // max(1, {most}))",
            "if rows <= most:",
            f"    return {whole}",
            "blocks = (rows + most - 1) // most",
            "most = (rows + blocks - 1) // blocks",
            f"found: List[List[Tensor]] = [{', '.join('[]' for _ in outputs)}]",
            "start = 0",
            "while start < rows:",
            "    count = min(most, rows - start)",
            f"    for k, output in enumerate({call}):",
            "        found[k].append(output)",
            "    start += count",
            "return [torch.cat(outputs) for outputs in found]",
        ]
        self._methods.append(_method(f"def blocks_{number}{signature}", lines))
        call = f"self.blocks_{number}({self._names[part.rows]}.size(0), {', '.join(names)})"
        return [
            f"of_blocks_{number} = {call}",
            *(f"{name} = of_blocks_{number}[{k}]" for k, name in enumerate(outputs)),
        ]

    def _count(self, node: Any, part: RowBlocks) -> list[str]:
        """What a number is that depends on the rows of a block."""
        value, rows = node.meta["val"].node.expr, part.rows.meta["val"].shape[0].node.expr
        return [f"{self._name(node)} = rows"] if value == rows else self._statement(node)

    def _expression(self, node: Any) -> str:
        if node.target in _WORDS:
            words: str = _WORDS[node.target].format(*(self._value(value) for value in node.args))
            return words
        if node.target in _WRITTEN:
            written: str = _WRITTEN[node.target](self, node)
            return written
        if node.target in _METHODS:
            mine = node in self._writes_over  # it is nobody else's memory
            return f"self.{_METHODS[node.target]}({', '.join(map(self._value, [*node.args, not mine]))})"
        if not isinstance(node.target, torch._ops.OpOverload):
            raise BundleError(f"the compiled model calls {node.target}, which cannot be written")
        arguments = node.target._schema.arguments
        named = {argument.name: argument for argument in arguments}
        values = [
            self._argument(argument, value) for argument, value in zip(arguments, node.args, strict=False)
        ]
        values += [f"{name}={self._argument(named[name], value)}" for name, value in node.kwargs.items()]
        namespace, _, name = node.target._schema.name.partition("::")
        over = "_" if node in self._writes_over else ""
        return f"torch.ops.{namespace}.{name}{over}({', '.join(values)})"

    def _parts(self, node: Any, expression: str, parts: Any) -> list[str]:
        """`a, b = …` for an operator of several results."""
        if not parts:
            return [expression] if writes(node) else []
        taken = {user.args[1]: user for user in node.users if user in self._needed}
        if any(user.target is not operator.getitem for user in node.users):
            raise BundleError(f"the results of {node.target} are taken together, which cannot be written")
        names = [
            self._name(taken[k]) if k in taken else f"{self._name(node)}_{k}_" for k in range(len(parts))
        ]
        for user in node.users:  # the same part may be taken more than once
            self._names[user] = names[user.args[1]]
        lines = [f"{', '.join(names)}{',' if len(names) == 1 else ''} = {expression}"]
        returns = [str(result.type) for result in node.target._schema.returns]
        if len(returns) == len(parts):
            lines += [
                f"{self._names[user]} = torch.jit._unwrap_optional({self._names[user]})"
                for k, user in taken.items()
                if returns[k].startswith("Optional")
            ]
        return lines

    def _is_nothing(self, node: Any) -> bool:
        """Whether an operator gives back what it takes."""
        name = str(node.target)
        if name.startswith("aten.to."):
            taken, given = node.args[0].meta["val"], node.meta["val"]
            copies = node.kwargs.get("copy") or any(value is True for value in node.args[3:])
            return not copies and taken.dtype == given.dtype and taken.device == given.device
        if name == "aten.dropout.default" and node.args[2] is False:
            return True
        if name in ("aten.clone.default", "aten.lift_fresh_copy.default"):
            # A copy of an argument protects it from being written to, and an answer is nobody else's.
            answered = any(user.op == "output" for user in node.users)
            return node.args[0].op == "placeholder" and node not in self._written and not answered
        return False

    def _argument(self, argument: Any, value: Any) -> str:
        """A value as an operator's argument; lists say what they are lists of where they do not show it."""
        text = self._value(value)
        if isinstance(value, (list, tuple)):
            listed = str(argument.real_type)
            if "Optional[Tensor]" in listed:
                return f"torch.jit.annotate(List[Optional[Tensor]], {text})"
            if not value:
                kind = next((kind for kind in ("int", "float", "bool") if f"[{kind}]" in listed), "Tensor")
                return f"torch.jit.annotate(List[{kind}], [])"
        return text

    def _value(self, value: Any) -> str:
        if isinstance(value, torch.fx.Node):
            return self._names[value]
        if isinstance(value, (list, tuple)):
            return f"[{', '.join(map(self._value, value))}]"
        if isinstance(value, float) and not math.isfinite(value):
            return "math.nan" if math.isnan(value) else "math.inf" if value > 0 else "-math.inf"
        if value is None or isinstance(value, (bool, int, float, str)):
            return repr(value)
        if isinstance(value, (torch.dtype, torch.layout, torch.memory_format)):
            return str(value)
        if isinstance(value, torch.device):
            return f"torch.device({str(value)!r})"
        raise BundleError(f"the compiled model has a {type(value).__name__} {value}, which cannot be written")

    def _name(self, node: Any) -> str:
        name: str = node.name
        is_taken = keyword.iskeyword(name) or name in _RESERVED
        return self._names.setdefault(node, f"{name}_of_graph" if is_taken else name)


#: Words of TorchScript that a node's name may not hide, and names of our own.
_RESERVED = frozenset(
    {
        "data", "self", "torch", "math", "int", "float", "bool", "max", "min", "Dict", "List", "Tensor",
        "enumerate", "rows", "most", "blocks", "found", "start", "count", "k", "output", "outputs",
    }
)  # fmt: skip


def _method(header: str, lines: Sequence[str]) -> str:
    return "\n    ".join([header, *lines]) + "\n"


def _kind(node: Any) -> str:
    """The type of a node as an argument."""
    value = node.meta["val"]
    return next((name for type_, name in _KINDS if isinstance(value, type_)), "Tensor")


_KINDS = (
    (torch.SymBool, "bool"), (torch.SymFloat, "float"), (torch.SymInt, "int"),
    (bool, "bool"), (float, "float"), (int, "int"),
)  # fmt: skip


def _item(text: _Text, node: Any) -> str:
    return f"{_kind(node)}({text._value(node.args[0])})"


_ATEN = torch.ops.aten

#: Operators whose texts depend on what they answer.
_WRITTEN: dict[Any, Callable[[_Text, Any], str]] = {
    _ATEN.item.default: _item,
    _ATEN._local_scalar_dense.default: _item,
}

#: Operators of our own, which are spelled out: a served model needs torch and fbgemm alone.
_METHODS: dict[Any, str] = {torch.ops.recserve.ids_in_range.default: "ids_in_range"}

#: `recserve.compile.ids_in_range.spelled_out` by fbgemm's own operator, in a third of the time. The counter
#: of warnings is of this call alone, and mode 2 says nothing of ids out of range. It writes: maybe to a copy.
_IDS_IN_RANGE = """
def ids_in_range(self, indices: Tensor, offsets: Tensor, rows: Tensor, copied: bool) -> Tensor:
    checked = indices.clone() if copied else indices
    warnings = torch.zeros([1], dtype=torch.int64)
    torch.ops.fbgemm.bounds_check_indices(rows, checked, offsets, 2, warnings)
    return checked
"""

#: What computes with sizes.
_WORDS: dict[Any, str] = {
    _ATEN.sym_size.int: "{}.size({})",
    _ATEN.sym_stride.int: "{}.stride({})",
    _ATEN.sym_numel.default: "{}.numel()",
    operator.add: "{} + {}",
    operator.sub: "{} - {}",
    operator.mul: "{} * {}",
    operator.floordiv: "{} // {}",
    operator.truediv: "{} / {}",
    operator.mod: "{} % {}",
    operator.pow: "{} ** {}",
    operator.neg: "-{}",
    operator.eq: "{} == {}",
    operator.ne: "{} != {}",
    operator.lt: "{} < {}",
    operator.le: "{} <= {}",
    operator.gt: "{} > {}",
    operator.ge: "{} >= {}",
    operator.and_: "{} and {}",
    operator.or_: "{} or {}",
    math.ceil: "math.ceil({})",
    math.floor: "math.floor({})",
    torch.sym_max: "max({}, {})",
    torch.sym_min: "min({}, {})",
    torch.sym_not: "not {}",
    torch.sym_float: "float({})",
    torch.sym_int: "int({})",
}

#: What torch believes of sizes; inputs are compared with their sizes before a call.
_BELIEFS = ("aten._assert_", "aten.sym_constrain_range", "aten._functional_assert")


def _written(graph: Any) -> set[Any]:
    """The nodes whose memory an operator may write to, through any number of views."""
    written: set[Any] = set()
    for node in reversed(graph.nodes):
        if isinstance(node.target, torch._ops.OpOverload):
            schema = node.target._schema
            named = dict(zip((argument.name for argument in schema.arguments), node.args, strict=False))
            named |= node.kwargs
            views = node in written and any(result.alias_info is not None for result in schema.returns)
            for argument in schema.arguments:
                changes = argument.alias_info is not None and argument.alias_info.is_write
                if changes or (views and argument.alias_info is not None):
                    written.update(_nodes(named.get(argument.name)))
        elif node in written and node.target is operator.getitem:
            written.add(node.args[0])
    return written


def _nodes(value: Any) -> list[Any]:
    return [one for one in (value if isinstance(value, (list, tuple)) else [value]) if hasattr(one, "op")]


def _needed(graph: Any) -> set[Any]:
    """The nodes that an output depends on, and those that write."""
    needed: set[Any] = set()
    for node in reversed(graph.nodes):
        if str(node.target).startswith(_BELIEFS):
            continue
        if node.op == "output" or node in needed or writes(node):
            needed.add(node)
            needed.update(node.all_input_nodes)
    return needed


def _held(program: Any, target: str) -> torch.Tensor:
    """A tensor that the graph holds, with memory of its own."""
    found = program.state_dict.get(target, program.constants.get(target))
    if not isinstance(found, torch.Tensor):
        raise BundleError(f"the compiled model holds '{target}', which is no tensor")
    return found.detach().clone()


def _output_keys(exported: Exported) -> Iterable[str]:
    """Names of the outputs in the order of the graph, which is that of the original's answer."""
    keys: list[str] = exported.program.call_spec.out_spec.context
    return keys
