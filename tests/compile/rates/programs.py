"""The referee of the rates: a module on repeated rows, and its graph walked with the user told once.

Both see the same numbers; what the walk answers has to be what the module answers, for all sizes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from recserve.compile.export import for_any_size
from recserve.compile.rates.values import Rate
from recserve.compile.rates.walk import Options, Walk

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Compute = Callable[[torch.nn.Module, Mapping[str, torch.Tensor]], Any]

ROWS = (1, 2, 7)
#: How many rows the graph is exported with.
_EXAMPLE_ROWS = 5


class _Outputs(torch.nn.Module):
    """A module of named tensors as torch.export wants it: (tables, data) -> outputs by name."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(
        self, tables: dict[str, torch.Tensor], data: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        sizes = [tensor.size(0) for tensor in data.values()]
        check: Any = torch._check
        for size in sizes[1:]:
            check(size == sizes[0])
        found = self.module(**data)
        found = found if isinstance(found, tuple) else (found,)
        return {f"output_{k}": one for k, one in enumerate(found)}


class _Walked(torch.nn.Module):
    """The second graph, before it is exported."""

    def __init__(self, walk: Walk) -> None:
        super().__init__()
        self._walk = walk
        for number in sorted(walk.used):
            self.register_buffer(f"constant_{number}", walk.constants[number])

    def forward(
        self, tables: dict[str, torch.Tensor], data: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        constants = [getattr(self, f"constant_{k}", one) for k, one in enumerate(self._walk.constants)]
        rows = next(tensor.size(0) for name, tensor in data.items() if name.startswith("item"))
        answers = self._walk.run(tables, data, rows=rows, constants=constants)
        return {f"output_{k}": one for k, one in enumerate(answers)}


class Program:
    """A module's graph; inputs whose names start with `user` have a row for the user, others one per item."""

    def __init__(
        self,
        module: torch.nn.Module,
        shapes: Mapping[str, tuple[int, ...]],
        *,
        options: Options = Options(interpreted=True),  # noqa: B008  frozen
    ) -> None:
        """`shapes`: of inputs, without rows."""
        self.module = module.eval()
        self._shapes = shapes
        data = self._repeated(self.inputs(_EXAMPLE_ROWS), _EXAMPLE_ROWS)
        program = for_any_size(_Outputs(module), {}, data)
        signature = program.graph_signature
        held = {**program.state_dict, **program.constants}
        named = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        named |= signature.inputs_to_lifted_tensor_constants
        given = [str(name) for name in signature.user_inputs]
        self.walk = Walk(
            program.graph,
            {name: held[target].detach() for name, target in named.items()},
            tables={},
            inputs=dict(zip(given, sorted(shapes), strict=True)),
            rates={name: Rate.USER if name.startswith("user") else Rate.ITEM for name in shapes},
            repeated=True,
            options=options,
        )

    def inputs(self, rows: int) -> dict[str, torch.Tensor]:
        """Numbers: users of one row."""
        made = torch.Generator().manual_seed(rows)
        return {
            name: torch.randn(1 if name.startswith("user") else rows, *self._shapes[name], generator=made)
            for name in sorted(self._shapes)
        }

    def expected(self, rows: int) -> list[torch.Tensor]:
        """What the module itself answers."""
        with torch.no_grad():
            found = self.module(**self._repeated(self.inputs(rows), rows))
        return list(found) if isinstance(found, tuple) else [found]

    def walked(self, rows: int) -> list[torch.Tensor]:
        """What is answered with the user told once; decided anew."""
        return self.walk.first({}, self.inputs(rows), rows=rows)

    def second(self) -> torch.nn.Module:
        """The second graph, of (tables, data), as torch.export makes it."""
        data = self.inputs(_EXAMPLE_ROWS)
        self.walk.steps.clear()
        self.walk.first({}, data, rows=_EXAMPLE_ROWS)
        sizes = {name: {} if name.startswith("user") else {0: torch.export.Dim.DYNAMIC} for name in data}
        made: Any = exported(_Walked(self.walk), data, sizes)
        return made.module(check_guards=False)  # type: ignore[no-any-return]

    @staticmethod
    def _repeated(data: Mapping[str, torch.Tensor], rows: int) -> dict[str, torch.Tensor]:
        return {
            name: one.repeat(rows, *[1] * (one.dim() - 1)) if name.startswith("user") else one
            for name, one in data.items()
        }


def exported(module: torch.nn.Module, data: Mapping[str, torch.Tensor], sizes: Any) -> Any:
    """A program for any number of items."""
    from recserve.compile.export import for_all_sizes

    with for_all_sizes():
        return torch.export.export(module, ({}, dict(data)), dynamic_shapes=({}, sizes), strict=False)


def agree(program: Program, *, tolerance: float = 1e-5) -> None:
    """Fail unless walk and second graph answer what the module does, for several numbers of rows."""
    second = program.second()
    for rows in ROWS:
        expected = program.expected(rows)
        data = program.inputs(rows)
        with torch.no_grad():
            again = list(second({}, data).values())
        for wanted, *found in zip(expected, program.walked(rows), again, strict=True):
            for one in found:
                assert one.shape == wanted.shape
                torch.testing.assert_close(one, wanted, rtol=tolerance, atol=tolerance)
