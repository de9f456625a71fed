"""Bags and steps of a user are looked up once, however torch is told where they begin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from tests.compile.rates.programs import Program, agree
from torch import nn

from recserve.compile.rates.values import Rate

if TYPE_CHECKING:
    from collections.abc import Callable

COUNT, DIM, OUT = 4, 6, 5
SHAPES = {"user": (COUNT,), "item": (3,)}


def zero() -> torch.Tensor:
    return torch.zeros(1, dtype=torch.int64)


class Bags(nn.Module):
    """Four ids of each row in a bag, whose places `offsets` makes of their lengths."""

    def __init__(self, offsets: Callable[[torch.Tensor], torch.Tensor], *, last: bool) -> None:
        super().__init__()
        self.offsets, self.last = offsets, last
        self.table = nn.Parameter(torch.randn(10, DIM))
        self.out = nn.Linear(DIM + 3, OUT)

    def forward(self, user: torch.Tensor, item: torch.Tensor) -> torch.Tensor:
        lengths = torch.full_like(user, COUNT, dtype=torch.int64).select(1, 0)
        ids = (user.abs() * 4).to(torch.int64).clamp(max=9).reshape(-1)
        bags = nn.functional.embedding_bag(
            ids, self.table, self.offsets(lengths), mode="mean", include_last_offset=self.last
        )
        found: torch.Tensor = self.out(torch.cat([bags, item], 1))
        return found


@pytest.mark.parametrize(
    ("offsets", "last"),
    [
        (lambda lengths: torch.cat([zero(), lengths.cumsum(0)]), True),
        (lambda lengths: nn.functional.pad(lengths.cumsum(0), (1, 0)), True),
        (torch.ops.fbgemm.asynchronous_complete_cumsum, True),
        (lambda lengths: lengths.cumsum(0) - lengths, False),
        (lambda lengths: torch.cat([zero(), lengths.cumsum(0)[:-1]]), False),
        (lambda lengths: torch.cat([zero(), lengths.cumsum(0)])[:-1], False),
    ],
)
def test_bags_between_running_sums(offsets: Callable[[torch.Tensor], torch.Tensor], *, last: bool) -> None:
    program = Program(Bags(offsets, last=last), SHAPES)

    agree(program)

    (step,) = program.walk.steps
    assert step.flops[Rate.USER] == 2 * DIM * OUT  # of one row


class Other(Bags):
    """Sums that something else reads: they are written out."""

    def forward(self, user: torch.Tensor, item: torch.Tensor) -> torch.Tensor:
        ends = torch.full_like(user, COUNT, dtype=torch.int64).select(1, 0).cumsum(0)
        more = torch.cat([torch.ones(1, dtype=torch.int64), ends])[1:]
        return torch.cat([(ends * 2).unsqueeze(1) + item, more.unsqueeze(1) - item], 1)


def test_all_other_readers_get_the_sums_written_out() -> None:
    agree(Program(Other(lambda lengths: lengths, last=False), SHAPES))


class Padded(nn.Module):
    """A row of steps, of which the last ones are absent."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(COUNT + 2 + 3, OUT)

    def forward(self, user: torch.Tensor, item: torch.Tensor) -> torch.Tensor:
        lengths = torch.full_like(user, COUNT, dtype=torch.int64).select(1, 0)
        present = torch.arange(COUNT + 2).unsqueeze(0) < lengths.unsqueeze(1)
        steps = torch.zeros_like(present, dtype=torch.float32).masked_scatter(present, user.reshape(-1))
        found: torch.Tensor = self.out(torch.cat([steps, item], 1))
        return found


def test_steps_that_a_mask_lets_through() -> None:
    program = Program(Padded(), SHAPES)

    agree(program)

    (step,) = program.walk.steps
    assert step.flops[Rate.USER] == 2 * (COUNT + 2) * OUT
