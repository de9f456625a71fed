"""Sequences of a user, whose rows are as long as the longest: what depends on the user has one row."""

# No `from __future__ import annotations`: TorchScript reads the annotations of `forward`.
from typing import Any

import fbgemm_gpu  # noqa: F401  its operators
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from recserve.compile.export import Exported, export
from recserve.compile.ids_in_range import ids_in_range
from recserve.compile.rates.rewrite import rewrite
from recserve.compile.rates.values import Rate
from recserve.compile.rates.walk import Options
from recserve.engines.users import repeated

WIDTH = 4
USERS = ("clicks.lengths", "clicks.values")
RATES = {"clicks.lengths": Rate.USER, "clicks.values": Rate.USER, "item.values": Rate.ITEM}


class Attention(nn.Module):
    """Steps and items in one layer, summed up over the steps."""

    most: int

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self.hidden = nn.Linear(3 * WIDTH, 8)
        self.output = nn.Linear(8, 1)

    def forward(self, data: dict[str, Tensor]) -> dict[str, Tensor]:
        lengths = data["clicks.lengths"]
        if self.most > 0:
            lengths = lengths.clamp(max=self.most)
        longest = int(torch.max(lengths).item())
        offsets = torch.ops.fbgemm.asynchronous_complete_cumsum(lengths)
        steps = torch.ops.fbgemm.jagged_to_padded_dense(data["clicks.values"], [offsets], [longest], 0.0)
        items = data["item.values"].unsqueeze(1).expand(-1, longest, -1)
        hidden = torch.relu(self.hidden(torch.cat([items, steps, items * steps], 2)))
        return {"probs": torch.sigmoid(self.output(hidden).sum(1).squeeze(1))}


def inputs(rows: int, steps: int) -> dict[str, Any]:
    random = np.random.default_rng(rows + steps)
    return {
        "clicks.lengths": np.array([steps]),
        "clicks.values": random.standard_normal((steps, WIDTH), np.float32),
        "item.values": random.standard_normal((rows, WIDTH), np.float32),
    }


def at_its_rates(script: Any, options: Options) -> Exported:
    example = inputs(5, 3)
    first = export(script, repeated(example, USERS, 5), in_range=ids_in_range)
    return rewrite(
        first,
        script,
        example=example,
        alike=[],
        rates=RATES,
        options=options,
    ).exported


def tensors(given: dict[str, Any]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array) for name, array in given.items()}


def scripted(most: int = 0) -> Any:
    torch.manual_seed(0)
    return torch.jit.script(Attention(most).eval())


@pytest.mark.parametrize("interpreted", [True, False])
def test_the_steps_of_one_user_are_as_many_as_their_values(interpreted: bool) -> None:
    script = scripted()

    found = at_its_rates(script, Options(interpreted=interpreted)).program

    called = {str(node.target) for node in found.graph.nodes}
    assert not called & {"aten.item.default", "fbgemm.jagged_to_padded_dense.default"}
    assert not any(symbol.name.startswith("u") for symbol in found.range_constraints)
    for rows, steps in ((1, 1), (2, 3), (7, 2), (3, 6), (2, 0)):
        given = inputs(rows, steps)
        expected = script(tensors(repeated(given, USERS, rows)))["probs"]
        result = found.module(check_guards=False)({}, tensors(given))["probs"]
        torch.testing.assert_close(result, expected, rtol=0, atol=1e-6)


def test_lengths_that_the_model_cuts_off_do_not_tell_how_many_values_there_are() -> None:
    script = scripted(most=2)

    found = at_its_rates(script, Options()).program

    called = {str(node.target) for node in found.graph.nodes}
    assert called >= {"aten.item.default", "fbgemm.jagged_to_padded_dense.default"}
    given = tensors(inputs(1, 4))
    result = found.module(check_guards=False)({}, given)["probs"]
    torch.testing.assert_close(result, script(given)["probs"], rtol=0, atol=1e-6)


def test_a_compiler_is_left_the_sum_that_follows_a_product() -> None:
    interpreted, compiled = (
        [str(node.target) for node in at_its_rates(scripted(), Options(interpreted=one)).program.graph.nodes]
        for one in (True, False)
    )

    assert "aten.addmm.default" in interpreted
    assert "aten.addmm.default" not in compiled
    assert compiled.count("aten.add.Tensor") == 2
