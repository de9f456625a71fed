"""Normalisation is folded into weights, and answers what the module does."""

from __future__ import annotations

import torch
from tests.compile.rates.programs import Program, agree
from torch import nn


def trained(module: nn.Module) -> nn.Module:
    """With statistics, as training leaves them behind."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d):
            assert part.running_mean is not None
            assert part.running_var is not None
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2)
            if part.affine:
                part.weight.data.normal_()
                part.bias.data.normal_()
    return module


def targets(program: Program) -> list[str]:
    return [str(node.target) for node in program.second().graph.nodes]  # type: ignore[union-attr]


class BeforeLinear(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(7)
        self.linear = nn.Linear(7, 5)

    def forward(self, user: torch.Tensor, item: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.linear(self.norm(torch.cat([user, item], 1)))
        return found


class BehindLinear(nn.Module):
    def __init__(self, *, bias: bool, affine: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(7, 5, bias=bias)
        self.norm = nn.BatchNorm1d(5, affine=affine)

    def forward(self, user: torch.Tensor, item: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.norm(self.linear(torch.cat([item, user], 1))))


class OfColumns(nn.Module):
    """Read by several, and of columns that overlap."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(7)
        self.layer = nn.LayerNorm(7)
        self.steps = nn.BatchNorm1d(4)

    def forward(self, user: torch.Tensor, item: torch.Tensor) -> tuple[torch.Tensor, ...]:
        columns = torch.cat([user, item], 1)
        sums = columns + torch.cat([item, user], 1)
        steps = user.unsqueeze(2).expand(-1, -1, 3) * item.unsqueeze(1)
        normed = self.norm(columns)
        return normed, normed * 2, self.norm(sums), self.layer(columns), self.layer(sums), self.steps(steps)


SHAPES = {"user": (4,), "item": (3,)}


def test_a_batch_norm_is_folded_into_the_weight_behind_it() -> None:
    program = Program(trained(BeforeLinear()), SHAPES)

    agree(program)

    assert program.walk.steps[0].flops.keys() == {1, 2}
    assert not any("addcmul" in name or "norm" in name for name in targets(program))


def test_a_batch_norm_is_folded_into_the_weight_before_it() -> None:
    for bias in (True, False):
        for affine in (True, False):
            program = Program(trained(BehindLinear(bias=bias, affine=affine)), SHAPES)

            agree(program)

            assert not any("addcmul" in name or "norm" in name for name in targets(program))


def test_columns_are_normalised_as_often_as_they_change() -> None:
    agree(Program(trained(OfColumns()), SHAPES))
