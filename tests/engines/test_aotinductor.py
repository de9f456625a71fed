"""Compiled models answer as any engine does, and nothing unchecked reaches machine code."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pytest
from tests.engines import models
from tests.engines.contract import EngineContract

from recserve.bundle import Bundle
from recserve.engines.aotinductor import AotInductor
from recserve.engines.compiled import Compiled, Machine
from recserve.engines.engine import tensors
from recserve.engines.torchscript import TorchScript
from recserve.errors import BundleError, ConfigError, ModelError, RequestError
from recserve.messages import TensorRequest

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from tests.compile.bundles import CompiledBundle

    from recserve.columns import ModelInputs


class TestContract(EngineContract):
    name: ClassVar[str] = "aotinductor"
    outputs: ClassVar[tuple[str, ...]] = ("logits", "probs_ctr", "probs_cvr")
    broken_file: ClassVar[str] = "scripted_model.pt"
    many_rows: ClassVar[int] = 400_000

    @pytest.fixture(scope="class")
    @classmethod
    def bundle(cls, compiled_rank: CompiledBundle) -> Bundle:
        return compiled_rank.bundle

    @classmethod
    def inputs(cls, rows: int, seed: int = 0) -> ModelInputs:
        return models.rank_inputs(rows, seed=seed)


class TestTiledContract(TestContract):
    """The same promises with INPUT_TILE: user tensors of one row, and batch_size."""

    @pytest.fixture(scope="class")
    @classmethod
    def bundle(cls, compiled_tile: CompiledBundle) -> Bundle:
        return compiled_tile.bundle

    @classmethod
    def inputs(cls, rows: int, seed: int = 0) -> ModelInputs:
        return models.rank_inputs(rows, tile=True, seed=seed)


@pytest.fixture
def copied(compiled_rank: CompiledBundle, tmp_path: Path) -> CompiledBundle:
    """A compiled bundle that a test may spoil."""
    folder = tmp_path / "copied"
    shutil.copytree(compiled_rank.bundle.path, folder)
    bundle = Bundle.open(folder)
    return type(compiled_rank)(bundle, Compiled.read(folder / "compiled" / Machine.this().key))


@pytest.mark.parametrize("rows", [1, 2, 7, 200])
def test_scores_are_the_originals_within_what_float32_can_tell(
    compiled_rank: CompiledBundle, rows: int
) -> None:
    original, compiled = (
        engine.load(compiled_rank.bundle).run(models.rank_inputs(rows), rows=rows)
        for engine in (TorchScript, AotInductor)
    )

    assert original.keys() == compiled.keys()
    for name, expected in original.items():
        np.testing.assert_allclose(compiled[name], expected, rtol=1e-5, atol=2e-6)


def test_ids_that_no_table_has_score_as_row_0(compiled_rank: CompiledBundle) -> None:
    engine = AotInductor.load(compiled_rank.bundle)
    absent, first = tensors(models.rank_inputs(3)), tensors(models.rank_inputs(3))
    absent["item_id.values"] = np.array([10**9, -7, models.TABLES["item_id"]])
    first["item_id.values"] = np.zeros(3, np.int64)

    result, expected = (engine.run_tensors(TensorRequest([], sent)).named_outputs for sent in (absent, first))

    for name, output in expected.items():
        np.testing.assert_array_equal(result[name], output)
    np.testing.assert_array_equal(absent["item_id.values"], [10**9, -7, models.TABLES["item_id"]])


def test_read_only_and_narrow_tensors_are_taken_too(compiled_rank: CompiledBundle) -> None:
    engine = AotInductor.load(compiled_rank.bundle)
    plain = tensors(models.rank_inputs(4))
    narrow = {
        name: value.astype(np.int32) if value.dtype == np.int64 else value for name, value in plain.items()
    }
    for value in narrow.values():
        value.flags.writeable = False

    result, expected = (engine.run_tensors(TensorRequest([], sent)).named_outputs for sent in (narrow, plain))

    for name, output in expected.items():
        np.testing.assert_array_equal(result[name], output)


SPOILT: dict[str, tuple[str, NDArray[np.generic]]] = {
    "other_type": ("price.values", np.ones((3, 2))),
    "other_rank": ("price.values", np.ones(6, np.float32)),
    "other_width": ("price.values", np.ones((3, 3), np.float32)),
    "fewer_rows": ("price.values", np.ones((2, 2), np.float32)),
    "text": ("price.values", np.array([["a", "b"]] * 3)),
    "floats_for_ids": ("item_id.values", np.ones(3, np.float32)),
    "unsigned": ("item_id.values", np.ones(3, np.uint64)),
    "too_few_ids": ("item_id.values", np.ones(2, np.int64)),
    "negative_lengths": ("item_id.lengths", np.array([3, -1, 1])),
    "more_lengths": ("item_id.lengths", np.ones(4, np.int64)),
    "two_dimensions": ("item_id.lengths", np.ones((3, 1), np.int64)),
}


@pytest.mark.parametrize("case", SPOILT)
def test_tensors_that_do_not_fit_are_refused_by_name(compiled_rank: CompiledBundle, case: str) -> None:
    engine = AotInductor.load(compiled_rank.bundle)
    name, value = SPOILT[case]

    with pytest.raises(RequestError, match=name.partition(".")[0]):
        engine.run_tensors(TensorRequest([], {**tensors(models.rank_inputs(3)), name: value}))


def test_repeated_user_rows_are_refused_under_input_tile(compiled_tile: CompiledBundle) -> None:
    repeated = {**tensors(models.rank_inputs(3)), "batch_size": np.array([1])}

    with pytest.raises(RequestError, match=r"clicks__item_id\.lengths' is int64 of shape"):
        AotInductor.load(compiled_tile.bundle).run_tensors(TensorRequest([], repeated))


HOSTILE = """
import sys
import numpy as np
from recserve.bundle import Bundle
from recserve.columns import ModelInputs
from recserve.engines.aotinductor import AotInductor
from recserve.errors import RecserveError
from recserve.messages import TensorRequest

