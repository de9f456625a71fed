"""The runtimes that there are: a catalogue in files, no registry is asked.

images.toml beside this file has what recserve ships; <home>/images.toml adds to it, in the same form:

[[image]]
name = "ours-pytorch-inference"           # of its entry
uri = "registry.local/ours:2.13"          # env://…: the control plane's own Python
framework = "PyTorch"
version = "2.13"
scope = "inference"                       # training, inference or develop
accelerator = "CPU"                       # or GPU
python = "3.11"
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

from recserve.sdk.exception import PAIException
from recserve.sdk.session import Session, get_default_session

if TYPE_CHECKING:
    from pathlib import Path

FRAMEWORKS = (
    "DeepRec",
    "DeepSpeed",
    "Megatron-LM",
    "ModelScope",
    "Nemo",
    "OneFlow",
    "PyTorch",
    "TensorFlow",
    "Transformers",
    "XGBoost",
)
_KEYS = {"name", "uri", "framework", "version", "scope", "accelerator", "python"}


class ImageScope:
    """What an image is for; letters count alike."""

    TRAINING = "training"
    INFERENCE = "inference"
    DEVELOP = "develop"

    @classmethod
    def to_image_label(cls, scope: str) -> str:
        """The scope in small letters; ValueError if there is none such."""
        found = str(scope).lower()
        known = (cls.TRAINING, cls.INFERENCE, cls.DEVELOP)
        if found not in known:
            raise ValueError(f"image_scope is {scope!r}; known are {', '.join(known)}")
        return found


@dataclass(frozen=True)
class ImageInfo:
    """One entry of the catalogue."""

    image_name: str
    image_uri: str
    framework_name: str
    image_scope: str
    framework_version: str | None = None
    accelerator_type: str | None = None
    python_version: str | None = None


def retrieve(
    framework_name: str,
    framework_version: str,
    accelerator_type: str | None = "CPU",
    image_scope: str = ImageScope.TRAINING,
    session: Session | None = None,
) -> ImageInfo:
    """The image of a framework at a version, "latest" being the highest.

    Raises ValueError for what is no framework, accelerator or scope, RuntimeError naming the versions that
    there are if this one is not among them.
    """
    framework = next((one for one in FRAMEWORKS if one.lower() == framework_name.lower()), None)
    if framework is None:
        raise ValueError(f"framework {framework_name!r} is not known; known are {', '.join(FRAMEWORKS)}")
    accelerator = (accelerator_type or "CPU").upper()
    if accelerator not in ("CPU", "GPU"):
        raise ValueError(f"accelerator_type is {accelerator_type!r}; CPU or GPU is expected")
    found = [
        one for one in list_images(framework, session, image_scope) if one.accelerator_type == accelerator
    ]
    if not found:
        own = (session or get_default_session()).home / "images.toml"
        raise RuntimeError(
            f"no {image_scope} image of {framework} for {accelerator} is in the catalogue; name one in {own}"
        )
    if framework_version == "latest":
        return found[0]
    for one in found:
        if one.framework_version == framework_version:
            return one
    versions = ", ".join(str(one.framework_version) for one in found)
    raise RuntimeError(
        f"{framework} {framework_version} for {accelerator} is not in the catalogue; there are: {versions}"
    )


def list_images(
    framework_name: str | None = None,
    session: Session | None = None,
    image_scope: str = ImageScope.TRAINING,
) -> list[ImageInfo]:
    """The images of a framework, or of all, newest first."""
    scope = ImageScope.to_image_label(image_scope)
    wanted = (framework_name or "").strip().lower()
    found = [
        one
        for one in _catalogue((session or get_default_session()).home / "images.toml")
        if one.image_scope == scope and (not wanted or one.framework_name.lower() == wanted)
    ]
    return sorted(found, key=lambda one: _version(one.framework_version), reverse=True)


def _catalogue(own: Path) -> list[ImageInfo]:
    """The user's first: sorted by version, of two alike theirs comes first."""
    shipped = resources.files("recserve.sdk").joinpath("images.toml").read_text(encoding="utf-8")
    try:
        return [*_images(own.read_text(encoding="utf-8"), str(own)), *_images(shipped, "images.toml")]
    except FileNotFoundError:
        return _images(shipped, "images.toml")


def _images(text: str, where: str) -> list[ImageInfo]:
    try:
        entries: Any = tomllib.loads(text).get("image", [])
        return [_image(entry) for entry in entries]
    except (tomllib.TOMLDecodeError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise PAIException(f"{where} is no catalogue of images: {error}") from error


def _image(entry: dict[str, Any]) -> ImageInfo:
    unknown = sorted(set(entry) - _KEYS)
    if unknown:
        raise ValueError(f"unknown keys {', '.join(unknown)}; known are {', '.join(sorted(_KEYS))}")
    return ImageInfo(
        image_name=entry["name"],
        image_uri=entry["uri"],
        framework_name=entry["framework"],
        image_scope=ImageScope.to_image_label(entry["scope"]),
        framework_version=entry.get("version"),
        accelerator_type=str(entry.get("accelerator", "CPU")).upper(),
        python_version=entry.get("python"),
    )


def _version(text: str | None) -> tuple[int, ...]:
    """Numbers for comparing; what is none is 0."""
    found = re.match(r"\d+(\.\d+)*", text or "")
    parts = tuple(int(part) for part in found.group().split(".")) if found else ()
    return (*parts, 0, 0, 0)[: max(3, len(parts))]
