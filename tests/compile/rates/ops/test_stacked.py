"""Experts and gates over the same columns are one product."""

from __future__ import annotations

import torch
from tests.compile.rates.ops.test_norm import SHAPES, trained
from tests.compile.rates.programs import Program, agree
from torch import nn


class Experts(nn.Module):
    def __init__(self, *, norm: bool, bias: bool) -> None:
        super().__init__()
        self.experts = nn.ModuleList(
            nn.Sequential(
                nn.Linear(7, 6, bias=bias or k > 0), *([nn.BatchNorm1d(6)] if norm else []), nn.ReLU()
            )
            for k in range(3)
        )
        self.gates = nn.ModuleList(nn.Linear(7, 3, bias=bias) for _ in range(2))
        self.towers = nn.ModuleList(nn.Linear(6, 1) for _ in range(2))

    def forward(self, user: torch.Tensor, item: torch.Tensor) -> tuple[torch.Tensor, ...]:
        columns = torch.cat([user, item], 1)
        experts = torch.stack([expert(columns) for expert in self.experts], 1)
        found = []
        for gate, tower in zip(self.gates, self.towers, strict=True):
            weights = torch.softmax(gate(columns), 1).unsqueeze(1)
            found.append(tower(torch.matmul(weights, experts).squeeze(1)))
        return tuple(found)


def test_experts_and_gates_are_one_product() -> None:
    for norm in (True, False):
        for bias in (True, False):
            program = Program(trained(Experts(norm=norm, bias=bias)), SHAPES)

            agree(program)

            names = [str(node.target) for node in program.second().graph.nodes]  # type: ignore[union-attr]
            assert sum(name in ("aten.linear.default", "aten.addmm.default") for name in names) == 2 + 2
            assert names.count("aten.relu.default") == 1
            assert not any("cat" in name or "stack" in name for name in names)


class Layers(nn.Module):
    """Two activations, products that are read twice, and one of a tensor of three dimensions."""

    def __init__(self) -> None:
        super().__init__()
        self.linears = nn.ModuleList(nn.Linear(7, k + 2) for k in range(4))
        self.steps = nn.ModuleList(nn.Linear(3, 3) for _ in range(2))

    def forward(self, user: torch.Tensor, item: torch.Tensor) -> tuple[torch.Tensor, ...]:
        columns = torch.cat([user, item], 1)
        a, b, c, d = (linear(columns) for linear in self.linears)
        steps = user.unsqueeze(2) * item.unsqueeze(1)
        e, f = (linear(steps) for linear in self.steps)
        return (
            torch.relu(a),
            torch.tanh(b),
            torch.relu(c),
            d + 1,
            torch.sigmoid(d),
            torch.relu(e),
            torch.relu(f),
        )


def test_each_activation_is_of_its_own_columns() -> None:
    agree(Program(Layers(), SHAPES))
