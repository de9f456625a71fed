"""Parts that are run a block of rows at a time answer what they answer for all rows at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from recserve.compile import row_blocks
from recserve.compile.export import Exported, for_any_size
from recserve.compile.script import to_script
from recserve.engines.engine import TensorSpec
from recserve.engines.sizes import Size, exactly

if TYPE_CHECKING:
    from collections.abc import Callable

    Data = dict[str, torch.Tensor]

#: As many bytes as 16 rows of the widest tensor here take, so that most of these are several blocks.
CACHE = 16 * 4 * 40 * 32
ROWS = (1, 15, 16, 17, 33, 100)
functional = torch.nn.functional


class Model(torch.nn.Module):
    """A function of rows `x`, [B, 8], and of a user's steps, [1, L, 8]."""

    def __init__(self, compute: Callable[[Model, torch.Tensor, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self._compute = compute
        torch.manual_seed(0)
        self.hidden, self.out = torch.nn.Linear(16, 32), torch.nn.Linear(32, 1)

    def forward(self, tables: Data, data: Data) -> Data:
        return {"y": self._compute(self, data["x.values"], data["steps.values"].unsqueeze(0))}


def data_of(rows: int, steps: int = 40) -> Data:
    torch.manual_seed(rows)
    return {"steps.values": torch.randn(steps, 8), "x.values": torch.randn(rows, 8)}


@pytest.fixture(autouse=True)
def small_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_blocks, "block_bytes", lambda: CACHE)


def script_of(compute: Callable[[Any, Any, Any], Any]) -> tuple[Model, Any]:
    model = Model(compute).eval()
    program = for_any_size(model, {}, data_of(6, 33))
    inputs = {
        "steps.values": TensorSpec("float32", 2, (Size(""), exactly(8))),
        "x.values": TensorSpec("float32", 2, (Size("rows"), exactly(8))),
    }
    return model, to_script(Exported(program, inputs, (), ("y",)))


def attention(model: Model, x: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
    both = torch.cat([x.unsqueeze(1) * steps, x.unsqueeze(1) - steps], -1)
    scores = model.out(torch.relu(model.hidden(both))).squeeze(2)
    return torch.softmax(scores, 1) @ steps.squeeze(0)


def flattened(model: Model, x: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
    both = torch.cat([(x.unsqueeze(1) * steps).reshape(-1, 8), (x.unsqueeze(1) + steps).reshape(-1, 8)], 1)
    hidden = torch.addmm(model.hidden.bias, both, model.hidden.weight.t())
    hidden = hidden.view(x.size(0), steps.size(1), 32)
    return torch.sigmoid(hidden.mul(2.0)).sum(1)


@pytest.mark.parametrize("compute", [attention, flattened])
@pytest.mark.parametrize("rows", ROWS)
def test_all_rows_are_answered_whatever_block_they_are_in(compute: Callable[..., Any], rows: int) -> None:
    model, script = script_of(compute)
    data = data_of(rows)

    with torch.no_grad():
        found = script(data)["y"]

    assert "blocks_0" in script.code
    torch.testing.assert_close(found, model({}, data)["y"], rtol=1e-5, atol=1e-6)


def test_no_block_has_more_rows_than_fit() -> None:
    _, script = script_of(attention)

    with torch.no_grad(), torch.profiler.profile(record_shapes=True) as profile:
        script(data_of(100))

    hidden = [each.input_shapes[0] for each in profile.events() if each.name == "aten::clamp_min_"]
    assert [shape[0] for shape in hidden] == [15, 15, 15, 15, 15, 15, 10]
    assert {tuple(shape[1:]) for shape in hidden} == {(40, 32)}


def over_rows(model: Model, x: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
    hidden = model.hidden(torch.cat([x.unsqueeze(1) * steps, x.unsqueeze(1) - steps], -1))
    return torch.softmax(hidden, 0).sum(1)


def by_their_number(model: Model, x: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
    hidden: torch.Tensor = model.hidden(torch.cat([x.unsqueeze(1) * steps, x.unsqueeze(1) - steps], -1))
    return (hidden / x.size(0)).sum(1)


def running(model: Model, x: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
    hidden = model.hidden(torch.cat([x.unsqueeze(1) * steps, x.unsqueeze(1) - steps], -1))
    return torch.cumsum(hidden, 0).sum(1)


@pytest.mark.parametrize("compute", [over_rows, by_their_number, running])
def test_what_depends_on_other_rows_is_computed_for_all_at_once(compute: Callable[..., Any]) -> None:
    model, script = script_of(compute)
    data = data_of(50)

    with torch.no_grad():
        found = script(data)["y"]

    torch.testing.assert_close(found, model({}, data)["y"], rtol=1e-5, atol=1e-6)


def test_small_tensors_are_left_in_one_block() -> None:
    _, script = script_of(lambda model, x, steps: model.out(torch.relu(model.hidden(torch.cat([x, x], 1)))))
    assert "blocks_0" not in script.code
