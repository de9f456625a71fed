"""A torch and an fbgemm that do not fit are found before they are imported, with a way out."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from recserve.engines import torch_pair
from recserve.errors import BundleError

if TYPE_CHECKING:
    from pathlib import Path

MEND_CPU = "pip uninstall -y fbgemm-gpu-cpu fbgemm-gpu && pip install torch==2.13.0 fbgemm-gpu-cpu==1.8.0"
MEND_CUDA = "pip uninstall -y fbgemm-gpu-cpu fbgemm-gpu && pip install torch==2.13.0 fbgemm-gpu==1.8.0"


def install(folder: Path, *distributions: str) -> None:
    """Leave what pip leaves behind, and nothing else."""
    for distribution in distributions:
        name, version = distribution.split("==")
        info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


@pytest.mark.parametrize(
    ("installed", "message"),
    [
        ([], "torch is not installed, .*pip install 'recserve\\[torch\\]'"),
        (["torch==2.13.0"], "fbgemm is not installed, .*pip install 'recserve\\[torch\\]'"),
        (["torch==2.13.0", "fbgemm-gpu-cpu==1.9.0"], f"compiled against torch 2.14; mend it: {MEND_CPU}"),
        (["torch==2.8.0", "fbgemm-gpu==1.8.0"], f"compiled against torch 2.13; mend it: {MEND_CUDA}"),
        (
            ["torch==2.13.0", "fbgemm-gpu-cpu==1.8.0", "fbgemm-gpu==1.9.0"],
            f"fbgemm-gpu-cpu 1.8.0 and fbgemm-gpu 1.9.0 are installed over one another; mend it: {MEND_CPU}",
        ),
    ],
)
def test_what_pip_recorded_tells_a_broken_pair(
    installed: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, *installed)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])

    with pytest.raises(BundleError, match=message):
        torch_pair.check_versions()


@pytest.mark.parametrize(
    "installed", [["torch==2.13.0+cpu", "fbgemm-gpu-cpu==1.8.0"], ["torch==2.99.0", "fbgemm-gpu==7.0.0"]]
)
def test_a_pair_that_fits_or_is_newer_than_the_table_passes(
    installed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, *installed)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])

    assert torch_pair.check_versions() == " with ".join(name.replace("==", " ") for name in installed)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "raise OSError('fbgemm_gpu_py.so: undefined symbol: _wrap')",
            "undefined symbol: _wrap",
        ),
        ("import os; os.abort()", "the process ended with -6"),
    ],
)
def test_a_library_that_kills_its_importer_is_found_in_another_process(
    code: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fbgemm_gpu").mkdir()
    (tmp_path / "fbgemm_gpu" / "__init__.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    with pytest.raises(BundleError, match=f"does not load: .*{message}; mend it: {MEND_CPU}"):
        torch_pair.check()


def test_an_import_that_failed_here_is_told_with_the_way_out() -> None:
    result = torch_pair.import_failed(OSError("fbgemm_gpu_py.so: undefined symbol"))

    assert str(result).endswith(f"does not load: fbgemm_gpu_py.so: undefined symbol; mend it: {MEND_CPU}")


def test_the_installed_pair_loads() -> None:
    assert torch_pair.check().startswith("torch 2.")