engine = AotInductor.load(Bundle.open(sys.argv[1]))
random = np.random.default_rng(7)
refused = 0
for turn in range(400):
    sent = {}
    for name in engine.inputs:
        shape = tuple(random.integers(0, 6, random.integers(0, 4)))
        dtype = random.choice(["int64", "int32", "float32", "float64", "uint8", "bool"])
        sent[name] = (random.integers(-3, 9, shape) * 10 ** random.integers(0, 12)).astype(dtype)
    try:
        if turn % 2:
            # As if another plan had generated them: price is one wide and not two.
            ints = {name: value.reshape(-1).astype(np.int64) for name, value in sent.items()}
            del ints["price.values"]
            price = np.ones((3, 1), np.float32)
            engine.run(ModelInputs(list(ints), list(ints.values()), ["price.values"], [price]), rows=3)
        else:
            engine.run_tensors(TensorRequest([], sent))
    except RecserveError:
        refused += 1
print("refused", refused)
"""


def test_random_tensors_never_end_the_process(compiled_rank: CompiledBundle) -> None:
    result = subprocess.run(
        [sys.executable, "-c", HOSTILE, str(compiled_rank.bundle.path)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 0, result.stderr[-2000:]
    assert int(result.stdout.split()[-1]) >= 390


def test_a_model_that_changed_since_is_refused(copied: CompiledBundle) -> None:
    models.write(copied.bundle.path, models.Rank(tile=True), traced=True)

    with pytest.raises(BundleError, match=r"scripted_model.pt has changed since; run `recserve compile"):
        AotInductor.load(copied.bundle)


def test_what_was_compiled_elsewhere_is_named(copied: CompiledBundle) -> None:
    copied.made.folder.rename(copied.made.folder.with_name("riscv64-plain-0-torch9"))

    with pytest.raises(BundleError, match=r"is not compiled for .* \(it is for riscv64-plain-0-torch9\)"):
        AotInductor.load(copied.bundle)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("processor", "vax-780", "compiled on vax-780"),
        ("versions", {"torch": "1.0"}, "compiled with torch 1.0, not torch"),
    ],
)
def test_a_copy_from_another_machine_is_refused(
    copied: CompiledBundle, key: str, value: object, message: str
) -> None:
    path = copied.made.folder / "compiled.json"
    content = json.loads(path.read_text())
    content["machine"][key] = value
    path.write_text(json.dumps(content))

    with pytest.raises(BundleError, match=message):
        AotInductor.load(copied.bundle)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"engine": 1, "machine": []}'])
def test_a_record_that_is_none_is_one_clear_line(copied: CompiledBundle, text: str) -> None:
    (copied.made.folder / "compiled.json").write_text(text)

    with pytest.raises(BundleError, match=r"compiled\.json") as error:
        AotInductor.load(copied.bundle)

    assert "\n" not in str(error.value)


def test_a_runner_that_does_not_load_is_one_clear_line(copied: CompiledBundle) -> None:
    (copied.made.folder / "torch_runner.so").write_bytes(b"no library")

    with pytest.raises(
        BundleError, match=r"torch_runner\.so does not load: .*; run `recserve compile` again"
    ):
        AotInductor.load(copied.bundle)


def test_a_package_that_does_not_load_is_one_clear_line(copied: CompiledBundle) -> None:
    shutil.rmtree(copied.made.folder / "package")

    with pytest.raises(BundleError, match=r"package does not load: .*; run `recserve compile` again"):
        AotInductor.load(copied.bundle)


def test_a_gpu_is_refused(compiled_rank: CompiledBundle) -> None:
    with pytest.raises(ConfigError, match="device 'cuda': compiled models run on the CPU"):
        AotInductor.load(compiled_rank.bundle, device="cuda")


def test_generated_inputs_of_another_plan_are_an_error_and_no_crash(compiled_rank: CompiledBundle) -> None:
    engine = AotInductor.load(compiled_rank.bundle)
    inputs = models.rank_inputs(3)
    engine.run(inputs, rows=3)

    with pytest.raises(ModelError, match="size"):
        engine.run(models.rank_inputs(3, tile=True), rows=1)
