"""`recserve version`: what is installed, for bug reports."""

import platform
from importlib import metadata
from typing import Annotated

import typer

from recserve import __version__
from recserve.cli.output import print_json, print_pairs

_LIBRARIES = ("torch", "fbgemm-gpu-cpu", "fbgemm-gpu", "pyarrow", "numpy", "uvicorn")


def version(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Print the versions of recserve and of what it stands on."""
    versions = {"recserve": __version__, "python": platform.python_version()}
    versions |= {name: found for name in _LIBRARIES if (found := _installed(name))}
    if as_json:
        print_json(versions)
    else:
        print_pairs(versions)


def _installed(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""
