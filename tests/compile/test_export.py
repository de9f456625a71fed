"""A graph is exported for all sizes, or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from tests.compile.bundles import features_of, write_rank
from tests.engines import models

from recserve.compile.export import export
from recserve.compile.requests import Requests
from recserve.engines.engine import TensorSpec, tensors
from recserve.engines.sizes import Size, exactly
from recserve.engines.torchscript import load_script
from recserve.errors import BundleError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import nn

    from recserve.bundle import Bundle


def example_of(bundle: Bundle) -> dict[str, NDArray[Any]]:
    features = features_of(bundle)
    return Requests(features, features.tensors).example(6)


def test_the_graph_answers_for_sizes_that_it_was_not_exported_with(tmp_path: Path) -> None:
    bundle = write_rank(tmp_path)
    script = load_script(bundle.model_path)

    exported = export(script, example_of(bundle))

    for rows in (1, 2, 9):
        data = {
            name: torch.from_numpy(array) for name, array in sorted(tensors(models.rank_inputs(rows)).items())
        }
        found = exported.program.module()({"weights": script.weights}, data)
        expected = script(data, torch.device("cpu"))
        assert exported.tables == ("weights",)
        assert exported.outputs == ("logits", "probs_ctr", "probs_cvr")
        assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_inputs_say_their_types_and_what_is_fixed_of_their_sizes(tmp_path: Path) -> None:
    bundle = write_rank(tmp_path, tile=True)

    exported = export(load_script(bundle.model_path), example_of(bundle))

    assert exported.inputs["user_id.lengths"] == TensorSpec("int64", 1, (exactly(1),))
    assert exported.inputs["user_id.values"] == TensorSpec("int64", 1, (Size(),))
    assert exported.inputs["price.values"].dtype == "float32"
    assert exported.inputs["price.values"].shape[1] == exactly(2)
    assert exported.inputs["batch_size"] == TensorSpec("int64", 1, (exactly(1),))


class RepeatsTheUser(torch.nn.Module):
    """Takes the number of rows from batch_size, and a branch that all sizes take alike."""

    def forward(self, data: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        rows = int(data["batch_size"])
        both = torch.cat([data["age.values"].repeat(rows, 1), data["price.values"]])
        return {"sum": both.sum(dim=1) if both.numel() > 0 else data["price.values"]}


def test_the_number_of_rows_is_one_with_batch_size(tmp_path: Path) -> None:
    script = load_script(models.write(tmp_path, RepeatsTheUser()) / "scripted_model.pt")

    def request(rows: int) -> dict[str, NDArray[Any]]:
        prices = np.arange(2 * rows, dtype=np.float32).reshape(rows, 2)
        ages = np.array([[7, 8]], np.float32)
        return {"age.values": ages, "batch_size": np.array(rows), "price.values": prices}

    exported = export(script, request(6))

    for rows in (1, 2, 9):
        data = {name: torch.from_numpy(array) for name, array in request(rows).items()}
        found = exported.program.module()({}, data)["sum"]
        assert torch.equal(found, script(data)["sum"])


class Rejecting(torch.nn.Module):
    """Takes no ages below 0."""

    def forward(self, data: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        assert bool((data["age.values"] >= 0).all()), "an age is negative"
        return {"sum": data["age.values"]}


def test_a_model_that_rejects_the_example_is_told_with_the_way_out(tmp_path: Path) -> None:
    script = load_script(models.write(tmp_path, Rejecting()) / "scripted_model.pt")

    with pytest.raises(
        BundleError, match=r"rejects a request .* an age is negative; give a folder of recorded"
    ):
        export(script, {"age.values": -np.ones((5, 2), np.float32)})


class OfItsValues(torch.nn.Module):
    """Takes a branch by what its input holds."""

    def forward(self, data: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        age = data["age.values"]
        return {"sum": age if float(age.sum()) > 0 else -age}


class OfItsRows(torch.nn.Module):
    """Takes a branch by how many rows there are."""

    def forward(self, data: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        age = data["age.values"]
        return {"sum": age if age.size(0) > 3 else -age}


@pytest.mark.parametrize("model", [OfItsValues(), OfItsRows()])
def test_a_model_that_is_another_for_other_requests_is_refused(tmp_path: Path, model: nn.Module) -> None:
    script = load_script(models.write(tmp_path, model) / "scripted_model.pt")

    with pytest.raises(BundleError, match="the model cannot be compiled for all sizes: ") as error:
        export(script, {"age.values": np.ones((5, 2), np.float32)})

    assert "\n" not in str(error.value)


def test_a_model_that_takes_its_tensors_by_position_is_refused(tmp_path: Path) -> None:
    script = load_script(models.write(tmp_path, models.Positional()) / "scripted_model.pt")

    with pytest.raises(BundleError, match=r"the model takes \(Tensor, Tensor, float\); .* a dict of tensors"):
        export(script, {"x": np.ones(2, np.float32), "y": np.ones(2, np.float32)})


def test_sizes_of_0_and_1_in_the_example_are_no_special_cases(tmp_path: Path) -> None:
    script = load_script(models.write(tmp_path, models.Rank(), traced=True) / "scripted_model.pt")
    example = tensors(models.rank_inputs(1)) | {
        "tags.lengths": np.zeros(1, np.int64),
        "tags.values": np.zeros(0, np.int64),
    }

    exported = export(script, example)

    assert exported.inputs["tags.values"] == TensorSpec("int64", 1, (Size(),))
    assert exported.inputs["price.values"].shape == (Size("rows"), exactly(2))


def test_an_example_that_does_not_tell_users_from_items_is_refused(tmp_path: Path) -> None:
    script = load_script(models.write(tmp_path, models.Rank(tile=True), traced=True) / "scripted_model.pt")

    with pytest.raises(BundleError, match="takes users of one row, and the requests have no other"):
        export(script, tensors(models.rank_inputs(1, tile=True)))
