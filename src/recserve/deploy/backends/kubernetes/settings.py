"""What a cluster has and a service document does not say: image, gateway, where directories are."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from recserve import __version__
from recserve.deploy.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: What the Dockerfile of this repository is built as; a cluster pulls it from a registry of its own.
IMAGE = f"recserve:{__version__}"

_CLAIM = re.compile(r"pvc:(?P<claim>[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?)(?P<below>/.*)?")
_NFS = re.compile(r"nfs:(?P<server>[A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9a-fA-F:]+\]):(?P<path>/.*)")


@dataclass(frozen=True, slots=True)
class Settings:
    """See above."""

    namespace: str = "default"
    image: str = IMAGE  # of services that name none
    volumes: Mapping[str, str] = field(
        default_factory=dict
    )  # directory → pvc:claim[/below], nfs:server:/path
    gateway: str = "recserve"  # the Gateway that HTTPRoutes attach to
    port: int = 8000  # where apps listen that ask LISTENING_PORT: a pod has an address of its own
    gpu: str = "nvidia.com/gpu"  # what a card is called
    pool: str = "recserve/pool"  # the label of nodes whose value is their pool

    def volume(self, directory: str) -> tuple[dict[str, Any], str]:
        """What has a directory, and the path below it; the longest entry that fits wins.

        Ours: without an entry, the directory is on every node, at its own path.
        """
        fitting = [name for name in self.volumes if _is_below(directory, name)]
        if not fitting:
            return {"hostPath": {"path": directory}}, ""
        prefix = max(fitting, key=len)
        below = os.path.relpath(directory, prefix)
        below = "" if below == "." else below
        where = self.volumes[prefix]
        if claim := _CLAIM.fullmatch(where):
            start = (claim["below"] or "").strip("/")
            return {"persistentVolumeClaim": {"claimName": claim["claim"]}}, os.path.join(start, below)
        nfs = _NFS.fullmatch(where)
        assert nfs is not None
        return {
            "nfs": {"server": nfs["server"], "path": os.path.normpath(os.path.join(nfs["path"], below))}
        }, ""


def volumes_of(entries: Sequence[str]) -> dict[str, str]:
    """`["/data/models=pvc:models", …]`, as the option --volume takes them."""
    result = {}
    for entry in entries:
        directory, _, where = entry.partition("=")
        clean = os.path.normpath(directory)
        known = _CLAIM.fullmatch(where) or _NFS.fullmatch(where)
        if not directory.startswith("/") or known is None or ".." in where.split("/"):
            raise RefusedError(
                [f"--volume {entry!r}; /a/directory=pvc:claim[/below] or …=nfs:server:/path is expected"]
            )
        result[clean] = where
    return result


def _is_below(directory: str, prefix: str) -> bool:
    return directory == prefix or directory.startswith(prefix.rstrip("/") + "/")
