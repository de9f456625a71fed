"""Programs of torch.export: their own graph, run operator by operator under torch.export.

An archive has a flat graph already. It is traced anew, and not taken as it lies, so that it has the
arguments of all other first graphs: embedding tables and a dict of inputs, whose sizes are symbols of their
own. A graph that is right for some sizes alone is refused, or keeps the limits that the archive states.

    weights ──┬─ 2-d, read by look-ups alone ──▶ tables, which stay in the archive
              └─ all others ───────────────────▶ constants of the graph
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from recserve.compile.export import Exported, Flat, for_any_size, one_row, say_equal, specs
from recserve.compile.sources.recomposed import linear, recomposed
from recserve.engines.engine import BATCH_SIZE
from recserve.engines.export_signature import Signature
from recserve.engines.torch_arrays import device_of, torch
from recserve.engines.torch_export import TorchExport, load_program
from recserve.errors import BundleError, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from recserve.bundle import Bundle
    from recserve.compile.asked import Drawn, Given

_aten = torch.ops.aten

#: Operators that read rows of a table, which is their first argument.
_LOOK_UPS = (
    _aten.embedding.default,
    _aten.embedding_bag.default,
    _aten.embedding_bag.padding_idx,
    _aten._embedding_bag.default,
    _aten._embedding_bag_forward_only.default,
    _aten.index_select.default,
    _aten.index.Tensor,
)
#: The one that has two, of bytes.
_QUANTISED = torch.ops.fbgemm.int_nbit_split_embedding_codegen_lookup_function.default
#: What an exporter believes of sizes. It is no part of what is computed, and its limits are the record's.
_BELIEFS = ("aten._assert_scalar", "aten.sym_constrain_range", "aten._assert_async")
_ANSWERS = torch.export.graph_signature.OutputKind.USER_OUTPUT
_GIVEN = torch.export.graph_signature.InputKind.USER_INPUT


class TorchExportSource:
    """See `Source`."""

    def __init__(self, program: torch.export.ExportedProgram) -> None:
        self._program = program
        self._signature = Signature(program)
        self._engine = TorchExport(program, device=device_of("cpu"), outputs=(), features=None, limits={})
        self.module = self._engine.module
        self.inputs = list(self._signature.inputs)
        self.sizes = self._signature.first_sizes

    @classmethod
    def load(cls, bundle: Bundle) -> Self:
        """Load a bundle's archive."""
        return cls(load_program(bundle.model_path))

    def engine(self) -> TorchExport:
        """The same for all: it prepares for nothing."""
        return self._engine

    def graph(self, requests: Drawn | Given) -> Exported:
        """The flat graph; sizes behind the first vary where requests vary in them."""
        example, alike = requests.example(), requests.alike()
        data = {name: torch.from_numpy(example[name]) for name in sorted(example)}
        self._check_example(data)
        replay = _Replay(self._program, self._signature)
        with torch.no_grad():
            found = replay.run(data)
        self._compare(data, found)
        tables, constants = replay.split()
        fixed = set(one_row(data, alike)) if BATCH_SIZE in data else set()
        varies: dict[str, set[int]] = {}
        for name, spec in self._signature.inputs.items():
            free = {d for d, size in enumerate(spec.shape) if size.fixed is None}
            varies[name] = free if requests.widths_vary else free & {0}
        fixed |= {name for name, dims in varies.items() if 0 not in dims}
        module = _Replayed(replay, constants, alike, self._equal_sizes())
        program = for_any_size(module, tables, data, fixed, varies)
        return Exported(program, specs(program, data, len(tables)), tuple(tables), tuple(sorted(found)))

    def _check_example(self, data: Mapping[str, torch.Tensor]) -> None:
        """Refuse what the archive was not exported for: nothing that is made of it could be asked."""
        for name, spec in self._signature.inputs.items():
            if name not in data:
                raise BundleError(f"the model reads '{name}', which the requests do not have")
            if data[name].dim() != len(spec.shape):
                raise BundleError(
                    f"the model reads '{name}' of {len(spec.shape)} dimensions, and requests have "
                    f"{data[name].dim()}"
                )
            for d, (size, count) in enumerate(zip(spec.shape, data[name].shape, strict=True)):
                if not size.fits(count):
                    raise BundleError(
                        f"the model was exported for {size} in dimension {d} of '{name}', and a request "
                        f"has {count}; export it with dynamic_shapes"
                    )

    def _compare(self, data: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor]) -> None:
        """Operator by operator it has to be what the engine answers, to the bit."""
        try:
            wanted = self._engine.run_arrays({name: tensor.numpy().copy() for name, tensor in data.items()})
        except ModelError as e:
            raise BundleError(
                f"the model rejects a request that its features could make: {e}; give a folder of recorded "
                "ones with --samples"
            ) from e
        for name, array in wanted.items():
            here = found[name].to(torch.from_numpy(array).dtype)
            if not torch.equal(torch.from_numpy(array).nan_to_num(), here.nan_to_num()):
                raise BundleError(
                    f"output '{name}' of the model's graph differs from the model's; please report it"
                )

    def _equal_sizes(self) -> list[list[tuple[str, int]]]:
        """Inputs and dimensions that the archive says to be as large as one another."""
        by_name: dict[str, list[tuple[str, int]]] = {}
        for name, spec in self._signature.inputs.items():
            for d, size in enumerate(spec.shape):
                if size.name:
                    by_name.setdefault(size.name, []).append((name, d))
        return [places for places in by_name.values() if len(places) > 1]


