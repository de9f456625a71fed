"""A layer of columns at several rates, for a compiler: what is one row is the bias of the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from tests.compile.rates.programs import Program, agree
from torch import nn

from recserve.compile.rates.walk import Options

if TYPE_CHECKING:
    from collections.abc import Mapping

SHAPES: Mapping[str, tuple[int, ...]] = {"user": (3,), "item": (5,)}


class Layer(nn.Module):
    """Of a user's columns and an item's."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(8, 6)

    def forward(self, user: torch.Tensor, item: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.hidden(torch.cat([user, item], 1)))


class Steps(nn.Module):
    """Of an item and each of a user's steps, told once: no bias, but a block for all rows."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(8, 6)

    def forward(self, user: torch.Tensor, item: torch.Tensor) -> torch.Tensor:
        steps = torch.stack([user, user * user], 1)
        items = item.unsqueeze(1).expand(-1, 2, -1)
        return torch.relu(self.hidden(torch.cat([steps, items], 2)))


def test_what_the_user_adds_to_a_layer_is_the_bias_of_the_product() -> None:
    program = Program(Layer(), SHAPES, options=Options())

    agree(program)

    names = [str(node.target) for node in program.second().graph.nodes]  # type: ignore[union-attr]
    assert names.count("aten.addmm.default") == 1
    assert "aten.add.Tensor" not in names


def test_what_differs_by_step_is_added_behind_the_product() -> None:
    program = Program(Steps(), SHAPES, options=Options())

    agree(program)

    names = [str(node.target) for node in program.second().graph.nodes]  # type: ignore[union-attr]
    assert "aten.addmm.default" not in names
    assert names.count("aten.add.Tensor") == 1
