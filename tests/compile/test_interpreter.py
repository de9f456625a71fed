"""A TorchScript graph, run in Python, gives what torch gives to the bit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from tests.engines import models

from recserve.compile.interpreter import Interpreter
from recserve.engines.engine import tensors
from recserve.engines.torchscript import load_script
from recserve.errors import BundleError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn


def scripted(folder: Path, model: nn.Module, *, traced: bool = False) -> Any:
    return load_script(models.write(folder, model, traced=traced) / "scripted_model.pt")


def named(arrays: dict[str, Any]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


@pytest.mark.parametrize("tile", [False, True])
@pytest.mark.parametrize("rows", [1, 2, 7])
def test_a_ranking_model_answers_the_same_bits(tmp_path: Path, rows: int, tile: bool) -> None:
    script = scripted(tmp_path, models.Rank(tile=tile), traced=True)
    data = named(tensors(models.rank_inputs(rows, tile=tile)))

    result = Interpreter(script).run(data)

    expected = script(data, torch.device("cpu"))
    assert result.keys() == expected.keys()
    assert all(torch.equal(result[name], expected[name]) for name in expected)


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("model", [models.Nested(), models.ComputedKeys(["height.values"])])
def test_branches_loops_submodules_and_computed_keys_are_followed(
    tmp_path: Path, model: nn.Module, rows: int
) -> None:
    script = scripted(tmp_path, model)
    data = named(
        {
            name: np.arange(rows * 2.0).reshape(rows, 2).astype("f4")
            for name in ("age.values", "height.values")
        }
    )

    result = Interpreter(script).run(data)

    expected = script(data)
    assert all(torch.equal(result[name], expected[name]) for name in expected)


def test_embedding_tables_are_told_from_weights_of_layers(tmp_path: Path) -> None:
    interpreter = Interpreter(scripted(tmp_path, models.Rank(), traced=True))

    interpreter.run(named(tensors(models.rank_inputs(2))))

    assert set(interpreter.tables) == {"weights"}
    assert {"head.weight", "head.bias"} <= set(interpreter.read)


@pytest.mark.parametrize(
    ("sent", "read"), [([3, 10**9, 39], [3, 0, 39]), ([40, -2, -1], [0, 0, -1]), ([0, 0, 0], [0, 0, 0])]
)
def test_ids_that_no_table_has_read_row_0_as_fbgemm_has_it(
    tmp_path: Path, sent: list[int], read: list[int]
) -> None:
    script = scripted(tmp_path, models.Rank(), traced=True)
    data = named(tensors(models.rank_inputs(3)))

    result, expected, original = (
        run(data | {"item_id.values": torch.tensor(ids)})
        for run, ids in (
            (Interpreter(script).run, sent),
            (Interpreter(script).run, read),
            (lambda data: script(data, torch.device("cpu")), sent),
        )
    )

    for name in original:
        assert torch.equal(result[name], expected[name])
        assert torch.equal(result[name], original[name])


def test_inputs_are_left_as_they_are(tmp_path: Path) -> None:
    data = named(tensors(models.rank_inputs(1)) | {"item_id.values": np.array([10**9])})

    Interpreter(scripted(tmp_path, models.Rank(), traced=True)).run(data)

    assert data["item_id.values"].tolist() == [10**9]


class Counts(torch.nn.Module):
    """Counts its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, data: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        self.calls = self.calls + 1
        return {"sum": data["age.values"] * self.calls}


class Refuses(torch.nn.Module):
    def forward(self, data: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        if data["age.values"].size(0) < 100:
            raise ValueError("too few")
        return {"sum": data["age.values"]}


@pytest.mark.parametrize(
    ("model", "message"),
    [(Counts(), "changes its own 'calls' in a call"), (Refuses(), "refuses a drawn request: .*too few")],
)
def test_what_cannot_be_compiled_is_named(tmp_path: Path, model: nn.Module, message: str) -> None:
    interpreter = Interpreter(scripted(tmp_path, model))

    with pytest.raises(BundleError, match=message):
        interpreter.run({"age.values": torch.ones(2, 3)})