class _Replay:
    """Runs a program's graph; notes how its tensors are read when it is run with real ones."""

    def __init__(self, program: torch.export.ExportedProgram, signature: Signature) -> None:
        if any(spec.kind is not _ANSWERS for spec in program.graph_signature.output_specs):
            raise BundleError("the model writes to its inputs or to itself, which cannot be compiled")
        self._program, self._signature = program, signature
        held = {**program.state_dict, **program.constants}
        self._held: dict[str, torch.Tensor] = {}  # by path
        self._paths = [
            None if spec.kind is _GIVEN else str(spec.target) for spec in program.graph_signature.input_specs
        ]
        for path in self._paths:
            if path is not None:
                if not isinstance(held.get(path), torch.Tensor):
                    raise BundleError(f"the model holds '{path}', which is no tensor and cannot be compiled")
                self._held[path] = held[path].detach()
        self._writes = any(_is_mutable(node) for node in _nodes(program.graph_module))
        self._by_identity: dict[int, str] = {}
        self._looked_up: set[str] = set()
        self._read: set[str] = set()

    def run(
        self, data: Mapping[str, torch.Tensor], tensors: Mapping[str, torch.Tensor] | None = None
    ) -> dict[str, torch.Tensor]:
        """What the model answers, by name. `tensors` stand for those that it holds; without them, its own."""
        notes = tensors is None
        held = self._held if tensors is None else tensors
        if self._writes:
            data = {name: tensor.clone() for name, tensor in data.items()}
        given = iter(self._signature.arguments(data, device_of("cpu")))
        arguments = [next(given) if path is None else held.get(path) for path in self._paths]
        self._by_identity = {id(tensor): path for path, tensor in held.items()} if notes else {}
        answers = self._graph(self._program.graph_module, arguments)
        return dict(zip(self._signature.outputs, answers, strict=True))

    def split(self) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """Embedding tables and all other tensors, by their paths in the model; known after a run."""
        tables = {
            path: tensor
            for path, tensor in sorted(self._held.items())
            if path in self._looked_up - self._read and (tensor.dim() == 2 or tensor.dtype == torch.uint8)
        }
        return tables, {path: tensor for path, tensor in self._held.items() if path not in tables}

    def _graph(self, module: torch.fx.GraphModule, arguments: Sequence[Any]) -> Sequence[Any]:
        values: dict[Any, Any] = {}
        given = iter(arguments)
        for node in module.graph.nodes:
            if node.op == "placeholder":
                values[node] = next(given)
            elif node.op == "get_attr":
                values[node] = module.get_submodule(node.target)
            elif node.op == "output":
                return torch.fx.node.map_arg(node.args[0], values.__getitem__)
            elif node not in values and not _is_believed(node):
                values[node] = self._call(node, values)
        raise BundleError("the model's graph has no output")

    def _call(self, node: Any, values: dict[Any, Any]) -> Any:
        arguments, named = torch.fx.node.map_arg((node.args, node.kwargs), values.__getitem__)
        if node.target is torch.ops.higher_order.wrap_with_set_grad_enabled:
            _, module, *inside = arguments
            return self._graph(module, inside)
        if isinstance(node.target, torch._ops.HigherOrderOperator):
            raise BundleError(f"the model calls {node.target}, which cannot be compiled")
        if self._by_identity:
            self._note(node.target, arguments, named)
        layer = linear(node)
        if layer is not None:
            bias = None if layer.bias is None else values[layer.bias]
            found = _aten.linear.default(values[layer.value], values[layer.weight], bias)
            values.update(dict.fromkeys(layer.readers, found))
            return found
        return (recomposed(node) or node.target)(*arguments, **named)

    def _note(self, target: Any, arguments: Any, named: Any) -> None:
        tables = 1 if target in _LOOK_UPS else 2 if target is _QUANTISED else 0
        for noted, read in (
            (self._looked_up, arguments[:tables]),
            (self._read, (arguments[tables:], named)),
        ):
            paths = (self._by_identity.get(id(one)) for one in torch.utils._pytree.tree_leaves(read))
            noted.update(path for path in paths if path is not None)


class _Replayed(Flat):
    """A program that torch.export saved."""

    def __init__(
        self,
        replay: _Replay,
        constants: Mapping[str, torch.Tensor],
        alike: Sequence[Sequence[str]],
        equal: Sequence[Sequence[tuple[str, int]]],
    ) -> None:
        super().__init__(constants)
        self._replay, self._alike, self._equal = replay, alike, equal

    def forward(
        self, tables: dict[str, torch.Tensor], data: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        say_equal(data, self._alike)
        check: Any = torch._check
        for (first, at), *others in self._equal:
            for name, d in others:
                check(data[name].size(d) == data[first].size(at))
        return self._replay.run(data, self.with_constants(tables))


def _nodes(module: torch.fx.GraphModule) -> Iterator[Any]:
    for part in module.modules():
        if isinstance(part, torch.fx.GraphModule):
            yield from part.graph.nodes


def _is_mutable(node: Any) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable


def _is_believed(node: Any) -> bool:
    """Whether an operator states what an exporter knew of sizes; of numbers in tensors it has to stay."""
    if not str(node.target).startswith(_BELIEFS):
        return False
    value = node.args[0].meta.get("val") if isinstance(node.args[0], torch.fx.Node) else node.args[0]
    symbols: Any = torch.fx.experimental.symbolic_shapes
    return not symbols.free_unbacked_symbols(value)
