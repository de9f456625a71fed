"""TorchScript ──▶ a flat graph of tensor operators for all sizes, by torch.export over the interpreter.

    forward(tables, data) -> outputs

Embedding tables are arguments: they are most of a model's bytes, nothing about them can be compiled, and so
they stay in the original file. All else that the model holds becomes part of the graph.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recserve.compile.ids_in_range import spelled_out
from recserve.compile.interpreter import Interpreter
from recserve.compile.views import tidy
from recserve.engines.engine import BATCH_SIZE, TensorSpec
from recserve.engines.sizes import Size, exactly
from recserve.engines.torch_arrays import torch
from recserve.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

_SIZE = r"L(\['[^']+'\])+\.size\(\)\[0\]"
#: Conditions that are no limits: two inputs are as long as one another, which the runner checks for each
#: call; or one is not broadcast, which comes to the same for one row, and the gate asks for one row.
_HARMLESS = re.compile(rf"{_SIZE} == {_SIZE}|{_SIZE} != 1")
#: Limits outside of these are none.
_FEW, _MANY = 2, 2**31

#: What exported models take: a dict of tensors, and maybe the device.
_CALLS = (["Dict[str, Tensor]", "Device"], ["Dict[str, Tensor]"])


@dataclass(frozen=True, slots=True)
class Exported:
    """The graph, and what its arguments are."""

    program: torch.export.ExportedProgram
    inputs: Mapping[str, TensorSpec]  # of `data`, sorted
    tables: tuple[str, ...]  # paths in the original model, in the order of `tables`
    outputs: tuple[str, ...]


class Flat(torch.nn.Module):
    """What torch.export runs: a model of the original's tensors, by their paths in it."""

    def __init__(self, constants: Mapping[str, torch.Tensor]) -> None:
        super().__init__()
        self._names = {path: f"constant_{k}" for k, path in enumerate(constants)}
        for path, name in self._names.items():
            self.register_buffer(name, constants[path])

    def with_constants(self, tables: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The tensors that it holds, and those that are given to it, by their paths."""
        return {**{path: getattr(self, name) for path, name in self._names.items()}, **tables}


class _Interpreted(Flat):
    """A scripted model."""

    def __init__(
        self,
        interpreter: Interpreter,
        constants: Mapping[str, torch.Tensor],
        alike: Sequence[Sequence[str]],
    ) -> None:
        super().__init__(constants)
        self._interpreter, self._alike = interpreter, alike

    def forward(
        self, tables: dict[str, torch.Tensor], data: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        rows = say_equal(data, self._alike)
        self._interpreter.tensors = self.with_constants(tables)
        try:
            # batch_size is the number of rows; as a number of its own it would be compared with it all along.
            return self._interpreter.run(data, {BATCH_SIZE: rows})  # type: ignore[no-any-return]
        finally:
            self._interpreter.tensors = {}


def export(
    script: Any,
    example: Mapping[str, NDArray[Any]],
    *,
    alike: Sequence[Sequence[str]] = (),
    in_range: Callable[..., torch.Tensor] = spelled_out,
) -> Exported:
    """Export a model that takes a dict; BundleError if it has a part that cannot be compiled.

    `example` has every input. Under INPUT_TILE what has one row has always one; all other first sizes may be
    any, 0 and 1 included. Dimensions behind the first are as in the example. `alike`: names of tensors that
    are as long as one another in every request. `in_range`: how the graph checks ids.
    """
    data = {name: torch.from_numpy(example[name]) for name in sorted(example)}
    arguments = [argument.type.annotation_str for argument in script.forward.schema.arguments[1:]]
    if arguments not in _CALLS:
        raise BundleError(
            f"the model takes ({', '.join(arguments)}); `recserve compile` takes models of a dict of tensors"
        )
    interpreter = Interpreter(script, in_range=in_range)
    with torch.no_grad():
        original = _answer(script, data, len(arguments))
        flat = interpreter.run(data)
    _compare(original, flat)
    tables = {path: interpreter.tables[path] for path in sorted(interpreter.tables)}
    constants = {path: tensor for path, tensor in interpreter.read.items() if path not in tables}
    fixed = one_row(data, alike) if BATCH_SIZE in data else ()
    program = for_any_size(_Interpreted(interpreter, constants, alike), tables, data, fixed)
    return Exported(program, specs(program, data, len(tables)), tuple(tables), tuple(sorted(flat)))


def _answer(script: Any, data: Mapping[str, torch.Tensor], arguments: int) -> Mapping[str, torch.Tensor]:
    try:
        answer: Mapping[str, torch.Tensor] = script(dict(data), *[torch.device("cpu")][: arguments - 1])
    except Exception as e:  # whatever a model of somebody else's raises
        why = str(e).strip().splitlines()[-1:] or [type(e).__name__]
        raise BundleError(
            f"the model rejects a request that its features could make: {why[0][:300]}; give a folder of"
            " recorded ones with --samples"
        ) from e
    return answer


def one_row(data: Mapping[str, torch.Tensor], alike: Sequence[Sequence[str]]) -> set[str]:
    """The tensors whose first size is 1 in every request: under INPUT_TILE those with a row for the user."""
    ones = {name for name in _of_rows(data) if data[name].size(0) == 1}
    if len(ones) == len(_of_rows(data)):
        raise BundleError(
            "the model takes users of one row, and the requests have no other; give longer ones"
        )
    beside = {name for names in alike if ones & set(names) for name in names}
    return ones | beside | {BATCH_SIZE} & set(data)


@contextmanager
def for_all_sizes() -> Iterator[None]:
    """How torch is to trace and compile: sizes of 0 and 1 are like any other.

    It would else take them for special cases and leave them out, when it exports and again when it compiles.
    """
    symbols: Any = torch.fx.experimental._config  # it makes its methods as it is imported
    with symbols.patch(backed_size_oblivious=True), warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # about torch's own use of what it deprecates
        yield


def for_any_size(
    module: torch.nn.Module,
    tables: dict[str, torch.Tensor],
    data: dict[str, torch.Tensor],
    fixed: Collection[str] = (),
    varies: Mapping[str, Collection[int]] | None = None,
) -> torch.export.ExportedProgram:
    """Export a module of (tables, data); BundleError if its graph would only be right for some sizes.

    `fixed`: names in `data` whose first size is as here in every call. `varies`: dimensions that are not as
    here, by names; unless told, the first.
    """
    any_size = torch.export.Dim.DYNAMIC
    dims = {name: set((varies or {}).get(name, {0})) - ({0} if name in fixed else set()) for name in data}
    sizes = {name: dict.fromkeys(sorted(dims[name]), any_size) for name in data}
    shapes = (dict.fromkeys(tables), sizes)
    with for_all_sizes():
        try:
            program = torch.export.export(module, (tables, data), dynamic_shapes=shapes, strict=False)
        except BundleError:
            raise
        except Exception as e:  # of any kind: torch's export has no root of its own
            lines = [line.partition("Caused by")[0].strip() for line in str(e).splitlines()]
            why = " ".join([line for line in lines if line][:3])[:500] or type(e).__name__
            raise BundleError(f"the model cannot be compiled for all sizes: {why}") from e
    _check_sizes(program)
    tidy(program.graph)
    return program


def _check_sizes(program: torch.export.ExportedProgram) -> None:
    """Refuse a graph that was only found right for some sizes: it would answer nonsense for all others."""
    conditions = [guard for guard in program._guards_code if not _HARMLESS.fullmatch(guard)]
    conditions += [
        f"{symbol} in [{found.lower}, {found.upper}]"
        for symbol, found in program.range_constraints.items()
        if not symbol.name.startswith("u") and (found.lower > _FEW or found.upper < _MANY)
    ]
    if conditions:
        raise BundleError(f"the model cannot be compiled for all sizes: it depends on {conditions[0][:300]}")


def say_equal(data: Mapping[str, torch.Tensor], alike: Sequence[Sequence[str]]) -> Any:
    """Make one symbol of sizes that are the same number, and return that of rows.

    The sums of them that models take become simple.
    Rows are as many for all features, weights have an entry for each value, and `alike` says the rest.
    """
    check: Any = torch._check
    rows = _row_symbols(data)
    for size in rows[1:]:
        check(size == rows[0])
    for name, tensor in data.items():
        values = data.get(f"{name.removesuffix('.weights')}.values")
        if name.endswith(".weights") and values is not None:
            check(tensor.size(0) == values.size(0))
    for names in alike:
        for name in names[1:]:
            check(data[name].size(0) == data[names[0]].size(0))
    return rows[0] if rows else None


def _row_symbols(data: Mapping[str, Any]) -> list[Any]:
    """Numbers of rows, where they are not fixed."""
    sizes = [data[name].shape[0] for name in _of_rows(data)]
    return [size for size in sizes if not isinstance(size, int)]


def _of_rows(names: Collection[str]) -> list[str]:
    """The tensors that have an entry for each row, by the naming of exported models.

    A member of a sequence whose lengths the model does not read has an entry for each step.
    """
    counted = [name.removesuffix(".lengths") for name in names if name.endswith(".lengths")]
    sequences = {feature.rpartition("__")[0] for feature in counted} - {""}

    def alone(feature: str) -> bool:
        return feature not in counted and feature.rpartition("__")[0] not in sequences

    parts = ((name, *name.rpartition(".")) for name in names)
    return [
        name for name, feature, _, part in parts if part == "lengths" or (part == "values" and alone(feature))
    ]


def _compare(original: Mapping[str, torch.Tensor], flat: Mapping[str, torch.Tensor]) -> None:
    """The interpreter has to give what torch gives, to the bit."""
    if not isinstance(flat, dict) or set(original) != set(flat):
        raise BundleError("the model's graph does not answer what the model answers; please report it")
    for name, tensor in original.items():
        if not torch.equal(tensor.nan_to_num(), flat[name].nan_to_num()):
            raise BundleError(
                f"output '{name}' of the model's graph differs from the model's; please report it"
            )


def specs(
    program: torch.export.ExportedProgram, data: Mapping[str, torch.Tensor], tables: int
) -> dict[str, TensorSpec]:
    """Types and sizes of `data`; sizes that share a symbol are equal in every call."""
    signature = program.graph_signature
    if signature.user_inputs_to_mutate or signature.buffers_to_mutate:
        raise BundleError("the model writes to its inputs or to itself, which cannot be compiled")
    values = {node.name: node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"}
    seen = dict(zip(data, (values[str(name)] for name in signature.user_inputs[tables:]), strict=True))
    rows = {str(symbol) for symbol in _row_symbols(seen)}
    count = Counter(str(size) for value in seen.values() for size in value.shape)

    def named(size: Any) -> Size:
        if isinstance(size, int):
            return exactly(size)
        if not size.node.expr.is_symbol:
            raise BundleError(f"the model wants an input of size {size}, which cannot be checked")
        symbol = str(size)
        return Size("rows" if symbol in rows else symbol if count[symbol] > 1 else "")

    return {
        name: TensorSpec(str(value.dtype).removeprefix("torch."), value.dim(), tuple(map(named, value.shape)))
        for name, value in seen.items()
    }
