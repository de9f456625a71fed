"""Exports that TorchEasyRec compiled itself (ENABLE_AOT): the whole model, or its second half."""

from __future__ import annotations

import json
import shutil
import zipfile
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pytest
import torch
from tests.compile.bundles import features_of, write_rank
from tests.engines import models
from tests.engines.contract import EngineContract
from typer.testing import CliRunner

from recserve.bundle import Bundle
from recserve.cli.app import app
from recserve.compile import interpreter
from recserve.compile.export import export, for_all_sizes
from recserve.compile.package import OPTIONS
from recserve.compile.requests import Requests
from recserve.engines.aot_export import AotExport
from recserve.engines.engine import tensors
from recserve.engines.torchscript import TorchScript, load_script
from recserve.errors import BundleError, ConfigError, RequestError
from recserve.messages import TensorRequest

if TYPE_CHECKING:
    from pathlib import Path

    from recserve.columns import ModelInputs


NAMES = sorted(tensors(models.rank_inputs(1)))


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of ENABLE_AOT=2, as its exporter lays it out, with the runner of `recserve compile`."""
    folder = tmp_path_factory.mktemp("exports") / "whole"
    original = write_rank(folder.with_name("original"))
    example = Requests(features_of(original), NAMES).example(20)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(interpreter, "_LOOK_UPS", {})  # tables are part of the package there
        exported = export(load_script(original.model_path), example)
    package = folder / "aoti" / "aoti_model.pt2"
    package.parent.mkdir(parents=True)
    with for_all_sizes():
        torch._inductor.aoti_compile_and_package(
            exported.program, package_path=str(package), inductor_configs=dict(OPTIONS)
        )
    result = CliRunner().invoke(app, ["compile", str(folder)])
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture(scope="session")
def halves(whole: Path) -> Path:
    """A bundle of ENABLE_AOT=1."""
    folder = whole.with_name("halves")
    shutil.copytree(whole, folder)
    (models.write(folder, models.HandsOn(), traced=True) / "scripted_model.pt").rename(
        folder / "scripted_sparse_model.pt"
    )
    return folder


class TestWhole(EngineContract):
    name: ClassVar[str] = "aot_export"
    outputs: ClassVar[tuple[str, ...]] = ("logits", "probs_ctr", "probs_cvr")
    broken_file: ClassVar[str] = "aoti/aoti_model.pt2"
    many_rows: ClassVar[int] = 400_000

    @pytest.fixture(scope="class")
    @classmethod
    def bundle(cls, whole: Path) -> Bundle:
        return Bundle.open(whole)

    @classmethod
    def inputs(cls, rows: int, seed: int = 0) -> ModelInputs:
        return models.rank_inputs(rows, seed=seed)


class TestHalves(TestWhole):
    """The same promises of a model in two halves."""

    @pytest.fixture(scope="class")
    @classmethod
    def bundle(cls, halves: Path) -> Bundle:
        return Bundle.open(halves)


@pytest.mark.parametrize("layout", ["whole", "halves"])
@pytest.mark.parametrize("rows", [1, 7])
def test_scores_are_those_of_the_export_that_is_not_compiled(
    request: pytest.FixtureRequest, whole: Path, layout: str, rows: int
) -> None:
    engine = AotExport.load(Bundle.open(request.getfixturevalue(layout)))
    original = TorchScript.load(Bundle.open(whole.with_name("original")))

    result, expected = (engine.run(models.rank_inputs(rows), rows=rows) for engine in (engine, original))

    assert result.keys() == expected.keys()
    for name, output in expected.items():
        np.testing.assert_allclose(result[name], output, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("item_id.lengths", np.ones(3, np.uint8)),
        ("item_id.values", np.ones(3, np.float32)),
        ("item_id.values", np.ones((3, 1), np.int64)),
        ("price.values", np.ones((3, 2))),
        ("price.values", np.ones(6, np.float32)),
    ],
)
def test_types_and_ranks_that_do_not_fit_are_refused_by_name(
    whole: Path, name: str, value: np.ndarray
) -> None:
    with pytest.raises(RequestError, match=f"input '{name}' is"):
        AotExport.load(Bundle.open(whole)).run_tensors(
            TensorRequest([], {**tensors(models.rank_inputs(3)), name: value})
        )


def spoilt(whole: Path, folder: Path, **metadata: str) -> Bundle:
    """A copy whose package says that it was made elsewhere."""
    shutil.copytree(whole, folder)
    package = folder / "aoti" / "aoti_model.pt2"
    with (
        zipfile.ZipFile(whole / "aoti" / "aoti_model.pt2") as source,
        zipfile.ZipFile(package, "w") as target,
    ):
        for name in source.namelist():
            content = source.read(name)
            if name.endswith("_metadata.json"):
                content = json.dumps(json.loads(content) | metadata).encode()
            target.writestr(name, content)
    return Bundle.open(folder)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (
            {"AOTI_DEVICE_KEY": "cuda", "AOTI_COMPUTE_CAPABILITY": "90"},
            "is compiled for cuda 90, and this is a CPU; export without ENABLE_AOT",
        ),
        ({"AOTI_MACHINE": "riscv64"}, "is compiled for riscv64, and this is .*; export it on this machine"),
    ],
)
def test_a_package_for_another_machine_is_refused_by_name(
    whole: Path, tmp_path: Path, metadata: dict[str, str], message: str
) -> None:
    with pytest.raises(BundleError, match=message):
        AotExport.load(spoilt(whole, tmp_path / "copy", **metadata))


def test_without_its_runner_it_says_how_to_build_it(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy" / "compiled")

    with pytest.raises(BundleError, match=r"has no runner for .*; run `recserve compile"):
        AotExport.load(Bundle.open(tmp_path / "copy"))


def test_a_gpu_is_refused(whole: Path) -> None:
    with pytest.raises(ConfigError, match="device 'cuda': compiled models run on the CPU"):
        AotExport.load(Bundle.open(whole), device="cuda")
