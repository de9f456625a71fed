"""Exported models are run as they are, without copies, and nothing unchecked reaches native code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pytest
import torch
from tests.engines import models
from tests.engines.contract import EngineContract

from recserve.bundle import Bundle
from recserve.columns import ModelInputs
from recserve.engines.engine import TensorSpec, tensors
from recserve.engines.torch_arrays import share
from recserve.engines.torchscript import TorchScript
from recserve.errors import BundleError, ConfigError, ModelError, RequestError
from recserve.messages import TensorRequest

if TYPE_CHECKING:
    from torch import nn

AGE = ModelInputs([], [], ["age.values"], [np.ones((2, 3), np.float32)])


class TestContract(EngineContract):
    name: ClassVar[str] = "torchscript"
    outputs: ClassVar[tuple[str, ...]] = ("logits", "probs_ctr", "probs_cvr")
    broken_file: ClassVar[str] = "scripted_model.pt"
    many_rows: ClassVar[int] = 400_000

    @classmethod
    def write(cls, folder: Path) -> Path:
        return models.write_rank(folder)

    @classmethod
    def inputs(cls, rows: int, seed: int = 0) -> ModelInputs:
        return models.rank_inputs(rows, seed=seed)


class TestTiledContract(TestContract):
    """The same promises with INPUT_TILE: user tensors of one row, and batch_size."""

    @classmethod
    def write(cls, folder: Path) -> Path:
        return models.write_rank(folder, tile=True)

    @classmethod
    def inputs(cls, rows: int, seed: int = 0) -> ModelInputs:
        return models.rank_inputs(rows, tile=True, seed=seed)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return Bundle.open(models.write_rank(tmp_path_factory.mktemp("rank")))


def load(folder: Path, model: nn.Module, **options: object) -> TorchScript:
    return TorchScript.load(Bundle.open(models.write(folder, model)), **options)  # type: ignore[arg-type]


def test_the_tensors_of_a_call_lie_in_the_buffers_of_its_inputs() -> None:
    inputs = models.rank_inputs(3)

    shared = share(inputs)

    start = inputs.ints.ctypes.data
    for name, size in zip(inputs.int_names, inputs.int_sizes, strict=True):
        assert shared[name].data_ptr() == start or size == 0
        start += 8 * size
    assert shared["price.values"].data_ptr() == inputs.floats.ctypes.data
    assert shared["price.values"].shape == (3, 2)


def test_a_user_sent_once_scores_as_a_user_repeated_for_every_row(bundle: Bundle, tmp_path: Path) -> None:
    repeated = TorchScript.load(bundle)
    tiled = TorchScript.load(Bundle.open(models.write_rank(tmp_path, tile=True)))

    for rows in (1, 2, 9):
        expected = repeated.run(models.rank_inputs(rows), rows=rows)
        result = tiled.run(models.rank_inputs(rows, tile=True), rows=rows)

        for name, output in expected.items():
            np.testing.assert_array_equal(result[name], output)


def test_a_model_answers_what_torch_answers(bundle: Bundle) -> None:
    model = torch.jit.load(bundle.model_path)  # type: ignore[no-untyped-call]
    inputs = models.rank_inputs(9)
    with torch.inference_mode():
        expected = model({name: torch.tensor(array) for name, array in tensors(inputs).items()}, "cpu")

    result = TorchScript.load(bundle).run(inputs, rows=9)

    assert result.keys() == expected.keys()
    for name, tensor in expected.items():
        np.testing.assert_array_equal(result[name], tensor.numpy())


def test_inputs_are_found_in_modules_that_the_model_calls(tmp_path: Path) -> None:
    engine = load(tmp_path, models.Nested())

    assert list(engine.inputs) == ["age.values", "height.values"]


def test_output_names_that_the_file_does_not_tell_are_learned_by_the_first_call(tmp_path: Path) -> None:
    engine = load(tmp_path, models.Nested())
    inputs = ModelInputs([], [], ["age.values", "height.values"], [np.ones((2, 1), np.float32)] * 2)
    before = engine.outputs

    engine.warm_up([(inputs, 2)])

    assert (before, engine.outputs) == ((), ("half", "sum"))
    with pytest.raises(ConfigError, match="unknown 'probs'; the model has 'half', 'sum'"):
        load(tmp_path, models.Nested(), outputs=["probs"]).warm_up([(inputs, 2)])


def test_half_precision_is_widened(tmp_path: Path) -> None:
    inputs = ModelInputs([], [], ["age.values", "height.values"], [np.ones((2, 1), np.float32)] * 2)

    result = load(tmp_path, models.Nested()).run(inputs, rows=2)

    assert result["half"].dtype == np.float32
    assert result["half"].tolist() == [[2.0], [2.0]]


def test_a_model_that_computes_its_keys_takes_what_the_features_send(tmp_path: Path) -> None:
    features = {"age.values": TensorSpec("float32", 2), "height.values": TensorSpec("float32", 2)}
    inputs = ModelInputs([], [], list(features), [np.ones((2, 3), np.float32)] * 2)

    engine = load(tmp_path, models.ComputedKeys(["height.values"]), features=features)

    assert engine.inputs == features
    assert engine.run(inputs, rows=2)["sum"].tolist() == [6, 6]


def test_no_rows_before_any_call_ask_for_a_warm_up(bundle: Bundle) -> None:
    with pytest.raises(ModelError, match="warm it up first"):
        TorchScript.load(bundle).run(models.rank_inputs(0), rows=0)


def test_a_model_that_throws_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"the model failed: .*shapes cannot be multiplied") as error:
        load(tmp_path, models.Throws()).run(AGE, rows=2)

    assert "Traceback" not in str(error.value)
    assert "\n" not in str(error.value)


def test_a_model_that_answers_no_tensors_is_refused_at_load(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"the model answers Dict\[str, int\]; tensors are served"):
        load(tmp_path, models.AnswersNumber())


def test_an_answer_of_a_type_that_cannot_be_sent_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="the model failed: an output is complex64, which cannot be sent"):
        load(tmp_path, models.AnswersComplex()).run(AGE, rows=2)


@pytest.mark.parametrize("width", models.WIDTHS)
def test_tables_are_looked_up_in_every_width_that_exports_quantise_to(tmp_path: Path, width: str) -> None:
    model = models.Quantised(width, rows=30)
    engine = TorchScript.load(Bundle.open(models.write(tmp_path, model, traced=True)))
    inputs = ModelInputs(
        ["tags.values", "tags.lengths"], [np.array([3, 29, 3, 0, 17]), np.array([2, 0, 3])], [], []
    )

    result = engine.run(inputs, rows=3)["vector"]

    rows = model.values.numpy()
    expected = [rows[[3, 29]].sum(0), rows[[]].sum(0), rows[[3, 0, 17]].sum(0)]
    np.testing.assert_allclose(result, expected, rtol=1e-6, atol=1e-6)


def test_the_two_buffers_go_to_another_device_and_the_number_of_rows_stays() -> None:
    inputs = models.rank_inputs(3, tile=True)

    moved = share(inputs, torch.device("meta"))

    assert {name for name, value in moved.items() if value.device.type == "cpu"} == {"batch_size"}
    assert moved["batch_size"].tolist() == [3]
    assert {name: value.shape for name, value in moved.items()} == {
        name: value.shape for name, value in share(inputs).items()
    }


def test_an_answer_with_other_rows_than_the_request_is_not_handed_out(tmp_path: Path) -> None:
    engine = load(tmp_path, models.ComputedKeys([]))

    with pytest.raises(ModelError, match=r"output 'sum' has shape \(2,\) for 3 rows"):
        engine.run(AGE, rows=3)


@pytest.mark.parametrize(
    "request_",
    [
        TensorRequest([np.ones(2, np.float32), np.ones(2, np.float32)], {}),
        TensorRequest([], {"x": np.ones(2, np.float32), "y": np.ones(2, np.float32)}),
        TensorRequest([np.ones(2, np.float32)], {"y": np.ones(2, np.float32)}),
    ],
    ids=["by position", "by name", "mixed"],
)
def test_a_model_with_arguments_takes_them_by_position_or_name(
    tmp_path: Path, request_: TensorRequest
) -> None:
    result = load(tmp_path, models.Positional()).run_tensors(request_)

    assert list(result.named_outputs) == ["output_0", "output_1"]
    assert [output.tolist() for output in result.named_outputs.values()] == [[2, 2], [2, 2]]


def test_an_argument_that_nobody_can_send_is_refused_at_load(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="argument 'scale' is float, and only tensors can be sent"):
        load(tmp_path, models.NeedsNumber())


def test_types_follow_from_the_names_of_exported_models(bundle: Bundle) -> None:
    inputs = TorchScript.load(bundle).inputs

    assert inputs["user_id.values"] == inputs["user_id.lengths"] == TensorSpec("int64", 1)
    assert inputs["price.values"] == TensorSpec("float32", 2)


def test_too_many_positions_list_the_inputs(tmp_path: Path) -> None:
    engine = load(tmp_path, models.Positional())

    with pytest.raises(RequestError, match="4 inputs by position, the model has 2: 0 'x', 1 'y'"):
        engine.run_tensors(TensorRequest([np.ones(1)] * 4, {}))


def test_strings_are_refused(tmp_path: Path) -> None:
    engine = load(tmp_path, models.Positional())

    with pytest.raises(RequestError, match="input 'y' is object; a torch model takes numbers"):
        engine.run_tensors(TensorRequest([np.ones(1), np.array([b"a"], object)], {}))


def test_read_only_arrays_of_a_request_are_left_alone(bundle: Bundle) -> None:
    given = tensors(models.rank_inputs(2))
    ids = np.array([39, 40])  # 40 is out of range, and fbgemm would overwrite it
    ids.flags.writeable = False
    given["item_id.values"] = ids

    TorchScript.load(bundle).run_tensors(TensorRequest([], given))

    assert ids.tolist() == [39, 40]


def test_an_id_beyond_its_table_names_the_feature(bundle: Bundle) -> None:
    engine = TorchScript.load(bundle, limits={"item_id": 40})
    given = tensors(models.rank_inputs(2))
    given["item_id.values"] = np.array([39, 40])

    with pytest.raises(RequestError, match=r"'item_id.values' is 40 at position 1; .* less than 40"):
        engine.run_tensors(TensorRequest([], given))


def test_no_rows_of_tensors_are_answered_without_the_model(bundle: Bundle) -> None:
    engine = TorchScript.load(bundle)
    engine.warm_up([(models.rank_inputs(2), 2)])

    result = engine.run_tensors(TensorRequest([], tensors(models.rank_inputs(0))))

    assert {name: output.shape for name, output in result.named_outputs.items()} == {
        "logits": (0, 2),
        "probs_ctr": (0,),
        "probs_cvr": (0,),
    }


def test_an_unknown_device_is_refused(bundle: Bundle) -> None:
    with pytest.raises(ConfigError, match="device 'abacus' is unknown; use cpu or cuda:0"):
        TorchScript.load(bundle, device="abacus")


def test_a_device_that_is_there_is_used_and_another_is_named(bundle: Bundle) -> None:
    if torch.cuda.is_available():
        assert TorchScript.load(bundle, device="cuda:0").outputs
    else:
        with pytest.raises(ConfigError, match=r"device 'cuda:0' is not there: torch .* sees no GPU; use cpu"):
            TorchScript.load(bundle, device="cuda:0")


def test_a_file_that_is_no_model_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "scripted_model.pt").write_bytes(b"PK\x03\x04 cut short")

    with pytest.raises(BundleError, match=r"scripted_model.pt is not a TorchScript model that loads; .*: \S"):
        TorchScript.load(Bundle.open(tmp_path))


# Lengths of a billion make the look-up of the second row read far outside the values.
_KILLER = """
import sys
import numpy as np
from recserve.bundle import Bundle
from recserve.engines.engine import tensors
from recserve.engines.torch_arrays import share
from recserve.engines.torchscript import TorchScript
from recserve.errors import RequestError
from recserve.messages import TensorRequest
from tests.engines import models

engine = TorchScript.load(Bundle.open(sys.argv[1]))
inputs = models.rank_inputs(3)
given = tensors(inputs)
given["clicks__item_id.lengths"][:] = [1 << 30, 1 << 30, 5]
if sys.argv[2] == "checked":
    try:
        engine.run_tensors(TensorRequest([], given))
    except RequestError as e:
        print(e)
else:
    engine.run(inputs, rows=3)
print(engine.run(models.rank_inputs(3), rows=3)["probs_ctr"].shape)
"""


def test_lengths_that_would_kill_the_process_are_answered_with_what_is_wrong(bundle: Bundle) -> None:
    def result(how: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-W", "ignore", "-c", _KILLER, str(bundle.path), how]
        root = Path(__file__).parents[2]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)

    unchecked, checked = result("unchecked"), result("checked")

    assert unchecked.returncode < 0  # a signal: nothing in the process survives it
    assert checked.returncode == 0, checked.stderr
    assert checked.stdout.splitlines() == [
        "input 'clicks__item_id.lengths' sums to 2147483653, but 'clicks__item_id.values' has 15 entries",
        "(3,)",
    ]
