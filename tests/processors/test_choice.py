"""What was compiled is used where it fits and is faster; the service file may say otherwise."""

from __future__ import annotations

import dataclasses
import logging
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from tests.processors import rewritten

from recserve.bundle import Bundle
from recserve.config import service
from recserve.config.model import ModelConfig
from recserve.engines import name_of
from recserve.engines.compiled import Compiled, folder_of
from recserve.errors import BundleError, ConfigError
from recserve.processors.choice import choose
from recserve.processors.load import load, load_engine, load_features, load_model

if TYPE_CHECKING:
    from pathlib import Path

    from recserve.config.service import ServiceSpec


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """An export without INPUT_TILE, and a rewritten model that takes users once."""
    return rewritten.write(tmp_path_factory.mktemp("choice") / "base")


def spec_of(**model_config: Any) -> ServiceSpec:
    return service.load({"model_config": {"fg_mode": "normal", **model_config}}, {})


def copy(bundle: Bundle, folder: Path, **changes: Any) -> Bundle:
    """A copy whose record says something else."""
    shutil.copytree(bundle.path, folder)
    copied = Bundle.open(folder)
    dataclasses.replace(Compiled.read(folder_of(copied)), **changes).write()
    return copied


@pytest.mark.parametrize(
    ("config", "faster", "unfit", "runs"),
    [
        ({}, True, "", "compiled"),
        ({}, False, "", "no: the export was faster"),
        ({}, True, "users differ", "no: users differ"),
        ({"device": "cuda"}, True, "", "no: device is cuda, and compiled models run on the CPU"),
        ({"compiled": "require"}, False, "", "compiled"),
        ({"compiled": "off"}, True, "", "no: model_config.compiled is off"),
        ({"engine": "torchscript"}, True, "", "no: model_config.engine is torchscript"),
    ],
)
def test_the_service_file_the_gate_and_the_requests_decide(
    made: Bundle, tmp_path: Path, *, config: dict[str, str], faster: bool, unfit: str, runs: str
) -> None:
    bundle = copy(made, tmp_path / "bundle", faster=faster)

    chosen = choose(bundle, ModelConfig(**config), unfit=unfit)  # type: ignore[arg-type]

    assert (chosen.engine, chosen.made is not None) == ("torchscript", runs == "compiled")
    assert chosen.told == (
        "rates, torchscript; 0.50 x at 200 rows; probability within 1e-07, relative within 3e-07"
        if runs == "compiled"
        else runs
    )


def test_machine_code_is_what_its_engine_insists_on(made: Bundle, tmp_path: Path) -> None:
    asked = ModelConfig(engine="aotinductor")
    machine_code = copy(made, tmp_path / "bundle", engine="aotinductor", faster=False)

    assert choose(machine_code, asked).engine == "aotinductor"
    assert choose(machine_code, ModelConfig()).made is None
    with pytest.raises(BundleError, match="aotinductor, and what was compiled is run by torchscript"):
        choose(made, asked)


def test_a_record_of_other_users_than_those_of_the_features_is_left_aside(made: Bundle) -> None:
    users = rewritten.USERS

    assert choose(made, ModelConfig(), users=[*users, "tags.values"]).why_not == (
        "fg.json has changed since: whether 'tags.values' is of the user"
    )
    assert choose(made, ModelConfig(), users=[*users, "unread.values"]).made is not None


def test_a_stale_one_is_named_and_left_aside(
    made: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bundle = copy(made, tmp_path / "bundle")
    with bundle.model_path.open("ab") as file:
        file.write(b" ")

    with caplog.at_level(logging.WARNING, "recserve.load"):
        chosen = choose(bundle, ModelConfig())

    assert chosen.made is None
    assert [record.__dict__["reason"] for record in caplog.records] == ["scripted_model.pt has changed since"]


def test_a_broken_record_is_named_and_left_aside(
    made: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bundle = copy(made, tmp_path / "bundle")
    next(bundle.path.rglob("compiled.json")).write_text("{")

    assert choose(bundle, ModelConfig()).made is None
    assert "compiled.json is not JSON" in caplog.records[0].__dict__["reason"]


def test_what_is_asked_for_and_cannot_be_had_is_an_error(made: Bundle, tmp_path: Path) -> None:
    bundle = copy(made, tmp_path / "bundle")
    shutil.rmtree(bundle.path / "compiled")

    for config in ({"engine": "aotinductor"}, {"compiled": "require"}):
        with pytest.raises(BundleError, match=r", and .* is not compiled for .*; run `recserve compile"):
            load(bundle, spec_of(**config))
    with pytest.raises(
        ConfigError, match=r"engine 'onnx' does not run scripted_model\.pt; use auto or torchscript"
    ):
        choose(bundle, ModelConfig(engine="onnx"))


def test_metrics_say_what_runs(made: Bundle) -> None:
    for config, compiled in (({}, "yes"), ({"compiled": "off"}, "no")):
        processor = load(made, spec_of(**config))
        assert processor.info()["engine"] == "torchscript"
        assert processor.info()["compiled"] == compiled
        assert ("recserve_compiled_on" in processor.gauges()) == (compiled == "yes")
        processor.close()


def test_rows_of_several_users_are_left_to_the_export(made: Bundle) -> None:
    batching = service.load(
        {"metadata": {"rpc": {"batching": True}}, "model_config": {"fg_mode": "normal"}}, {}
    )
    features = load_features(made, spec_of())

    together = load_model(made, batching)
    predicted = load_engine(made, spec_of(compiled="require"), features, repeated=True)

    assert together.chosen.why_not == "metadata.rpc.batching puts requests of several users into one call"
    assert together.features is not None
    assert not together.features.plan.tile
    assert name_of(predicted) == "torchscript"
    assert not hasattr(predicted, "figures")


def test_tensors_that_clients_send_as_the_export_reads_them_are_left_to_it(
    made: Bundle, tmp_path: Path
) -> None:
    tiled = rewritten.write(tmp_path / "tile", tile=True)
    bypass = spec_of(fg_mode="bypass")

    assert load_model(tiled, bypass).chosen.made is not None
    assert load_model(made, bypass).chosen.why_not == (
        "clients send the user's features once per item, as this export reads them"
    )
