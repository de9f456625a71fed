"""Models of torch.export are run by what their archive declares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest
import torch
from tests.engines import export_models
from tests.engines.contract import EngineContract
from tests.engines.test_onnx import TestContract as OnnxContract
from torch import Tensor, nn
from torch.export import Dim

from recserve.bundle import Bundle
from recserve.config import service
from recserve.engines.torch_export import TorchExport
from recserve.errors import BundleError, ConfigError, ModelError, RequestError
from recserve.messages import TensorRequest
from recserve.processors.bypass import Bypass
from recserve.processors.load import load

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from recserve.columns import ModelInputs


class TestContract(EngineContract):
    name: ClassVar[str] = "torch_export"
    outputs: ClassVar[tuple[str, ...]] = ("all", "old")
    broken_file: ClassVar[str] = "exported_model.pt2"
    many_rows: ClassVar[int] = 3_000_000

    @classmethod
    def write(cls, folder: Path) -> Path:
        return export_models.write_sums(folder)

    @classmethod
    def inputs(cls, rows: int, seed: int = 0) -> ModelInputs:
        return OnnxContract.inputs(rows, seed)


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return Bundle.open(export_models.write_scores(tmp_path_factory.mktemp("scores")))


def sent(rows: int, steps: int = 2) -> dict[str, NDArray[Any]]:
    return {"x": np.full((rows, 3), 0.5, np.float32), "ids": np.ones((rows, steps), np.int64)}


def test_a_model_answers_what_torch_answers(scores: Bundle) -> None:
    torch.manual_seed(1)
    model = export_models.Scores()
    given = sent(5, 3)
    with torch.inference_mode():
        expected = model(torch.tensor(given["x"]), ids=torch.tensor(given["ids"]))

    result = TorchExport.load(scores).run_tensors(TensorRequest([], given))

    assert list(result.named_outputs) == ["logits", "probs"]
    for name, tensor in expected.items():
        np.testing.assert_array_equal(result.named_outputs[name], tensor.numpy())


@pytest.mark.parametrize(
    "request_",
    [
        TensorRequest([*sent(4).values()], {}),
        TensorRequest([], sent(4)),
        TensorRequest([sent(4)["x"]], {"ids": sent(4)["ids"]}),
    ],
    ids=["by position", "by name", "mixed"],
)
def test_arguments_come_by_position_or_name(scores: Bundle, request_: TensorRequest) -> None:
    assert TorchExport.load(scores).run_tensors(request_).named_outputs["probs"].shape == (4,)


def test_a_number_is_what_it_was_when_the_model_was_exported(tmp_path: Path) -> None:
    exported_with = {"ids": torch.ones(4, 2, dtype=torch.int64), "scale": 10.0}
    bundle = export_models.write(tmp_path, export_models.Scores(), (torch.ones(4, 3),), exported_with)
    engine = TorchExport.load(Bundle.open(bundle))

    by_ten = engine.run_tensors(TensorRequest([], sent(4))).named_outputs["logits"]

    assert list(engine.inputs) == ["x", "ids"]
    model = export_models.Scores()
    given = {name: torch.tensor(array) for name, array in sent(4).items()}
    np.testing.assert_array_equal(by_ten, model(**given, scale=10.0)["logits"].detach().numpy())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"x": np.ones((4, 3))}, r"input 'x' is float64 of shape \(4, 3\); the model reads float32"),
        ({"x": np.ones((4, 2), np.float32)}, r"input 'x' is float32 of shape \(4, 2\); .*, 3\)"),
        ({"x": np.ones(3, np.float32)}, r"input 'x' is float32 of shape \(3,\)"),
        ({"x": np.ones((3, 3), np.float32)}, r"input 'ids' is int64 of shape \(4, 2\); .* is 3 in 'x'"),
        ({"x": np.ones((1001, 3), np.float32)}, r"input 'x' is .*\(1001, 3\); .*\(0 to 1000\), 3\)"),
        ({"ids": np.array([[b"a"]], object)}, "input 'ids' is text"),
        ({"scale": np.array(1.0)}, "sent extra {'scale'}"),
    ],
    ids=["type", "size", "rank", "rows", "limit", "text", "a number of the model's own"],
)
def test_another_tensor_than_was_exported_is_refused_by_name(
    scores: Bundle, wrong: dict[str, NDArray[Any]], message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        TorchExport.load(scores).run_tensors(TensorRequest([], sent(4) | wrong))


@pytest.mark.parametrize("any_size", [Dim.AUTO, Dim.DYNAMIC, Dim("rows")], ids=str)
def test_a_size_that_nobody_limited_may_be_one(tmp_path: Path, any_size: Any) -> None:
    given = {"ids": torch.ones(4, 2, dtype=torch.int64)}
    bundle = export_models.write(
        tmp_path, export_models.Scores(), (torch.ones(4, 3),), given, x={0: any_size}, ids={0: any_size}
    )
    engine = TorchExport.load(Bundle.open(bundle))

    [one] = engine.run_tensors(TensorRequest([], sent(1))).named_outputs["logits"]

    np.testing.assert_array_equal(engine.run_tensors(TensorRequest([], sent(3))).named_outputs["logits"], one)


@pytest.mark.parametrize(
    ("limited", "rows", "allowed"),
    [
        (Dim("rows", max=10), 11, "at most 10; send fewer of them in a request"),
        (Dim("rows", min=3, max=10), 2, "3 to 10; send more of them"),
        (Dim("rows", min=3), 1, "at least 3; send more of them"),
    ],
    ids=["many", "few", "few, and no most"],
)
def test_candidates_beyond_what_was_exported_are_refused(
    tmp_path: Path, limited: Any, rows: int, allowed: str
) -> None:
    engine = TorchExport.load(Bundle.open(export_models.write_sums(tmp_path, limited)))

    with pytest.raises(RequestError) as refused:
        engine.run(OnnxContract.inputs(rows), rows=rows)

    assert str(refused.value).startswith(
        f"'tags.lengths' is {rows} long for these {rows} candidates, and the model was exported for {allowed}"
    )
    assert len(engine.run(OnnxContract.inputs(10), rows=10)["all"]) == 10


def test_sizes_that_follow_from_others_are_checked(tmp_path: Path) -> None:
    class Halves(nn.Module):
        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return x + y.view(-1, 2).sum(1)

    rows = Dim("rows")
    bundle = export_models.write(
        tmp_path, Halves(), (torch.ones(3), torch.ones(6)), x={0: rows}, y={0: 2 * rows}
    )
    engine = TorchExport.load(Bundle.open(bundle))

    def ask(x: int, y: int) -> list[float]:
        request = TensorRequest([np.ones(x, np.float32), np.ones(y, np.float32)], {})
        [output] = engine.run_tensors(request).outputs
        result: list[float] = output.tolist()
        return result

    assert ask(2, 4) == [3, 3]
    with pytest.raises(RequestError, match=r"input 'y' has 5 in y\[0\]; it is 4 where x\[0\] are as sent"):
        ask(2, 5)


def test_outputs_without_names_are_counted_and_bools_are_kept(tmp_path: Path) -> None:
    bundle = export_models.write(
        tmp_path, export_models.Pair(), (torch.ones(2), torch.ones(2)), x={0: Dim("n")}, y={0: Dim("n")}
    )
    request = TensorRequest([np.array([3, 1], np.float32), np.array([1, 2], np.float32)], {})

    result = TorchExport.load(Bundle.open(bundle)).run_tensors(request).named_outputs

    assert {name: output.tolist() for name, output in result.items()} == {
        "output_0": [2, -1],
        "output_1": [True, False],
    }


def test_half_precision_is_widened(tmp_path: Path) -> None:
    class Half(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.bfloat16()

    engine = TorchExport.load(Bundle.open(export_models.write(tmp_path, Half(), (torch.ones(2),))))

    [output] = engine.run_tensors(TensorRequest([np.ones(2, np.float32)], {})).outputs

    assert str(output.dtype) == "float32"
    assert output.tolist() == [1, 1]


def test_a_model_that_answers_no_tensor_is_refused_at_load(tmp_path: Path) -> None:
    class Number(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, int]:
            return x, 3

    bundle = Bundle.open(export_models.write(tmp_path, Number(), (torch.ones(2),)))

    with pytest.raises(BundleError, match=r"the model's answer '.*' is no tensor"):
        TorchExport.load(bundle)


def test_a_model_that_keeps_what_it_saw_is_refused_at_load(tmp_path: Path) -> None:
    class Counts(nn.Module):
        calls: Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("calls", torch.zeros(1))

        def forward(self, x: Tensor) -> Tensor:
            self.calls.add_(1)
            return x + self.calls

    bundle = Bundle.open(export_models.write(tmp_path, Counts(), (torch.ones(2),)))

    with pytest.raises(BundleError, match=r"changes its 'calls' in every call; export model\.eval"):
        TorchExport.load(bundle)


def test_a_model_that_throws_is_told_in_one_line(tmp_path: Path) -> None:
    class Picks(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.arange(3)[x]

    engine = TorchExport.load(
        Bundle.open(export_models.write(tmp_path, Picks(), (torch.ones(2, dtype=torch.int64),)))
    )

    with pytest.raises(ModelError, match="the model failed: index 7 is out of bounds") as error:
        engine.run_tensors(TensorRequest([np.array([7, 0])], {}))

    assert "\n" not in str(error.value)


def test_requests_are_left_as_they_came(tmp_path: Path) -> None:
    class Writes(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.relu_(x.clone())

    x = np.array([-1, 1], np.float32)
    x.flags.writeable = False
    engine = TorchExport.load(Bundle.open(export_models.write(tmp_path, Writes(), (torch.ones(2),))))

    engine.run_tensors(TensorRequest([x], {}))

    assert x.tolist() == [-1, 1]


def test_a_device_that_is_there_is_used_and_another_is_named(scores: Bundle) -> None:
    if torch.cuda.is_available():
        engine = TorchExport.load(scores, device="cuda:0")
        assert engine.run_tensors(TensorRequest([], sent(4))).named_outputs["probs"].shape == (4,)
    else:
        with pytest.raises(ConfigError, match=r"device 'cuda' is not there"):
            TorchExport.load(scores, device="cuda")


def test_a_bundle_is_served_in_bypass_with_the_sizes_that_were_exported(scores: Bundle) -> None:
    processor = load(scores, service.load({"name": "rank"}, {}))

    assert isinstance(processor, Bypass)
    described = {entry.name: (entry.shape, entry.type) for entry in processor.signature().inputs}
    assert described == {"x": ((-1, 3), "DT_FLOAT"), "ids": ((-1, -1), "DT_INT64")}
    assert processor.predict(processor.sample(4)).named_outputs["probs"].shape == (4,)
