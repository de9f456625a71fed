"""What was compiled is used where it fits and is faster; the service file may say otherwise."""

from __future__ import annotations

import dataclasses
import logging
import shutil
from typing import TYPE_CHECKING

import pytest

from recserve.bundle import Bundle
from recserve.config import service
from recserve.engines import name_of
from recserve.engines.compiled import Compiled, Machine
from recserve.errors import BundleError, ConfigError
from recserve.processors.choice import engine_for
from recserve.processors.load import load, load_engine, load_features

if TYPE_CHECKING:
    from pathlib import Path

    from tests.compile.bundles import CompiledBundle


def copy(compiled: CompiledBundle, folder: Path, *, faster: bool = True) -> Bundle:
    """A copy with the verdict that a test wants."""
    shutil.copytree(compiled.bundle.path, folder)
    made = Compiled.read(folder / "compiled" / Machine.this().key)
    dataclasses.replace(made, faster=faster).write()
    return Bundle.open(folder)


@pytest.mark.parametrize(
    ("wanted", "faster", "device", "repeats", "chosen"),
    [
        ("auto", True, "cpu", False, "aotinductor"),
        ("auto", False, "cpu", False, "torchscript"),
        ("auto", True, "cuda", False, "torchscript"),
        ("auto", True, "cpu", True, "torchscript"),
        ("torchscript", True, "cpu", False, "torchscript"),
        ("aotinductor", False, "cpu", False, "aotinductor"),
    ],
)
def test_the_service_file_the_gate_and_the_requests_decide(
    compiled_rank: CompiledBundle,
    tmp_path: Path,
    *,
    wanted: str,
    faster: bool,
    device: str,
    repeats: bool,
    chosen: str,
) -> None:
    bundle = copy(compiled_rank, tmp_path / "bundle", faster=faster)

    assert engine_for(bundle, wanted, device=device, repeats=repeats) == chosen


def test_a_stale_one_is_named_and_left_aside(
    compiled_rank: CompiledBundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bundle = copy(compiled_rank, tmp_path / "bundle")
    with bundle.model_path.open("ab") as file:
        file.write(b" ")

    with caplog.at_level(logging.WARNING, "recserve.load"):
        chosen = engine_for(bundle, "auto", device="cpu", repeats=False)

    assert chosen == "torchscript"
    assert [record.__dict__["reason"] for record in caplog.records] == ["scripted_model.pt has changed since"]


def test_a_broken_record_is_named_and_left_aside(
    compiled_rank: CompiledBundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bundle = copy(compiled_rank, tmp_path / "bundle")
    next(bundle.path.rglob("compiled.json")).write_text("{")

    assert engine_for(bundle, "auto", device="cpu", repeats=False) == "torchscript"
    assert "compiled.json is not JSON" in caplog.records[0].__dict__["reason"]


def test_an_engine_that_is_asked_for_and_cannot_be_had_is_an_error(
    compiled_rank: CompiledBundle, tmp_path: Path
) -> None:
    bundle = copy(compiled_rank, tmp_path / "bundle")
    shutil.rmtree(bundle.path / "compiled")
    spec = service.load({"model_config": {"engine": "aotinductor"}}, {})

    with pytest.raises(BundleError, match=r"is not compiled for .*; run `recserve compile"):
        load_engine(bundle, spec, None)
    with pytest.raises(
        ConfigError, match=r"engine 'onnx' does not run scripted_model\.pt; use auto or torchscript"
    ):
        engine_for(bundle, "onnx", device="cpu", repeats=False)


def test_metrics_say_what_runs(compiled_rank: CompiledBundle, tmp_path: Path) -> None:
    bundle = copy(compiled_rank, tmp_path / "bundle")

    for engine, running in (("auto", "aotinductor"), ("torchscript", "torchscript")):
        processor = load(bundle, service.load({"model_config": {"engine": engine, "fg_mode": "normal"}}, {}))
        assert processor.info()["engine"] == running
        processor.close()


def test_joined_rows_of_a_tiled_model_are_left_to_the_export(
    compiled_tile: CompiledBundle, tmp_path: Path
) -> None:
    bundle, spec = copy(compiled_tile, tmp_path / "bundle"), service.load({}, {})
    features = load_features(bundle, spec)

    assert name_of(load_engine(bundle, spec, features)) == "aotinductor"
    assert name_of(load_engine(bundle, spec, features, repeated=True)) == "torchscript"
    assert name_of(load_engine(bundle, spec, None)) == "torchscript"
