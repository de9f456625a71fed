"""Sums over fields are sums of each rate's."""

from __future__ import annotations

import torch
from tests.compile.rates.programs import Program, agree
from torch import nn


class Machine(nn.Module):
    """A wide part and a factorisation machine, whose fields are in no order of rates."""

    def __init__(self) -> None:
        super().__init__()
        self.deep = nn.Linear(3, 2)

    def forward(self, user: torch.Tensor, item: torch.Tensor) -> tuple[torch.Tensor, ...]:
        u, i = torch.split(user, [2, 2, 2, 1, 1], 1), torch.split(item, [2, 2, 1], 1)
        columns = torch.cat([u[1], i[1], 3 * u[0], u[2], i[0]], 1)
        fields = columns.view(-1, 5, 2)
        first, second = fields.sum(1), (fields * fields).sum(1)
        wide = torch.cat([u[3], i[2], u[4]], 1).sum(1, keepdim=True)
        return 0.5 * (first * first - second), wide, fields.pow(2).sum(1, keepdim=True), fields.mean(1)


class Stacks(nn.Module):
    def forward(self, user: torch.Tensor, item: torch.Tensor) -> tuple[torch.Tensor, ...]:
        fields = torch.stack([user[:, :3], item[:, :3], user[:, 3:6]], 1)
        both = torch.cat([user[:, :4], item[:, :4]], 1) + torch.cat([item[:, :4], user[:, 4:]], 1)
        overlapping = both.view(-1, 4, 2)
        return (
            fields.sum(1),
            fields @ fields.transpose(1, 2),
            torch.relu(fields),
            fields.max(1).values,
            overlapping.sum(1),
            (overlapping * overlapping).sum(1),
            overlapping.sum(2),
            both.sum(1),
            both.mean(-1, keepdim=True),
            fields * fields[:, :1],
            torch.cat([fields, fields], 1),
            fields.reshape(-1, 9) + 1,
        )


SHAPES = {"user": (8,), "item": (5,)}


def test_a_factorisation_machine_sums_what_the_user_has_once() -> None:
    program = Program(Machine(), SHAPES)

    agree(program)

    names = [str(node.target) for node in program.second().graph.nodes]  # type: ignore[union-attr]
    assert not any("cat" in name or "expand" in name for name in names)


def test_fields_are_tensors_for_everything_else() -> None:
    agree(Program(Stacks(), SHAPES))
