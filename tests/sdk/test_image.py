from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from recserve.sdk.exception import PAIException
from recserve.sdk.image import FRAMEWORKS, ImageScope, list_images, retrieve
from recserve.sdk.session import Session

if TYPE_CHECKING:
    from pathlib import Path

OWN = """
[[image]]
name = "ours"
uri = "registry.local/ours:2.14"
framework = "PyTorch"
version = "2.14.0rc1"
scope = "Inference"
python = "3.12"
"""


@pytest.fixture
def idle(tmp_path: Path) -> Session:
    return Session(home_folder=tmp_path)


def test_images_are_listed_newest_first(idle: Session) -> None:
    found = list_images("pytorch", idle, ImageScope.INFERENCE)

    assert [one.framework_version for one in found] == ["2.13", "2.13", "1.12", "1.12"]
    assert list_images(session=idle, image_scope="Inference") == found
    assert {one.image_scope for one in list_images(" ", idle)} == {"training"}
    assert list_images("XGBoost", idle) == []


def test_the_users_own_images_are_found_too(idle: Session) -> None:
    (idle.home / "images.toml").write_text(OWN)

    found = retrieve("PyTorch", "latest", image_scope=ImageScope.INFERENCE, session=idle)

    assert (found.image_uri, found.python_version, found.accelerator_type) == (
        "registry.local/ours:2.14",
        "3.12",
        "CPU",
    )


def test_an_exact_version_is_retrieved(idle: Session) -> None:
    cpu = retrieve("pytorch", "1.12", None, "INFERENCE", idle)
    gpu = retrieve("pytorch", "1.12", "gpu", "inference", idle)

    assert (cpu.image_uri, gpu.image_uri) == ("env://pytorch-1.12", "env://pytorch-1.12-gpu")


@pytest.mark.parametrize(
    ("wrong", "kind", "message"),
    [
        ({"framework_name": "Torch"}, ValueError, "DeepRec"),
        ({"accelerator_type": "TPU"}, ValueError, "CPU or GPU"),
        ({"image_scope": "serving"}, ValueError, "training, inference, develop"),
        ({"framework_version": "0.1"}, RuntimeError, "there are: 2.13, 1.12"),
        ({"framework_name": "DeepRec"}, RuntimeError, "no inference image of DeepRec"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(
    idle: Session, wrong: dict[str, Any], kind: type[Exception], message: str
) -> None:
    wanted = {"framework_name": "PyTorch", "framework_version": "latest", "image_scope": "inference"}

    with pytest.raises(kind, match=message):
        retrieve(**{**wanted, **wrong}, session=idle)


@pytest.mark.parametrize(
    ("text", "message"),
    [("[[image]", "catalogue"), ('[[image]]\nname = "x"', "uri"), (OWN + 'size = "2"', "unknown keys size")],
)
def test_a_broken_catalogue_is_told_by_its_file(idle: Session, text: str, message: str) -> None:
    (idle.home / "images.toml").write_text(text)

    with pytest.raises(PAIException, match=message) as raised:
        list_images("PyTorch", idle)
    assert str(idle.home / "images.toml") in str(raised.value)


def test_frameworks_are_those_of_the_hosted_catalogue() -> None:
    assert len(FRAMEWORKS) == 10
