"""Cross layers answer what the module does, without multiplying columns twice."""

from __future__ import annotations

import pytest
import torch
from tests.compile.rates.programs import Program, agree
from torch import nn

from recserve.compile.rates.values import Rate

SHAPES = {"user": (4,), "item": (3,)}


class Cross(nn.Module):
    """Layers of the first kind (a number per row), or of the second (of a rank, or of all columns)."""

    def __init__(self, *, rank: int | None) -> None:
        super().__init__()
        out = 1 if rank is None else 7
        weights = [nn.Linear(7, out, bias=rank is not None) for _ in range(3)]
        if rank:
            weights = [nn.Sequential(nn.Linear(7, rank, bias=False), nn.Linear(rank, 7)) for _ in range(3)]  # type: ignore[misc]
        self.weights = nn.ModuleList(weights)
        self.biases = nn.ParameterList(torch.randn(7) for _ in range(3))
        self.out = nn.Linear(7, 2)

    def forward(self, user: torch.Tensor, item: torch.Tensor) -> torch.Tensor:
        first = columns = torch.cat([user, item], 1)
        for weight, bias in zip(self.weights, self.biases, strict=True):
            columns = first * weight(columns) + bias + columns
        found: torch.Tensor = self.out(columns)
        return found


@pytest.mark.parametrize("rank", [None, 0, 2])
def test_cross_layers(rank: int | None) -> None:
    program = Program(Cross(rank=rank), SHAPES)

    agree(program)

    first, *_, last = program.walk.steps
    assert first.flops.keys() == {Rate.USER, Rate.ITEM}
    assert last.flops == {Rate.PAIR: last.plain_flops}
