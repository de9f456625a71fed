"""Walks a flat graph with values at their rates: once to decide, and again to be exported.

    first graph ──walk (real tensors)──▶ decisions and folded constants
                ──walk (torch.export)──▶ second graph

Rules for operators are in ops/. What depends on weights, and not on a request, happens in the first walk
(`once`, `fold`); the second one replays it, since torch.export has no numbers to decide by.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recserve.compile.rates.ops import OPS, ends
from recserve.compile.rates.simplified import simplified
from recserve.compile.rates.unread import ENTRIES
from recserve.compile.rates.values import Cat, Dense, Form, NotUnderstood, Rate, dense, full
from recserve.engines.torch_arrays import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_NUMBERS = frozenset(
    (
        operator.add, operator.sub, operator.mul, operator.floordiv, operator.mod, operator.neg, operator.ge,
        operator.le, operator.gt, operator.lt, operator.eq, operator.ne, operator.truediv, operator.pow,
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Step:
    """One operator that multiplies, in floating point operations of the example request."""

    node: str
    op: str
    rate: Rate
    plain_flops: float  # as the original computes it
    flops: dict[Rate, float]  # as it is computed now
    note: str = ""


@dataclass(frozen=True, slots=True)
class _Number:
    """Of a constant."""

    number: int


#: Arguments of operators that are the same in every call.
_PLAIN = (bool, int, float, str, type(None), torch.dtype, torch.device, torch.layout, torch.memory_format)


@dataclass(frozen=True, slots=True)
class Options:
    """What the second graph is for.

    `interpreted`: it is run operator by operator, and not compiled. `items_apart`: what depends on items
    alone is computed by itself, since its results are to be kept.
    """

    interpreted: bool = False
    items_apart: bool = False


class Walk:
    """One graph and its constants; `run` may be called with real tensors first, then under torch.export."""

    def __init__(
        self,
        graph: torch.fx.Graph,
        constants: Mapping[str, torch.Tensor],
        *,
        tables: Mapping[str, str],
        inputs: Mapping[str, str],
        rates: Mapping[str, Rate],
        repeated: bool,
        options: Options,
    ) -> None:
        """`constants`, and the names of tables and inputs, by the names of the graph's placeholders.

        `rates` by the names of inputs. `repeated`: the graph has a user's row for every row.
        """
        self.graph = simplified(graph)
        self.options = options
        self.steps: list[Step] = []
        self.node: Any = None
        self.rows: Any = 0
        self._tables = tables
        self._inputs, self._rates, self._repeated = inputs, rates, repeated
        self._placeholders = dict(constants)
        self._constants: list[torch.Tensor] = []
        self._numbers: dict[str, int] = {}  # of placeholders
        self._decided: list[Any] = []
        self._turn = 0
        self._replay: Sequence[torch.Tensor] | None = None
        self._values: dict[Any, Any] = {}
        self._ahead: dict[Any, Any] = {}
        self.used: set[int] = set()
        for name, tensor in constants.items():
            self._numbers[name] = self._keep(tensor)
        self._given = len(self._constants)

    # -- what handlers ask ----------------------------------------------------------------------------------

    def once(self, decide: Callable[[], Any]) -> Any:
        """What the first walk decided here; it may look at the numbers of constants (`real`)."""
        turn, self._turn = self._turn, self._turn + 1
        if self._replay is None:
            with torch.utils._python_dispatch._disable_current_modes():
                self._decided.append(decide())
        if turn >= len(self._decided):
            raise NotUnderstood(f"{self.node.target}: sizes of the example decide, and others would differ")
        return self._decided[turn]

    def real(self, constant: Dense) -> torch.Tensor:
        """The numbers of a constant; only for use in `once`."""
        if constant.constant is None:
            raise NotUnderstood(f"{self.node.target}: a weight depends on the request")
        return self._constants[constant.constant]

    def apart(self, first: Any, second: Any) -> bool:
        """Whether two values are better not computed together, although they have equally many rows."""
        return self.options.items_apart and (first.rate == Rate.ITEM) != (second.rate == Rate.ITEM)

    def keeps(self, value: Any) -> bool:
        """Whether what is computed of a value will be kept, and so is a tensor of its own."""
        return self.options.items_apart and value.rate == Rate.ITEM

    def fold(self, compute: Callable[..., torch.Tensor], *constants: Dense) -> Dense:
        """A new constant, computed when the model is compiled."""
        number = self.once(lambda: self._keep(compute(*(self.real(constant) for constant in constants))))
        return self.constant(number)

    def constant(self, number: int) -> Dense:
        """A constant as this walk has it."""
        tensor = self._constants[number] if self._replay is None else self._replay[number]
        return Dense(tensor, Rate.CONST, (1,) * tensor.dim(), number)

    def is_weight(self, value: Any) -> bool:
        """Whether a value is known when the model is compiled."""
        return isinstance(value, Dense) and value.constant is not None

    def known(self, node: Any) -> Any:
        """The value of a node before this one, or of a constant; None if it comes later."""
        return self._values.get(node)

    def compute_ahead(self, node: Any, value: Any) -> None:
        """Tell the value of a later node, which was cheaper to compute together with this one."""
        self._ahead[node] = value

    def taken(self, node: Any) -> Any:
        """What was told of a node with `compute_ahead`."""
        return self._ahead.pop(node)

    def count(self, plain: float, flops: dict[Rate, float], note: str = "") -> None:
        """Tell what the operator of the current node costs; only the first walk has numbers."""
        if self._replay is None:
            rate = Rate.CONST
            for found in flops:
                rate |= found
            plain *= self.node.meta.get(ENTRIES, 1)
            self.steps.append(Step(self.node.name, str(self.node.target), rate, plain, flops, note))

    # -- running --------------------------------------------------------------------------------------------

    @property
    def constants(self) -> Sequence[torch.Tensor]:
        """Those of the graph, and those that were folded."""
        return self._constants

    def first(
        self, tables: Mapping[str, torch.Tensor], data: Mapping[str, torch.Tensor], *, rows: int
    ) -> list[torch.Tensor]:
        """The first walk, over real tensors; one that was before is forgotten."""
        self._decided.clear()
        self.steps.clear()
        del self._constants[self._given :]
        with _Reads() as reads, torch.no_grad():
            found = self.run(tables, data, rows=rows)
        self.used = {number for number, tensor in enumerate(self._constants) if id(tensor) in reads.seen}
        return found

    def run(
        self,
        tables: Mapping[str, torch.Tensor],
        data: Mapping[str, torch.Tensor],
        *,
        rows: Any,
        constants: Sequence[torch.Tensor] | None = None,
    ) -> list[torch.Tensor]:
        """The model's outputs; with `constants`, in their order, decisions are those of the run before."""
        self._replay, self._turn, self.rows = constants, 0, rows
        values = self._values = {}
        self._ahead = {}
        for node in self.graph.nodes:
            self.node = node
            if node.op == "placeholder":
                values[node] = self._input(node.name, tables, data)
            elif node.op == "output":
                found = torch.fx.node.map_arg(node.args[0], lambda one: values[one])
                if self._replay is not None and self._turn != len(self._decided):
                    raise NotUnderstood("sizes of the example decide, and others would differ")
                return [full(value) for value in found]
            else:
                values[node] = self._call(node, values)
        raise NotUnderstood("the graph has no output")

    def _input(self, name: str, tables: Mapping[str, torch.Tensor], data: Mapping[str, torch.Tensor]) -> Any:
        if name in self._numbers:
            return self.constant(self._numbers[name])
        if name in self._tables:
            return Dense.of(tables[self._tables[name]], Rate.CONST)
        if name not in self._inputs:
            return None
        given = self._inputs[name]
        tensor, rate = data[given], self._rates[given]
        if rate & Rate.ITEM or not self._repeated or not tensor.dim():
            return Dense.of(tensor, rate)
        return Dense(tensor, rate, (self.rows,) + (1,) * (tensor.dim() - 1))

    def _call(self, node: Any, values: Mapping[Any, Any]) -> Any:
        if node in self._ahead:
            return self._ahead.pop(node)
        arguments = torch.fx.node.map_arg(node.args, lambda one: values[one])
        named = torch.fx.node.map_arg(node.kwargs, lambda one: values[one])
        if node.target in _NUMBERS:
            return node.target(*arguments)
        if node.target is operator.getitem:
            return arguments[0][arguments[1]]
        name = str(node.target)
        if self._is_constant((arguments, named)):
            return self._computed_once(node, arguments, named)
        if name in ends.OPS:
            waits = ends.OPS[name](self, *arguments, **named)
            if waits is not NotImplemented:
                return waits
        arguments, named = ends.written(name, (arguments, named))
        found = self._handled(name, arguments, named)
        if found is NotImplemented:  # of parts; it may have a rule for what they are together
            found = self._handled(name, *_joined((arguments, named)))
        if found is NotImplemented:
            raise NotUnderstood(f"{name} of {_kinds(arguments)} is not understood")
        return found

    def _handled(self, name: str, arguments: Any, named: Any) -> Any:
        for handler in OPS.get(name, ()):
            found = handler(self, *arguments, **named)
            if found is not NotImplemented:
                return found
        return NotImplemented

    def _is_constant(self, arguments: Any) -> bool:
        """Whether there are tensors among them, all known when the model is compiled."""
        leaves = torch.utils._pytree.tree_leaves(arguments)
        tensors = [one for one in leaves if not isinstance(one, _PLAIN)]
        return bool(tensors) and all(self.is_weight(one) for one in tensors)

    def _computed_once(self, node: Any, arguments: Any, named: Any) -> Any:
        """What an operator makes of constants: other constants."""
        mapped = torch.utils._pytree.tree_map

        def real(one: Any) -> Any:
            return self.real(one) if isinstance(one, Dense) else one

        def kept(one: Any) -> Any:
            return _Number(self._keep(one.clone())) if isinstance(one, torch.Tensor) else one

        found = self.once(lambda: mapped(kept, node.target(*mapped(real, arguments), **mapped(real, named))))
        return mapped(lambda one: self.constant(one.number) if isinstance(one, _Number) else one, found)

    def _keep(self, tensor: torch.Tensor) -> int:
        self._constants.append(tensor.detach())
        return len(self._constants) - 1


class _Reads(torch.utils._python_dispatch.TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes which tensors operators read."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        leaves = torch.utils._pytree.tree_leaves((args, kwargs or {}))
        self.seen.update(id(one) for one in leaves if isinstance(one, torch.Tensor))
        return func(*args, **(kwargs or {}))


def _joined(arguments: Any) -> Any:
    """Parts that lie one behind the other, as one tensor."""
    return torch.utils._pytree.tree_map(lambda one: dense(one) if isinstance(one, Cat) else one, arguments)


def _kinds(arguments: Any) -> str:
    def kind(value: Any) -> str:
        match value:
            case Dense() if value.is_tiled:
                return f"repeated {value.base.dim()}-d tensor"
            case Dense():
                return f"{value.base.dim()}-d tensor"
            case Cat() | Form():
                return type(value).__name__.lower()
            case list() | tuple():
                return f"[{', '.join(sorted({kind(one) for one in value}))}]"
        return str(value)

    return ", ".join(kind(value) for value in arguments)
