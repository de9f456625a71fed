"""Print requirements of pyproject.toml, one per line: `requirements.py build dependencies test`.

`build` is what the native build needs, `dependencies` the base install, any other word an extra.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path


def requirements(group: str) -> list[str]:
    """The requirements of one group."""
    pyproject = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())
    groups: dict[str, list[str]] = {
        **pyproject["project"]["optional-dependencies"],
        "build": pyproject["build-system"]["requires"],
        "dependencies": pyproject["project"]["dependencies"],
    }
    return groups[group]


if __name__ == "__main__":
    for group in sys.argv[1:]:
        print("\n".join(requirements(group)))
