"""What an operator in place writes is seen through every name of that memory."""

from __future__ import annotations

import pytest
import torch
from tests.compile.rates.programs import Program, agree
from torch import nn

from recserve.compile import ids_in_range  # noqa: F401  makes torch.ops.recserve
from recserve.compile.rates.values import NotUnderstood


class Checks(nn.Module):
    """Checks the ids of the first two features, which are a part of the list that all look up."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(20, 3)
        self.register_buffer("rows", torch.tensor([3, 4]))

    def ids(self, user: torch.Tensor, item: torch.Tensor) -> torch.Tensor:
        first, second = (10 * user[:, 0]).abs().long(), (10 * item[:, 0]).abs().long()
        return torch.cat([first, second, item[:, 1].abs().long()])

    def forward(self, user: torch.Tensor, item: torch.Tensor) -> tuple[torch.Tensor, ...]:
        n = user.size(0)
        ids = self.ids(user, item)
        part = ids[: 2 * n]
        offsets = torch.ops.fbgemm.asynchronous_complete_cumsum(
            torch.cat([torch.ones_like(first) for first in torch.split(ids, [n, n, n])[:2]])
        )
        part.copy_(torch.ops.recserve.ids_in_range(part, offsets, self.rows))
        return tuple(self.table(one) for one in torch.split(ids, [n, n, n]))


class ChecksEach(Checks):
    """Checks the ids of two features and of the third by themselves: parts that share no entry."""

    def forward(self, user: torch.Tensor, item: torch.Tensor) -> tuple[torch.Tensor, ...]:
        n = user.size(0)
        ids = self.ids(user, item)
        first, second = ids[: 2 * n], ids[2 * n : 3 * n]
        first.clamp_(0, 5)
        second.clamp_(0, 2)
        return self.table(first[:n]), self.table(first[n:]), self.table(second)


class ChecksMore(Checks):
    """The same of parts that share entries."""

    def forward(self, user: torch.Tensor, item: torch.Tensor) -> tuple[torch.Tensor, ...]:
        n = user.size(0)
        ids = self.ids(user, item)
        first, second = ids[: 2 * n], ids[n : 3 * n]
        first.clamp_(0, 2)
        return self.table(first), self.table(second)


class Reads(Checks):
    """The same, with names of the memory that were given before it is written to."""

    def forward(self, user: torch.Tensor, item: torch.Tensor) -> tuple[torch.Tensor, ...]:
        n = user.size(0)
        ids = self.ids(user, item)
        named = torch.split(ids, [n, n, n])
        ids[:n].clamp_(0, 2)
        return tuple(self.table(one.clamp(0, 19)) for one in named)


def test_ids_that_are_checked_in_place_are_so_in_the_list_that_they_are_a_part_of() -> None:
    agree(Program(Checks(), {"user": (1,), "item": (2,)}))


def test_parts_that_share_no_entry_are_written_to_one_by_one() -> None:
    agree(Program(ChecksEach(), {"user": (1,), "item": (2,)}))


@pytest.mark.parametrize("reads", [Reads, ChecksMore])
def test_memory_that_is_read_under_several_names_is_refused(reads: type[nn.Module]) -> None:
    with pytest.raises(NotUnderstood, match="writes to memory that is read under several names"):
        Program(reads(), {"user": (1,), "item": (2,)})
