"""pyarrow without pandas: 50 MB and half a second of start that a server has no use for."""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType


class _NotInstalled(MetaPathFinder):
    """Finds no pandas, and lets nobody else look for it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None, /
    ) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError("pandas is left out", name=fullname)


def do_without_pandas() -> None:
    """Let pyarrow take pandas for not installed, for the life of the process; others may still import it.

    In its first conversion pyarrow imports pandas where it finds it, to see whether what it was given is a
    Series, or pandas' way to say null. It looks once, and remembers what it found. Where pandas is imported
    already, nothing is saved.
    """
    finder = _NotInstalled()
    sys.meta_path.insert(0, finder)
    try:
        pa.array([0])  # not an empty one: pyarrow looks at the sequence, Arrow at its first cell
    finally:
        sys.meta_path.remove(finder)
