"""Which allocator a process has for the large buffers that come and go with requests: chosen when it starts.

glibc's own needs to be told to keep what it frees; another one is laid over it by the loader (LD_PRELOAD),
which only happens to a process that begins: `relaunch` begins this one again, once.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from recserve.cores import cores

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

#: Names by which distributions install them, the leanest first.
LIBRARIES = {
    "tcmalloc": ("libtcmalloc_minimal.so.4", "libtcmalloc.so.4"),
    "jemalloc": ("libjemalloc.so.2",),
}
#: Which package of Debian and Ubuntu has the library.
PACKAGES = {"tcmalloc": "libtcmalloc-minimal4", "jemalloc": "libjemalloc2"}
_FOLDERS = ("/usr/local/lib", "/usr/lib64", "/lib64", "/usr/lib", "/lib")
_PRELOAD = "LD_PRELOAD"
_LAUNCHED = "RECSERVE_ALLOCATOR"  # set for the process that was begun again, so that it is the last


def relaunch(names: Sequence[str], environ: Mapping[str, str]) -> None:
    """Begin this process again with the first of the allocators that is installed; glibc always is.

    Returns where there is nothing to do: glibc is the first, somebody has preloaded one, or this is the
    process that was begun again. `environ` are its variables.
    """
    chosen = first_installed(names)
    library = find(chosen)
    if library is None or laid_over() or _LAUNCHED in environ or not sys.platform.startswith("linux"):
        return
    preload = os.pathsep.join(filter(None, (str(library), environ.get(_PRELOAD))))
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(
        sys.executable,
        [sys.executable, *sys.orig_argv[1:]],
        {**environ, _PRELOAD: preload, _LAUNCHED: chosen},
    )


def first_installed(names: Sequence[str]) -> str:
    """Which of the allocators a process gets."""
    return next((name for name in names if find(name)), "glibc")


def find(name: str, folders: Iterable[Path] | None = None) -> Path | None:
    """The library of an allocator, where it is installed: by the system, by conda, or by hand."""
    for folder in _library_folders() if folders is None else folders:
        for file in LIBRARIES.get(name, ()):
            if (folder / file).exists():
                return folder / file
    return None


def described(names: Sequence[str]) -> str:
    """What this process has of the allocators that it may have, and why it is not the first."""
    has = laid_over() or "glibc"
    if has == names[0]:
        return has
    if names[0] == "glibc" or find(names[0]) is not None:
        return f"{has}, not {names[0]}: whoever started the process decided so"
    return f"{has}, not {names[0]}, which is not installed; try: apt-get install {PACKAGES[names[0]]}"


def laid_over() -> str:
    """The name of the allocator that is laid over the system's; empty if none is."""
    try:
        mapped = Path("/proc/self/maps").read_text()
    except OSError:
        return ""
    return next((name for name in (*LIBRARIES, "mimalloc") if f"lib{name}" in mapped), "")


def tune_allocator() -> None:
    """Let glibc keep what it frees: the buffers of one request, or batch, are those of the next.

    By default each large tensor is a fresh mapping: thousands of page faults per model call. And by default
    threads share eight arenas per core, each of which keeps the most that it ever held: with threads that
    come and go, as those that refresh items do, memory grows for an hour before it stays (`make soak-items`).
    """
    mallopt = _symbol("mallopt")
    if mallopt is None:
        return  # not glibc
    m_trim_threshold, m_mmap_threshold, m_arena_max = -1, -3, -8
    mallopt(m_mmap_threshold, 32 * 2**20)  # the largest that glibc takes
    mallopt(m_trim_threshold, 256 * 2**20)
    mallopt(m_arena_max, max(4, 2 * cores()))


def give_back_memory() -> None:
    """Give the system what is free: for moments after which nothing will need as much again."""
    for name, arguments in (
        ("malloc_trim", (0,)),  # glibc
        ("MallocExtension_ReleaseFreeMemory", ()),  # tcmalloc
        ("mallctl", (b"arena.4096.purge", None, None, None, ctypes.c_size_t(0))),  # jemalloc: all arenas
    ):
        release = _symbol(name)
        if release is not None:
            release(*arguments)


def _symbol(name: str) -> ctypes._NamedFuncPointer | None:
    return getattr(ctypes.CDLL(None), name, None)


def _library_folders() -> list[Path]:
    multiarch = getattr(sys.implementation, "_multiarch", "")  # such as x86_64-linux-gnu
    system = [Path(folder) for folder in _FOLDERS]
    return [Path(sys.prefix) / "lib", *(folder / multiarch for folder in system if multiarch), *system]
