"""ONNX models are run by what their file declares, and nothing outside of the bundle is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import onnxruntime
import pytest
from tests.engines import onnx_models
from tests.engines.contract import EngineContract
from tests.engines.onnx_models import BOOL, DOUBLE, FLOAT, HALF, INT64, STRING

from recserve.bundle import Bundle
from recserve.columns import ModelInputs
from recserve.config import service
from recserve.engines.onnx import Onnx
from recserve.errors import BundleError, ConfigError, ModelError, RequestError
from recserve.messages import TensorRequest
from recserve.processors.bypass import Bypass
from recserve.processors.load import load

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

X: onnx_models.Tensor = ("x", FLOAT, ["rows", 3])


class TestContract(EngineContract):
    name: ClassVar[str] = "onnx"
    outputs: ClassVar[tuple[str, ...]] = ("all", "old")
    broken_file: ClassVar[str] = "model.onnx"
    many_rows: ClassVar[int] = 3_000_000

    @classmethod
    def write(cls, folder: Path) -> Path:
        return onnx_models.write_sums(folder)

    @classmethod
    def inputs(cls, rows: int, seed: int = 0) -> ModelInputs:
        rng = np.random.default_rng(seed)
        lengths = rng.integers(0, 3, rows)
        tags = rng.integers(0, 9, int(lengths.sum()))
        return ModelInputs(
            ["tags.values", "tags.lengths"],
            [tags, lengths],
            ["age.values"],
            [rng.random((rows, 2), np.float32)],
        )


def engine(folder: Path, *nodes: onnx_models.Node, **parts: Any) -> Onnx:
    bundle = onnx_models.write(folder, nodes, **{"inputs": [X], "outputs": [("y", FLOAT, None)], **parts})
    return Onnx.load(Bundle.open(bundle))


def double(folder: Path) -> Onnx:
    return engine(folder, ("Add", ["x", "x"], ["y"], {}))


def ask(model: Onnx, *inputs: NDArray[Any]) -> list[Any]:
    return [output.tolist() for output in model.run_tensors(TensorRequest(inputs, {})).outputs]


def test_a_position_is_that_of_the_graph(tmp_path: Path) -> None:
    inputs = [("b", FLOAT, ["n"]), ("a", FLOAT, ["n"])]
    model = engine(tmp_path, ("Sub", ["a", "b"], ["y"], {}), inputs=inputs)

    assert list(model.inputs) == ["b", "a"]
    assert ask(model, np.ones(1, np.float32), np.full(1, 5, np.float32)) == [[4]]


@pytest.mark.parametrize(
    ("x", "why"),
    [
        (np.ones((2, 3)), r"is float64 of shape \(2, 3\)"),
        (np.ones((2, 3), np.int64), r"is int64 of shape \(2, 3\)"),
        (np.ones(3, np.float32), r"is float32 of shape \(3,\)"),
        (np.ones((2, 4), np.float32), r"is float32 of shape \(2, 4\)"),
        (np.ones((), np.float32), r"is float32 of shape \(\)"),
        (np.array([[b"a", b"b", b"c"]], object), r"is text of shape \(1, 3\)"),
    ],
    ids=["type", "integers", "rank", "size", "scalar", "text"],
)
def test_another_tensor_than_the_graph_declares_is_refused_by_name(
    tmp_path: Path, x: NDArray[Any], why: str
) -> None:
    with pytest.raises(RequestError, match=rf"input 'x' {why}; the model reads float32 of shape \(rows, 3\)"):
        ask(double(tmp_path), x)


def test_inputs_that_share_a_size_have_equally_many(tmp_path: Path) -> None:
    inputs = [X, ("bias", FLOAT, ["rows", 1])]
    model = engine(tmp_path, ("Add", ["x", "bias"], ["y"], {}), inputs=inputs)

    with pytest.raises(
        RequestError, match=r"input 'bias' is .* of shape \(1, 1\); .*, and rows is 2 in 'x'"
    ):  # which onnxruntime would broadcast
        ask(model, np.ones((2, 3), np.float32), np.ones((1, 1), np.float32))


def test_any_rank_is_taken_where_the_graph_says_none(tmp_path: Path) -> None:
    model = engine(tmp_path, ("Add", ["x", "x"], ["y"], {}), inputs=[("x", FLOAT, None)])

    assert ask(model, np.ones((1, 1, 2), np.float32)) == [[[[2, 2]]]]
    assert ask(model, np.array(1, np.float32)) == [2]


def test_half_precision_is_widened_and_bools_are_kept(tmp_path: Path) -> None:
    outputs = [("half", HALF, None), ("positive", BOOL, None), ("wide", DOUBLE, None)]
    model = engine(
        tmp_path,
        ("Cast", ["x"], ["half"], {"to": HALF}),
        ("Cast", ["x"], ["positive"], {"to": BOOL}),
        ("Cast", ["x"], ["wide"], {"to": DOUBLE}),
        outputs=outputs,
    )

    result = model.run_tensors(TensorRequest([np.array([[0, 0.5, -2]], np.float32)], {})).named_outputs

    assert [str(array.dtype) for array in result.values()] == ["float32", "bool", "float64"]
    assert result["half"].tolist() == [[0, 0.5, -2]]
    assert result["positive"].tolist() == [[False, True, True]]


@pytest.mark.parametrize("side", ["input", "output"])
def test_text_is_refused_at_load_and_not_when_the_first_request_comes(tmp_path: Path, side: str) -> None:
    of, to = (STRING, FLOAT) if side == "input" else (FLOAT, STRING)

    with pytest.raises(BundleError, match=rf"the model's {side} '[ty]' is tensor\(string\); only tensors of"):
        engine(
            tmp_path,
            ("Cast", ["t"], ["y"], {"to": to}),
            inputs=[("t", of, [3])],
            outputs=[("y", to, None)],
        )


def test_outputs_can_leave_out_what_cannot_be_sent(tmp_path: Path) -> None:
    nodes: list[onnx_models.Node] = [
        ("Cast", ["x"], ["text"], {"to": STRING}),
        ("Add", ["x", "x"], ["y"], {}),
    ]
    outputs = [("text", STRING, None), ("y", FLOAT, None)]
    bundle = Bundle.open(onnx_models.write(tmp_path, nodes, inputs=[X], outputs=outputs))

    assert Onnx.load(bundle, outputs=["y"]).outputs == ("y",)


def test_an_operator_that_onnxruntime_lacks_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        BundleError, match=r"model.onnx is not an ONNX model that loads; .*my.ops:Foo"
    ) as error:
        engine(tmp_path, ("Foo", ["x"], ["y"], {"domain": "my.ops"}))

    assert "\n" not in str(error.value)


@pytest.mark.parametrize("where", ["../secret", "{outside}/secret", "link", "gone"])
def test_weights_outside_of_the_bundle_are_not_read(tmp_path: Path, where: str) -> None:
    outside, bundle = tmp_path, tmp_path / "bundle"
    bundle.mkdir()
    (outside / "secret").write_bytes(np.zeros(3, np.float32).tobytes())
    (bundle / "link").symlink_to(outside / "secret")

    with pytest.raises(BundleError, match="External data path") as error:
        engine(
            bundle,
            ("Add", ["x", "w"], ["y"], {}),
            constants={"w": np.ones(3, np.float32)},
            external=where.format(outside=outside),
        )

    assert "\n" not in str(error.value)


def test_weights_in_a_file_of_the_bundle_are_read(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(np.full(3, 5, np.float32).tobytes())
    model = engine(
        tmp_path,
        ("Add", ["x", "w"], ["y"], {}),
        constants={"w": np.ones(3, np.float32)},
        external="weights",
    )

    assert ask(model, np.zeros((1, 3), np.float32)) == [[[5, 5, 5]]]


def test_a_model_that_throws_is_told_in_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model = engine(
        tmp_path,
        ("Gather", ["w", "x"], ["y"], {}),
        inputs=[("x", INT64, ["n"])],
        constants={"w": np.ones(3, np.float32)},
    )

    with pytest.raises(ModelError, match=r"the model failed: .*indices element out of data bounds") as error:
        ask(model, np.array([7]))

    assert "\n" not in str(error.value)
    assert capfd.readouterr() == ("", "")


def test_no_rows_of_tensors_are_answered_without_the_model(tmp_path: Path) -> None:
    model = double(tmp_path)
    ask(model, np.ones((2, 3), np.float32))

    response = model.run_tensors(TensorRequest([np.ones((0, 3), np.float32)], {}))

    assert response.named_outputs["y"].shape == (0, 3)


@pytest.mark.parametrize("device", ["abacus", "cuda:first", "cpu:0"])
def test_an_unknown_device_is_refused(tmp_path: Path, device: str) -> None:
    double(tmp_path)

    with pytest.raises(ConfigError, match=f"device '{device}' is unknown; use cpu or cuda:0"):
        Onnx.load(Bundle.open(tmp_path), device=device)


def test_a_gpu_is_used_where_there_is_one_and_missed_in_one_line_elsewhere(tmp_path: Path) -> None:
    double(tmp_path)
    bundle = Bundle.open(tmp_path)

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        assert ask(Onnx.load(bundle, device="cuda:0"), np.ones((1, 3), np.float32)) == [[[2, 2, 2]]]
    else:
        with pytest.raises(ConfigError, match=r"device 'cuda' is not there: .*CPUExecutionProvider; use cpu"):
            Onnx.load(bundle, device="cuda")


def test_a_bundle_is_served_in_bypass_with_the_sizes_that_its_graph_declares(tmp_path: Path) -> None:
    double(tmp_path)

    processor = load(Bundle.open(tmp_path), service.load({"name": "rank"}, {}))

    assert isinstance(processor, Bypass)
    [described] = processor.signature().inputs
    assert (described.name, described.shape, described.type) == ("x", (-1, 3), "DT_FLOAT")
    assert processor.predict(processor.sample(4)).named_outputs["y"].shape == (4, 3)
