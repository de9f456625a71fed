"""Attention answers what the module does, and what the user alone brings is computed once."""

from __future__ import annotations

import torch
from tests.compile.rates.programs import Program, agree
from torch import nn

from recserve.compile.rates.values import Rate

SHAPES = {"user": (4, 8), "item": (3,)}


class OfModules(nn.Module):
    """torch's own, over the user's steps, over the candidate, and over both."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.query = nn.Linear(3, 8)

    def forward(self, user: torch.Tensor, item: torch.Tensor) -> tuple[torch.Tensor, ...]:
        target = self.query(item).unsqueeze(1)
        steps = torch.cat([user, target], 1)
        all_of_them, _ = self.attention(steps, steps, steps, need_weights=False)
        of_the_user, _ = self.attention(user, user, user)
        of_the_target, weights = self.attention(target, user, user)
        return all_of_them.mean(1), of_the_user.sum(1), of_the_target, weights


class SpelledOut(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.target = nn.Linear(3, 8)
        self.query = nn.Linear(8, 8)
        self.key = nn.Linear(8, 8, bias=False)

    def forward(self, user: torch.Tensor, item: torch.Tensor) -> tuple[torch.Tensor, ...]:
        target = self.target(item).unsqueeze(1)
        steps = torch.cat([user, target], 1)
        queries, keys, values = self.query(steps), self.key(steps), self.query(user)
        scores = torch.softmax(queries @ keys.transpose(1, 2) / 3.0, -1)
        mask = torch.ones(4, 4, dtype=torch.bool).tril()
        attend = torch.nn.functional.scaled_dot_product_attention
        heads = values.view(-1, 4, 2, 4).transpose(1, 2)
        return (
            scores @ steps,
            torch.matmul(values, target.squeeze(1).unsqueeze(-1)),
            values @ values.transpose(1, 2),
            attend(values, values, values, is_causal=True),
            attend(target, values, values),
            attend(values, values, values, attn_mask=mask),
            attend(heads, heads, heads).transpose(1, 2).reshape(-1, 4, 8),
            torch.baddbmm(values.new_zeros(1, 4, 4), values, values.transpose(1, 2), beta=2, alpha=0.5),
        )


class Einsums(nn.Module):
    def forward(self, user: torch.Tensor, item: torch.Tensor) -> tuple[torch.Tensor, ...]:
        target = torch.cat([item, item, item[:, :2]], 1)
        return (
            torch.einsum("bd,bjd->bj", target, user),
            torch.einsum("bid,bjd->bij", user, user),
            torch.einsum("bd,bjd,bj->bd", target, user, user[:, :, 0]),
            torch.einsum("bid->bd", user),
        )


def test_attention_of_modules() -> None:
    program = Program(OfModules(), SHAPES)

    agree(program)

    products = [step for step in program.walk.steps if "bmm" in step.op]
    assert [step.rate for step in products[:2]] == [Rate.USER, Rate.USER]


def test_attention_that_is_spelled_out() -> None:
    program = Program(SpelledOut(), SHAPES)

    agree(program)

    steps = {step.node: step for step in program.walk.steps}
    # Projections of steps: the user's four once, the candidate's for each.
    assert steps["linear_1"].flops == {Rate.USER: 512.0, Rate.ITEM: 128.0 * 7}


def test_einsums_of_letters() -> None:
    agree(Program(Einsums(), SHAPES))
