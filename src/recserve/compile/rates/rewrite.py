"""A model's graph ──▶ another that answers the same for users of one row, each part at its own rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recserve.compile.export import Exported, for_any_size, one_row, say_equal, specs
from recserve.compile.rates.values import Rate
from recserve.compile.rates.walk import Options, Walk
from recserve.engines.engine import BATCH_SIZE
from recserve.engines.torch_arrays import torch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from recserve.compile.rates.walk import Step


@dataclass(frozen=True, slots=True)
class Rewritten:
    """The second graph, and what became of the first one's products."""

    exported: Exported
    steps: tuple[Step, ...]


class _AtItsRates(torch.nn.Module):
    """What torch.export runs: the walk, with its constants as buffers."""

    def __init__(
        self, walk: Walk, alike: Sequence[Sequence[str]], outputs: Sequence[str], rows_of: str
    ) -> None:
        super().__init__()
        self._walk, self._alike, self._outputs, self._rows_of = walk, alike, outputs, rows_of
        for number in sorted(walk.used):
            self.register_buffer(f"constant_{number}", walk.constants[number])

    def forward(
        self, tables: dict[str, torch.Tensor], data: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        say_equal(data, self._alike)
        # Those that are not used any more are there for the order only.
        constants = [
            getattr(self, f"constant_{number}", tensor) for number, tensor in enumerate(self._walk.constants)
        ]
        answers = self._walk.run(tables, data, rows=data[self._rows_of].size(0), constants=constants)
        return dict(zip(self._outputs, answers, strict=True))


def rewrite(
    first: Exported,
    module: Any,
    *,
    example: Mapping[str, NDArray[Any]],
    alike: Sequence[Sequence[str]],
    rates: Mapping[str, Rate],
    options: Options = Options(),  # noqa: B008  frozen
) -> Rewritten:
    """Rewrite a flat graph; NotUnderstood where the pass has no rule, BundleError as `export` has it.

    `module`: the loaded model, which has the tables. `example`: a request with users of one row, which is how
    the result takes them; `rates` of its tensors, by name. All sizes may vary, as in `export`.
    """
    program = first.program
    signature = program.graph_signature
    held: Mapping[str, torch.Tensor] = {**program.state_dict, **program.constants}
    constants = {name: held[target] for name, target in signature.inputs_to_buffers.items()}
    constants |= {name: held[target] for name, target in signature.inputs_to_lifted_tensor_constants.items()}
    given = [str(name) for name in signature.user_inputs]
    tables, inputs = given[: len(first.tables)], given[len(first.tables) :]
    walk = Walk(
        program.graph,
        constants,
        tables=dict(zip(tables, first.tables, strict=True)),
        inputs=dict(zip(inputs, first.inputs, strict=True)),
        rates=rates,
        repeated=BATCH_SIZE not in first.inputs,
        options=options,
    )
    data = {name: torch.from_numpy(example[name]) for name in sorted(example)}
    shared = dict(zip(first.tables, tables_of(module, first.tables), strict=True))
    rows_of = next(
        name for name in data if name != BATCH_SIZE and rates[name] & Rate.ITEM and _of_rows(name, data)
    )
    walk.first(shared, data, rows=data[rows_of].size(0))
    names = list(torch.utils._pytree.tree_unflatten(range(len(first.outputs)), program.call_spec.out_spec))
    module = _AtItsRates(walk, alike, names, rows_of)
    second = for_any_size(module, shared, data, one_row(data, alike))
    return Rewritten(
        Exported(second, specs(second, data, len(tables)), first.tables, first.outputs),
        tuple(walk.steps),
    )


def tables_of(module: Any, paths: Sequence[str]) -> list[torch.Tensor]:
    """Tensors that a module holds, by their dotted paths."""
    found = []
    for path in paths:
        owner = module
        for name in path.split("."):
            owner = getattr(owner, name)
        found.append(owner.detach())
    return found


def _of_rows(name: str, data: Mapping[str, torch.Tensor]) -> bool:
    return name.endswith(".lengths") or f"{name.rpartition('.')[0]}.lengths" not in data
