"""Steps of the user and the candidate behind them answer as one sequence, and the user's are told once."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.compile.rates.programs import Program, agree
from torch import nn

from recserve.compile.rates.values import Rate

SHAPES = {"user": (4, 8), "item": (3,)}


class Encoder(nn.Module):
    """A layer of a transformer: places, norms before, two heads, all at once or each by itself."""

    def __init__(self, *, packed: bool) -> None:
        super().__init__()
        self.packed = packed
        self.target = nn.Linear(3, 8)
        self.places = nn.Parameter(torch.randn(5, 8))
        self.before, self.behind = nn.LayerNorm(8), nn.LayerNorm(8)
        self.all = nn.Linear(8, 24)
        self.each = nn.ModuleList(nn.Linear(8, 8) for _ in range(3))
        self.hidden, self.out = nn.Linear(8, 16), nn.Linear(16, 8)

    def forward(self, user: torch.Tensor, item: torch.Tensor) -> tuple[torch.Tensor, ...]:
        steps = torch.cat([user, self.target(item).unsqueeze(1)], 1) + self.places
        absent = torch.cat([user[:, :, 0] > 0.5, item[:, :1] > 9.0], 1)
        known = self.before(steps) * 0.5
        parts = self.all(known).chunk(3, -1) if self.packed else [layer(known) for layer in self.each]
        queries, keys, values = (part.view(-1, 5, 2, 4).permute(0, 2, 1, 3) for part in parts)
        scores = (queries @ keys.transpose(-1, -2) / 2.0).masked_fill(absent[:, None, None], -1e9)
        seen = (torch.softmax(scores, -1) @ values).transpose(1, 2).reshape(-1, 5, 8)
        seen = self.behind(seen + steps)
        return seen[:, -1], seen.mean(1), self.out(torch.relu(self.hidden(seen)))[:, 0]


class Each(nn.Module):
    """What is computed of steps in parts, one way or another."""

    def forward(self, user: torch.Tensor, item: torch.Tensor) -> tuple[torch.Tensor, ...]:
        candidate = item[:, None, :2].repeat(1, 1, 4)
        steps = torch.cat([user, candidate], 1)
        other = torch.cat([candidate, user], 1)
        first, second = torch.split(steps, [3, 5], -1)
        return (
            steps + other,
            torch.where(steps > other, steps, steps * item[:, :1, None]),
            torch.softmax(steps, -1),
            torch.softmax(steps, 1),
            torch.softmax(steps, 0),
            first.sum(-1),
            second[..., 2],
            second[:, 1:3],
            steps.transpose(0, 1)[2],
            steps.permute(2, 0, 1)[:, :, -1],
            steps.reshape(-1, 40),
            steps.view(-1, 5, 4, 2)[:, :, 1],
            item[:, None, :2].repeat(1, 1, 4) @ steps.transpose(1, 2),
            torch.bmm(user.transpose(1, 2) @ user, steps.transpose(1, 2)),
            steps.transpose(1, 2) @ steps,
            torch.cat([item, item[:, :2]], 1).unsqueeze(1) @ steps,
            torch.nn.functional.rms_norm(steps, [8]),
            torch.nn.functional.layer_norm(steps, [5, 8]),
        )


@pytest.mark.parametrize("packed", [False, True])
def test_a_layer_of_a_transformer(packed: bool) -> None:
    torch.manual_seed(3)
    program = Program(Encoder(packed=packed), SHAPES)

    agree(program)

    layers = [step for step in program.walk.steps if "linear" in step.op and step.flops.get(Rate.USER)]
    assert len(layers) == (1 if packed else 3)


def test_what_is_computed_of_each_step() -> None:
    agree(Program(Each(), SHAPES))


class Layer(nn.Module):
    """Attention among all, of which the candidate's is read."""

    def __init__(self, read: Any) -> None:
        super().__init__()
        self.read = read
        self.target = nn.Linear(3, 8)
        self.query, self.key, self.value = (nn.Linear(8, 8) for _ in range(3))
        self.norm = nn.LayerNorm(8)

    def forward(self, user: torch.Tensor, item: torch.Tensor) -> tuple[torch.Tensor, ...]:
        steps = torch.cat([user, self.target(item).unsqueeze(1)], 1)
        weights = torch.softmax(self.query(steps) @ self.key(steps).transpose(1, 2) / 3.0, 2)
        seen = self.norm(torch.relu(weights @ self.value(steps)) + steps)
        found: tuple[torch.Tensor, ...] = self.read(seen)
        return found


def products(program: Program) -> float:
    """Multiplications of a query with keys, as the first walk counted them."""
    first = next(step for step in program.walk.steps if "matmul" in step.op)
    same = [step for step in program.walk.steps if step.node == first.node]
    return sum(sum(step.flops.values()) for step in same)


@pytest.mark.parametrize("index", [-1, 0, 2])
def test_of_what_nobody_reads_nothing_is_computed(index: int) -> None:
    one = Program(Layer(lambda seen: (seen[:, index],)), SHAPES)
    two = Program(Layer(lambda seen: (seen[:, index], seen.sum(1))), SHAPES)

    agree(one)
    agree(two)

    assert products(one) == products(two) / 5
    plain = [sum(s.plain_flops for s in each.walk.steps if "matmul" in s.op) for each in (one, two)]
    assert plain[0] == plain[1]


def test_entries_of_other_dimensions_are_left_out_too() -> None:
    class Columns(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(8, 6)

        def forward(self, user: torch.Tensor, item: torch.Tensor) -> tuple[torch.Tensor, ...]:
            weights = torch.softmax(self.layer(user), 1)
            turned = torch.sigmoid(weights).transpose(1, 2)
            return weights[:, 1], torch.relu(self.layer(user) + item[:, :1, None])[:, 3], turned[:, :, 2]

    agree(Program(Columns(), SHAPES))
