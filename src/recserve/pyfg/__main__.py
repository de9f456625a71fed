"""`python -m recserve.pyfg install`: let `import pyfg` of this environment find recserve."""

from __future__ import annotations

import argparse
import importlib.metadata
import sysconfig
from pathlib import Path

import recserve
from recserve.errors import ConfigError

#: The pyfg whose results these are.
COMPATIBLE = "1.0.5"

_MODULE = '''"""recserve in pyfg's place; `pip uninstall pyfg` removes it."""

import sys

import recserve.pyfg

sys.modules[__name__] = recserve.pyfg
'''


def install(folder: Path) -> list[Path]:
    """Write the package `pyfg` into a folder of sys.path, as one that pip knows and can uninstall.

    ConfigError where there is a pyfg already that is not ours.
    """
    found = [d.version for d in importlib.metadata.distributions(name="pyfg", path=[str(folder)])]
    ours = bool(found) and all(version.endswith("+recserve") for version in found)
    if not ours and (found or (folder / "pyfg").exists()):
        raise ConfigError(f"{folder} has another pyfg {''.join(found)}; run `pip uninstall pyfg` first")
    version = f"{COMPATIBLE}+recserve"
    summary = f"recserve {recserve.__version__} in pyfg's place"
    metadata = f"Metadata-Version: 2.1\nName: pyfg\nVersion: {version}\nSummary: {summary}\n"
    about = f"pyfg-{version}.dist-info"
    texts = {"pyfg/__init__.py": _MODULE, f"{about}/METADATA": metadata, f"{about}/INSTALLER": "recserve\n"}
    record = f"{about}/RECORD"
    texts[record] = "".join(f"{name},,\n" for name in [*texts, record])
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return [folder / name for name in texts]


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m recserve.pyfg", description=__doc__)
    parser.add_argument("command", choices=["install"])
    parser.add_argument(
        "--folder", type=Path, default=Path(sysconfig.get_path("purelib")), help="of sys.path"
    )
    folder = parser.parse_args(arguments).folder
    try:
        install(folder)
    except (ConfigError, OSError) as error:
        parser.exit(1, f"{error}\n")
    print(f"`import pyfg` is recserve.pyfg in {folder}; `pip uninstall pyfg` removes it")


if __name__ == "__main__":
    main()
