"""Which results are written over, and that scripts which do answer as their graphs do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from recserve.compile.in_place import writes_over

if TYPE_CHECKING:
    from collections.abc import Callable


def over(compute: Callable[[Any, Any], Any]) -> list[str]:
    """The operators of a function of two inputs that may write over their first argument."""

    class Model(torch.nn.Module):
        def forward(self, x: Any, y: Any) -> Any:
            return compute(x, y)

    given = (torch.randn(4, 3), torch.randn(4, 3))
    graph = torch.export.export(Model(), given, strict=False).graph
    found = writes_over(graph)
    return [str(node.target).split(".")[1] for node in graph.nodes if node in found]


def test_what_is_read_once_and_as_large_is_written_over() -> None:
    assert over(lambda x, y: torch.relu(x + y)) == ["relu"]
    assert over(lambda x, y: torch.relu((x @ y.t()) * 2.0)) == ["mul", "relu"]
    assert over(lambda x, y: torch.relu((x + y).view(3, 4)).sum()) == ["relu"]


def test_inputs_and_what_is_read_twice_are_left() -> None:
    assert over(lambda x, y: torch.relu(x) * y) == ["mul"]
    assert over(lambda x, y: (h := x + y) * torch.sigmoid(h)) == []
    assert over(lambda x, y: (torch.relu(h := x + y), h)) == []
    assert over(lambda x, y: (h := x * y) + h) == []


def test_a_copy_of_an_input_may_be_left_out_and_is_not_written_over() -> None:
    assert over(lambda x, y: torch.relu(x.clone())) == []


def test_memory_that_stands_for_several_rows_is_not_written_over() -> None:
    assert over(lambda x, y: torch.relu((x + y)[:1].expand(4, 3))) == []
    assert over(lambda x, y: (x + y)[:1] + y) == []


def test_another_view_of_the_memory_forbids_it() -> None:
    def compute(x: Any, y: Any) -> Any:
        h = x + y
        return torch.relu(h.view(12)), h.view(3, 4)

    assert over(compute) == []
