"""What a machine and its environment bring: Python, the native core, processors, memory, the allocator."""

from __future__ import annotations

import platform
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from recserve.errors import LoadError

if TYPE_CHECKING:
    from collections.abc import Callable

_LEAST_PYTHON = (3, 11)
_CGROUP = Path("/sys/fs/cgroup")


def python() -> tuple[None, str]:
    """The interpreter is one that we know."""
    version = platform.python_version()
    if sys.version_info[:2] < _LEAST_PYTHON:
        raise LoadError(f"{version} is too old; mend it: python3.11 -m venv .venv")
    return None, f"{version}, {platform.system()} {platform.machine()}"


def native_core() -> tuple[None, str]:
    """The compiled half loads, and hashes as it must."""
    try:
        from recserve import _core
    except ImportError as error:
        raise LoadError(f"{error}; mend it: pip install --force-reinstall recserve") from error
    if _core.murmur64a("abc") != 0x32D82BF8ED3DBA39:
        raise LoadError("it computes wrong hashes; mend it: pip install --force-reinstall recserve")
    return None, Path(str(_core.__file__)).name


def available_bytes() -> int:
    """Memory that can still be had: of the machine, or of the container where that is less; 0: unknown."""
    free = re.search(r"^MemAvailable:\s+(\d+) kB", _read(Path("/proc/meminfo")), re.MULTILINE)
    of_machine = int(free[1]) * 1024 if free else 0
    most, used = _read(_CGROUP / "memory.max").strip(), _read(_CGROUP / "memory.current").strip()
    if not most.isdigit() or not used.isdigit():
        return of_machine
    of_container = max(0, int(most) - int(used))
    return min(of_machine, of_container) if of_machine else of_container


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


#: What is checked on every machine, in order.
CHECKS: dict[str, Callable[[], tuple[None, str]]] = {"python": python, "native core": native_core}
