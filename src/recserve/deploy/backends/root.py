"""The folder of one instance: what it is given, where it finds it, and what it writes.

<root>/order.json     what was ordered (0600): who adopts it reads this
<root>/process.json   which process it is
<root>/log, log.1     what it writes
<root>/mnt/…          its mounts, as links: /eas/workspace/model is <root>/mnt/eas/workspace/model
<root>/…              the order's files (0600)

Where mount namespaces may be made (root on Linux), a mount is at its own path for the instance alone; the
folders that it is mounted on are made on the machine, and stay, empty. Elsewhere the paths of mounts are
replaced by those of the links, in the command, the variables and the files: code that has such a path
written into it then does not find it, and reads `EAS_MOUNT_<n>` or is told by a variable.
"""

from __future__ import annotations

import functools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recserve.config.environment import process_environ
from recserve.deploy.backends.backend import Mount, Order, Probe, Repository, Resources
from recserve.errors import RecserveError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: A variable by which every process of an instance is known, whatever has become of its parents.
MARK = "RECSERVE_INSTANCE_FOLDER"
_OURS = ("order.json", "process.json", "log", "log.1", "mnt")


class PrepareError(RecserveError):
    """What an instance is to find cannot be put there."""


class Root:
    """One instance's folder."""

    def __init__(self, path: Path, order: Order) -> None:
        self.path = path
        self.order = order
        self.log = path / "log"
        self._moved = not mounts_are_possible()

    @classmethod
    def found(cls, path: Path) -> Root | None:
        """That of an instance of an earlier control plane; None if it is not whole."""
        try:
            return cls(path, _order(json.loads((path / "order.json").read_text())))
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def prepare(self) -> None:
        """Make the folder, with everything that does not depend on the port."""
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        for mount in self.order.mounts:
            link = self.inside(mount.path)
            link.parent.mkdir(parents=True, exist_ok=True)
            if mount.source:
                if not os.path.exists(mount.source):
                    raise PrepareError(f"mount {mount.path}: {mount.source} does not exist on this machine")
                link.unlink(missing_ok=True)
                link.symlink_to(mount.source)
            else:
                link.mkdir(exist_ok=True)
        write(self.path / "order.json", json.dumps(asdict(self.order)))

    def inside(self, path: str) -> Path:
        """Where a path of a mount is in the folder."""
        clean = os.path.normpath("/" + path.strip("/"))  # no way out: "/../x" is "/x"
        return self.path / "mnt" / clean.lstrip("/")

    def where(self, path: str) -> Path:
        """Where the instance finds a path: below a mount, in the folder, or on the machine."""
        for mount in self.order.mounts:
            below = os.path.relpath(path, mount.path)
            if not below.startswith(".."):
                return (Path(mount.source) if mount.source else self.inside(mount.path)) / below
        return self.path / path

    def command(self, chosen: Mapping[str, str]) -> list[str]:
        """What to execute, its placeholders filled."""
        order = self.order
        if order.script:
            command = ["/bin/sh", "-c", self.moved(order.script)]
        else:
            command = [self.moved(_filled(part, chosen)) for part in order.command]
        mounted = [mount for mount in order.mounts if not self._moved]
        return (
            ["unshare", "--mount", "/bin/sh", "-ec", self._mounting(mounted), "sh", *command]
            if mounted
            else command
        )

    def environment(self, chosen: Mapping[str, str]) -> dict[str, str]:
        """Its variables: those of this process, the order's, and what it needs to know of its place."""
        inherited = process_environ()
        if "PYTHONPATH" in inherited:  # it starts in another folder
            parts = (str(Path(part).absolute()) for part in inherited["PYTHONPATH"].split(os.pathsep) if part)
            inherited["PYTHONPATH"] = os.pathsep.join(parts)
        for secret in ("RECSERVE_TOKEN", "RECSERVE_ALLOCATOR", "LD_PRELOAD"):
            inherited.pop(secret, None)
        path = os.pathsep.join([str(Path(chosen["python"]).parent), inherited.get("PATH", os.defpath)])
        own = {name: self.moved(value) for name, value in self.order.environment.items()}
        mounts = {f"EAS_MOUNT_{k}": str(self.where(mount.path)) for k, mount in enumerate(self.order.mounts)}
        instance = {
            "LISTENING_PORT": chosen["port"],
            "RECSERVE_INSTANCE": self.order.instance,
            MARK: str(self.path),
        }
        return {**inherited, "PATH": path, "PYTHONUNBUFFERED": "1", **mounts, **own, **instance}

    def workdir(self) -> Path:
        """Where it starts."""
        return self.where(self.order.workdir) if self.order.workdir else self.path

    def write_files(self) -> None:
        """Write the order's files."""
        for name, text in self.order.files.items():
            path = self.path / name
            if name in _OURS or Path(os.path.normpath(name)).is_absolute() or ".." in Path(name).parts:
                raise PrepareError(f"{name!r} is no name for a file of an instance")
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write(path, self.moved(text))

    def moved(self, text: str) -> str:
        """Where mounts cannot be made: with where they are instead of where they should be."""
        if not self._moved:
            return text
        for mount in sorted(self.order.mounts, key=lambda one: -len(one.path)):
            path = mount.path.rstrip("/")
            if path:
                instead = str(self.inside(path)).replace("\\", r"\\")
                text = re.sub(rf"(?<![\w./-]){re.escape(path)}(?![\w.-])", instead, text)
        return text

    def remove(self) -> None:
        """Take everything away but the log."""
        cleared(self.path)

    def _mounting(self, mounts: Sequence[Mount]) -> str:
        """A script that mounts, in a namespace of its own, and then becomes the command."""
        lines = ["mount --make-rprivate /"]
        for mount in mounts:
            at = shlex.quote(os.path.normpath("/" + mount.path.strip("/")))
            source = shlex.quote(str(self.inside(mount.path).resolve()))
            if mount.memory_gb:
                lines += [f"mkdir -p {at}", f"mount -t tmpfs -o size={mount.memory_gb}g tmpfs {at}"]
                continue
            made = f"mkdir -p {at}" if Path(mount.source or "/").is_dir() else f"touch {at}"
            lines += [f"[ -e {at} ] || {made}", f"mount --bind {source} {at}"]
            if mount.read_only:
                lines.append(f"mount -o remount,bind,ro {at}")
        return "\n".join([*lines, 'exec "$@"'])


