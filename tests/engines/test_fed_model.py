from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import nn

from recserve.columns import ModelInputs
from recserve.engines.fed_model import FedModel
from recserve.engines.torch_arrays import share

CPU = torch.device("cpu")


class Sums(nn.Module):
    def forward(self, data: dict[str, torch.Tensor], device: torch.device) -> dict[str, torch.Tensor]:
        ids = data["id.values"].to(device).sum() + data["id.lengths"].sum()
        return {"sum": ids + data["pair.values"].sum(dim=1)}


class WithoutDevice(nn.Module):
    def forward(self, data: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {"ids": data["id.values"] + 1}


def inputs(rows: int, *, seed: int = 0) -> ModelInputs:
    rng = np.random.default_rng(seed)
    ids, lengths = rng.integers(0, 9, 2 * rows), np.full(rows, 2)
    return ModelInputs(
        ["id.values", "id.lengths"], [ids, lengths], ["pair.values"], [rng.random((rows, 2), np.float32)]
    )


def test_a_fed_model_answers_as_the_model_called_with_tensors() -> None:
    model = torch.jit.script(Sums())
    given = inputs(3)
    fed = FedModel(model, takes_device=True)

    assert fed.takes(given)
    result = fed(given)["sum"]
    expected = model(share(given), CPU)["sum"]

    assert torch.equal(result, expected)


def test_a_model_without_device_and_inputs_without_floats_are_fed_too() -> None:
    given = ModelInputs(["id.values"], [np.array([1, 2])], [], [])
    fed = FedModel(torch.jit.script(WithoutDevice()), takes_device=False)

    assert fed.takes(given)
    assert fed(given)["ids"].tolist() == [2, 3]


def test_inputs_of_another_plan_are_not_taken() -> None:
    fed = FedModel(torch.jit.script(Sums()), takes_device=True)
    first = inputs(3)

    assert fed.takes(first)
    assert fed.takes(first)
    assert not fed.takes(inputs(3))  # equal names, but nobody has compared them


def test_threads_that_call_first_at_once_get_their_own_answers() -> None:
    model = torch.jit.script(Sums())
    fed, given = FedModel(model, takes_device=True), inputs(4)

    def call(_: int) -> list[float]:
        assert fed.takes(given)
        answer: list[float] = fed(given)["sum"].tolist()
        return answer

    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(call, range(16)))

    assert results == [model(share(given), CPU)["sum"].tolist()] * 16
