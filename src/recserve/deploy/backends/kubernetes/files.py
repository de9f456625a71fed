"""Manifests as files of a folder, one for each object."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from recserve.deploy.backends.kubernetes.manifest import yaml_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from recserve.deploy.backends.kubernetes.manifest import Manifest
    from recserve.deploy.backends.kubernetes.render import Rendered

_SHORT = {"PodDisruptionBudget": "pdb", "HorizontalPodAutoscaler": "hpa", "HTTPRoute": "route"}


def files_of(services: Sequence[Rendered], routes: Sequence[Manifest]) -> dict[str, str]:
    """Text by name: `<service>-deployment.yaml`, …"""
    named = [(service.name, one) for service in services for one in service.manifests]
    named += [(one["metadata"]["name"], one) for one in routes]
    return {file_name(owner, one): yaml_of(one) for owner, one in named}


def file_name(owner: str, manifest: Manifest) -> str:
    """Where an object of a service stands."""
    kind = str(manifest["kind"])
    return f"{owner}-{_SHORT.get(kind, kind.lower())}.yaml"


def write_files(folder: Path, files: Mapping[str, str]) -> list[Path]:
    """Write them, for their owner alone: there may be tokens in them."""
    written = []
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            os.fchmod(file.fileno(), 0o600)  # one that was there before
            file.write(text)
        written.append(path)
    return written