def cleared(folder: Path) -> None:
    """Take away everything of an instance but its log; the order first, so that nobody begins it again."""
    (folder / "order.json").unlink(missing_ok=True)
    for entry in folder.iterdir() if folder.exists() else ():
        if entry.name in ("log", "log.1"):
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)  # links in it are not followed
        else:
            entry.unlink(missing_ok=True)


def _filled(part: str, chosen: Mapping[str, str]) -> str:
    for name, value in chosen.items():
        part = part.replace(f"{{{name}}}", value)
    return part


@functools.cache
def mounts_are_possible() -> bool:
    """Whether this process may give another one mounts of its own."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    tried = subprocess.run(
        ["unshare", "--mount", "mount", "--make-rprivate", "/"], capture_output=True, check=False, timeout=10
    )
    return tried.returncode == 0


def write(path: Path, text: str) -> None:
    """Whole or not at all, and only for its owner."""
    new = path.with_name(f"{path.name}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    new.replace(path)


def _mount(values: dict[str, Any]) -> Mount:
    repository = values.pop("repository", None)  # an order of an earlier release has none
    return Mount(**values, repository=Repository(**repository) if repository else None)


def _order(values: dict[str, Any]) -> Order:
    startup = values.pop("startup")
    return Order(
        **{
            **values,
            "command": tuple(values["command"]),
            "requirements": tuple(values["requirements"]),
            "mounts": tuple(_mount(mount) for mount in values["mounts"]),
            "resources": Resources(**values["resources"]),
            "readiness": Probe(**values["readiness"]),
            "startup": Probe(**startup) if startup else None,
        }
    )
