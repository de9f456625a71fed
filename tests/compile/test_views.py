"""What a graph is without views that show a tensor again."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import torch

from recserve.compile.views import tidy

if TYPE_CHECKING:
    from collections.abc import Callable


def tidied(compute: Callable[[Any], Any]) -> Counter[str]:
    """How often each operator is left, after the answers are seen to be the same."""

    class Model(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return compute(x)

    example = torch.randn(4, 3)
    rows = torch.export.Dim.DYNAMIC
    program = torch.export.export(Model(), (example,), dynamic_shapes=({0: rows},), strict=False)
    tidy(program.graph)
    program.graph.lint()
    program.graph_module.recompile()
    for given in (example, torch.randn(7, 3)):
        assert torch.equal(program.module()(given), compute(given))
    return Counter(
        str(node.target).split(".")[1] for node in program.graph.nodes if node.op == "call_function"
    )


def test_a_dimension_that_is_put_on_and_taken_off_is_left_out() -> None:
    assert tidied(lambda x: x.unsqueeze(0).squeeze(0) + 1) == {"add": 1}
    assert tidied(lambda x: x.unsqueeze(-1).squeeze(2) + 1) == {"add": 1}
    assert tidied(lambda x: x.unsqueeze(1).squeeze(1).unsqueeze(0).squeeze(0) * 2) == {"mul": 1}


def test_one_that_is_taken_off_and_put_on_again_is_so_too() -> None:
    assert tidied(lambda x: x.narrow(1, 0, 1).squeeze(1).unsqueeze(1) + 1) == {"narrow": 1, "add": 1}


@pytest.mark.parametrize(
    "compute",
    [
        lambda x: x.unsqueeze(1).squeeze(0) + 1,
        lambda x: x.narrow(1, 0, 1).unsqueeze(0).squeeze(-1) + 1,
        lambda x: x.squeeze(1).unsqueeze(1) + 1,  # three columns: nothing is taken off
    ],
)
def test_another_dimension_is_another_view(compute: Callable[[Any], Any]) -> None:
    assert tidied(compute).total() > 1


def test_the_same_view_is_taken_once() -> None:
    assert tidied(lambda x: x.narrow(1, 1, 2) + x.narrow(1, 1, 2) * 2) == {"narrow": 1, "mul": 1, "add": 1}
    assert tidied(lambda x: x.narrow(1, 1, 2) + x.narrow(1, 0, 2) * 2)["narrow"] == 2


def test_what_is_computed_twice_is_computed_once_if_nothing_is_written_to() -> None:
    assert tidied(lambda x: x.sum(1) * torch.sin(x.sum(1)))["sum"] == 1
    assert tidied(lambda x: (y := x.sum(1)).mul_(2) + y + x.sum(1))["sum"] == 2


def test_what_is_answered_keeps_its_name() -> None:
    assert tidied(lambda x: x.unsqueeze(0).squeeze(0)).total() == 2
