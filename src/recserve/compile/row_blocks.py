"""Parts of a graph that are run a block of rows at a time, because all rows at once do not fit the cache.

    all rows, operator by operator          block by block, all operators of a part

    rows × steps × 64 floats ──▶ …          the next operator finds what the last one wrote
    written to memory, read back            where it was written: in the core's own cache

Hidden layers over sequences are the parts: each candidate has a row for each step. Operators qualify that
compute each row by itself, whichever rows are beside it; a part is a connected set of them. What is as large
for all rows, such as weights and a user's steps, every block reads whole.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recserve.compile.nodes import operator_name
from recserve.engines.torch_arrays import torch

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from recserve.compile.export import Exported

#: Of the cache, for the largest tensor of a block; what is read and written beside it has the rest.
_SHARE = 0.625
_USUAL_CACHE = 1 << 20
#: A block of fewer rows costs more than the cache gives.
LEAST_ROWS = 16
#: Tensors of fewer bytes per row fit the cache with as many rows as requests have.
_LEAST_BYTES = 2048
#: Stands for a number of steps that nobody knows before a request.
_STEPS = 32

#: Operators that compute each entry by itself.
_EACH_ENTRY = {
    "add", "sub", "mul", "div", "neg", "abs", "exp", "sqrt", "rsqrt", "pow", "maximum", "minimum", "where",
    "relu", "leaky_relu", "elu", "silu", "gelu", "sigmoid", "tanh", "softplus", "hardtanh", "clamp",
    "clamp_min", "clamp_max", "masked_fill", "ge", "gt", "le", "lt", "eq", "ne",
}  # fmt: skip
#: Operators that take sizes; entries stay in their order.
_RESHAPES = {"view", "reshape", "_unsafe_view", "expand"}
#: Operators along the dimensions that are their second argument.
_ALONG = {"softmax", "_softmax", "sum", "mean", "unsqueeze", "squeeze", "slice", "select", "cat"}


@dataclass(frozen=True, slots=True)
class RowBlocks:
    """Nodes that are run block by block, in their order, and what they read: `sliced` by rows, `whole` not.

    `counts` are numbers that are others in a block, as they depend on its rows. `outputs` are read by others,
    `reader` first. A row of the largest tensor takes `row_bytes`, times the size of each of `steps`: a
    node's, in a dimension.
    """

    nodes: tuple[Any, ...]
    counts: tuple[Any, ...]
    sliced: tuple[Any, ...]
    whole: tuple[Any, ...]
    outputs: tuple[Any, ...]
    reader: Any
    rows: Any  # an input that has as many rows as the request
    row_bytes: int
    steps: tuple[tuple[Any, int], ...]


def find(exported: Exported, needed: Collection[Any]) -> list[RowBlocks]:
    """The parts of a graph that are worth it, apart from one another; `needed` are the nodes that are run."""
    rows = _rows(exported)
    if rows is None:
        return []
    return _Parts([node for node in exported.program.graph.nodes if node in needed], rows).found()


@functools.cache
def block_bytes() -> int:
    """What the largest tensor of a block may take, on this machine."""
    try:
        size = Path("/sys/devices/system/cpu/cpu0/cache/index2/size").read_text().strip()
        cache = int(size.removesuffix("K")) << 10
    except (OSError, ValueError):
        cache = _USUAL_CACHE
    return int(_SHARE * cache)


def _rows(exported: Exported) -> Any:
    """The symbol of the number of rows; None where it is fixed, or told by several."""
    signature = exported.program.graph_signature
    nodes = {node.name: node for node in exported.program.graph.nodes}
    given = [nodes[str(name)] for name in signature.user_inputs][len(exported.tables) :]
    sizes = [
        node.meta["val"].shape[d]
        for node, spec in zip(given, exported.inputs.values(), strict=True)
        for d, size in enumerate(spec.shape)
        if size.name == "rows"
    ]
    symbols = {size.node.expr for size in sizes if isinstance(size, torch.SymInt)}
    return symbols.pop() if len(symbols) == 1 else None


class _Parts:
    """The search in one graph."""

    def __init__(self, nodes: Sequence[Any], rows: Any) -> None:
        self._rows = rows
        self._place = {node: k for k, node in enumerate(nodes)}
        #: entries of its first dimension that a tensor has for each row; others have no rows
        self._each: dict[Any, Any] = {}
        for node in nodes:
            each = self._of_each_row(node.meta.get("val"))
            if each is not None:
                self._each[node] = each
        self._by_row = {node for node in self._each if self._is_by_row(node)}

    def found(self) -> list[RowBlocks]:
        """Those that can be run at one place: behind all that they read, before who reads them."""
        large = {node for node in self._by_row if self._is_large(node)}
        parts: list[RowBlocks] = []
        while large:
            core = _connected(min(large, key=self._place.__getitem__), large)
            large -= core
            part = self._part(core | {user for node in core for user in node.users if user in self._by_row})
            if part is not None and not any(set(part.nodes) & set(other.nodes) for other in parts):
                parts.append(part)
        runs_at = {node: self._place[part.reader] for part in parts for node in part.nodes}
        return [
            part
            for part in parts
            if all(
                runs_at.get(node, self._place[node]) < self._place[part.reader]
                for node in (*part.sliced, *part.whole)
            )
        ]

    def _part(self, nodes: set[Any]) -> RowBlocks | None:
        ordered = self._in_order(nodes)
        read = {one for node in ordered for one in node.all_input_nodes} - nodes
        counts = self._counts(read)
        if counts is None:
            return None
        read |= {one for count in counts if not self._is_rows(count) for one in count.all_input_nodes}
        inputs = self._in_order(read - set(counts))
        readers = {node: [user for user in self._users(node) if user not in nodes] for node in ordered}
        sliced = tuple(node for node in inputs if node in self._each)
        outputs = tuple(node for node in ordered if readers[node])
        rows = next(
            (node for node, each in self._each.items() if each == 1 and node.op == "placeholder"), None
        )
        if rows is None or any(map(self._is_large, outputs)):
            return None
        row_bytes, steps = self._largest(ordered, inputs)
        return RowBlocks(
            ordered,
            counts,
            sliced,
            tuple(node for node in inputs if node not in self._each),
            outputs,
            self._in_order(user for users in readers.values() for user in users)[0],
            rows,
            row_bytes,
            steps,
        )

    def _in_order(self, nodes: Iterable[Any]) -> tuple[Any, ...]:
        return tuple(sorted(nodes, key=self._place.__getitem__))

    def _users(self, node: Any) -> list[Any]:
        return [user for user in node.users if user in self._place]

    def _of_each_row(self, value: Any) -> Any:
        """How many entries of its first dimension a tensor has for each row; None if it has no rows."""
        if not isinstance(value, torch.Tensor) or not value.dim():
            return None
        first, *others = (size.node.expr if isinstance(size, torch.SymInt) else size for size in value.shape)
        if not self._has_rows(first) or any(map(self._has_rows, others)):
            return None
        each = first / self._rows
        return None if self._has_rows(each) else each

    def _has_rows(self, expression: Any) -> bool:
        return self._rows in getattr(expression, "free_symbols", ())

    def _is_by_row(self, node: Any) -> bool:
        """Whether an operator gives each row of its result from the same row of what it takes."""
        name = operator_name(node)
        sliced = [one for one in node.all_input_nodes if one in self._each]
        whole = [one for one in node.all_input_nodes if one not in self._each]
        if not sliced or any(map(self._mixes_rows, whole)):
            return False
        alike = all(self._each[one] == self._each[node] for one in sliced)
        if name in _RESHAPES:
            return name != "expand" or (alike and _dims(sliced[0]) == _dims(node))
        if not alike or any(map(self._depends_on_rows, whole)):
            return False
        if name in _EACH_ENTRY:
            return all(_dims(one) == _dims(node) for one in sliced) and _stand_aside(whole, node)
        if name == "addmm":
            rows, weight = node.args[1:3]
            return rows in sliced and weight in whole and _stand_aside(set(whole) - {weight}, node)
        of_rows_alone = name in _ALONG and not (name == "cat" and whole) and _along_others(node, sliced[0])
        return of_rows_alone or (name in ("linear", "mm") and sliced == [node.args[0]])

    def _mixes_rows(self, one: Any) -> bool:
        """Whether what is not sliced has rows all the same, in another dimension."""
        value = one.meta.get("val")
        sizes = value.shape if isinstance(value, torch.Tensor) else ()
        return any(isinstance(size, torch.SymInt) and self._has_rows(size.node.expr) for size in sizes)

    def _depends_on_rows(self, one: Any) -> bool:
        """Whether it is a number that does."""
        value = one.meta.get("val")
        return isinstance(value, torch.SymInt) and self._has_rows(value.node.expr)

    def _is_rows(self, one: Any) -> bool:
        return bool(one.meta["val"].node.expr == self._rows)

    def _is_large(self, node: Any) -> bool:
        """Whether each row has steps, and all of them together take much."""
        value = node.meta["val"]
        has_steps = self._each[node] != 1 or (value.dim() > 2 and not _is_one(value.size(1)))
        return has_steps and _hint(self._row_bytes(node)) >= _LEAST_BYTES

    def _row_bytes(self, node: Any) -> Any:
        value = node.meta["val"]
        sizes = [size.node.expr if isinstance(size, torch.SymInt) else size for size in value.shape[1:]]
        return self._each[node] * math.prod([value.element_size(), *sizes])

    def _counts(self, read: Iterable[Any]) -> tuple[Any, ...] | None:
        """Numbers that depend on the number of rows, in their order; None where one has to be asked for."""
        found: set[Any] = set()
        waiting = list(read)
        while waiting:
            node = waiting.pop()
            if node in found or not self._depends_on_rows(node):
                continue
            found.add(node)
            if not self._is_rows(node):
                if node.op != "call_function" or isinstance(node.target, torch._ops.OpOverload):
                    return None
                waiting += node.all_input_nodes
        return self._in_order(found)

    def _largest(
        self, nodes: Sequence[Any], inputs: Sequence[Any]
    ) -> tuple[int, tuple[tuple[Any, int], ...]]:
        """What a row of the largest tensor takes: bytes, and sizes of inputs to multiply them by."""
        large = max((self._row_bytes(node) for node in nodes), key=_hint)
        symbols: Mapping[Any, Any] = getattr(large, "as_powers_dict", dict)()
        steps = []
        for symbol in getattr(large, "free_symbols", ()):
            at = _size_of(symbol, inputs)
            if at is None or symbols.get(symbol) != 1:
                return _hint(large), ()
            steps.append(at)
            large = large / symbol
        return int(large) if not getattr(large, "free_symbols", ()) else _hint(large), tuple(steps)


def _connected(first: Any, among: Collection[Any]) -> set[Any]:
    found: set[Any] = set()
    waiting = [first]
    while waiting:
        node = waiting.pop()
        if node not in found and node in among:
            found.add(node)
            waiting += [*node.users, *node.all_input_nodes]
    return found


def _size_of(symbol: Any, nodes: Sequence[Any]) -> tuple[Any, int] | None:
    for node in nodes:
        value = node.meta.get("val")
        for d, size in enumerate(value.shape if isinstance(value, torch.Tensor) else ()):
            if isinstance(size, torch.SymInt) and size.node.expr == symbol:
                return node, d
    return None


def _stand_aside(others: Iterable[Any], result: Any) -> bool:
    """Whether tensors without rows are the same for all rows of a result."""
    tensors = [one.meta["val"] for one in others if isinstance(one.meta.get("val"), torch.Tensor)]
    return all(value.dim() < _dims(result) or _is_one(value.size(0)) for value in tensors)


def _along_others(node: Any, given: Any) -> bool:
    """Whether an operator goes along dimensions that are not that of rows."""
    along = node.args[1] if len(node.args) > 1 else None
    if along is None:
        return False
    return all(d % _dims(given) for d in (along if isinstance(along, (list, tuple)) else [along]))


def _dims(node: Any) -> int:
    return int(node.meta["val"].dim())


def _is_one(size: Any) -> bool:
    return isinstance(size, int) and size == 1


def _hint(size: Any) -> int:
    """A size, with usual numbers of steps."""
    symbols = getattr(size, "free_symbols", ())
    return int(size.subs(dict.fromkeys(symbols, _STEPS)) if symbols else size)
