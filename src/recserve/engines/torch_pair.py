"""Recognises a broken torch/fbgemm pair before it kills the process.

fbgemm is compiled against one torch and dies with any other, sometimes without a Python error; and
`fbgemm-gpu` and `fbgemm-gpu-cpu` install into the same folder, one over the other, while pip says all is
well. So versions are read from the metadata, and the first import is tried in a process of its own.
Source: the table in fbgemm_gpu/__init__.py.
"""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata

from recserve.errors import BundleError

# fbgemm → the torch that it is compiled against.
PAIRS = {
    "1.9": "2.14",
    "1.8": "2.13",
    "1.7": "2.12",
    "1.6": "2.11",
    "1.5": "2.10",
    "1.4": "2.9",
    "1.3": "2.8",
    "1.2": "2.7",
    "1.1": "2.6",
    "1.0": "2.5",
}
CPU, CUDA = "fbgemm-gpu-cpu", "fbgemm-gpu"
# The pair of the extras [torch] and [torch-cuda] in pyproject.toml.
TORCH, FBGEMM = "2.13.0", "1.8.0"

_IMPORT = "import torch, fbgemm_gpu; torch.ops.fbgemm.asynchronous_complete_cumsum(torch.tensor([1, 2]))"


def check() -> str:
    """Name the installed pair; a BundleError says how to mend a broken one. Takes seconds (imports torch)."""
    pair = check_versions()
    tried = subprocess.run([sys.executable, "-c", _IMPORT], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        why = tried.stderr.strip().splitlines()[-1:] or [f"the process ended with {tried.returncode}"]
        raise _broken(f"{pair} does not load: {why[0]}")
    return pair


def check_versions() -> str:
    """Name the pair by what pip recorded; nothing is imported."""
    torch, cpu, cuda = _version("torch"), _version(CPU), _version(CUDA)
    if torch is None or (cpu is None and cuda is None):
        missing = "torch" if torch is None else "fbgemm"
        raise BundleError(
            f"{missing} is not installed, and TorchScript models need it: pip install 'recserve[torch]'"
        )
    if cpu is not None and cuda is not None:
        raise _broken(f"{CPU} {cpu} and {CUDA} {cuda} are installed over one another")
    fbgemm = cpu or cuda or ""
    pair = f"torch {torch} with {CPU if cpu else CUDA} {fbgemm}"
    wanted = PAIRS.get(_minor(fbgemm))
    if wanted is not None and wanted != _minor(torch):
        raise _broken(f"{pair}: this fbgemm is compiled against torch {wanted}")
    return pair


def import_failed(error: Exception) -> BundleError:
    """The error to raise when the import failed in this process."""
    try:
        pair = check_versions()
    except BundleError as e:
        return e
    return _broken(f"{pair} does not load: {str(error).strip().splitlines()[-1]}")


def _broken(what: str) -> BundleError:
    fbgemm = CUDA if _version(CUDA) and not _version(CPU) else CPU
    return BundleError(
        f"{what}; mend it: pip uninstall -y {CPU} {CUDA} && pip install torch=={TORCH} {fbgemm}=={FBGEMM}"
    )


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])
