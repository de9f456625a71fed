from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from recserve.pyfg.__main__ import install, main

if TYPE_CHECKING:
    from pathlib import Path


def run(folder: Path, code: str) -> str:
    """What another interpreter prints that finds `folder` first."""
    program = f"import sys; sys.path[:0] = [{str(folder)!r}, *{sys.path!r}]\n{code}"
    return subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_import_pyfg_is_recserve_where_it_is_installed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["install", "--folder", str(tmp_path)])

    assert "`import pyfg` is recserve.pyfg" in capsys.readouterr().out
    assert run(tmp_path, "import pyfg, recserve.pyfg; print(pyfg is recserve.pyfg)") == "True"
    assert (
        run(tmp_path, "import pickle, pyfg; print(pickle.loads(pickle.dumps(pyfg.FgArrowHandler)).__name__)")
        == "FgArrowHandler"
    )


def test_pip_knows_every_file_that_was_written(tmp_path: Path) -> None:
    install(tmp_path)
    again = install(tmp_path)

    [found] = importlib.metadata.distributions(name="pyfg", path=[str(tmp_path)])
    assert found.version == "1.0.5+recserve"
    assert found.files is not None
    assert {tmp_path / str(file) for file in found.files} == set(again)
    assert set(again) == {path for path in tmp_path.rglob("*") if path.is_file()}


@pytest.mark.parametrize("distribution", [True, False])
def test_another_pyfg_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], distribution: bool
) -> None:
    (tmp_path / "pyfg").mkdir()
    (tmp_path / "pyfg" / "__init__.py").write_text("original = 1\n")
    if distribution:
        (tmp_path / "pyfg-1.0.6.dist-info").mkdir()
        (tmp_path / "pyfg-1.0.6.dist-info" / "METADATA").write_text("Name: pyfg\nVersion: 1.0.6\n")

    with pytest.raises(SystemExit):
        main(["install", "--folder", str(tmp_path)])

    assert "pip uninstall pyfg" in capsys.readouterr().err
    assert (tmp_path / "pyfg" / "__init__.py").read_text() == "original = 1\n"
