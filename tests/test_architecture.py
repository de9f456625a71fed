"""Imports point down only: the table of docs/architecture.md, for Python imports and for C++ includes."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PYTHON = ROOT / "src" / "recserve"
CPP = ROOT / "cpp"

FOUNDATION = {
    "_core",
    "allocator",
    "cores",
    "errors",
    "columns",
    "messages",
    "bundle",
    "config",
    "source",
    "__init__",
}
PARTS = {"wire", "features", "items", "sources", "feature_store", "engines", "recall", "observe"}

#: part → the parts that it may import besides the foundation and itself.
MAY_IMPORT = {
    **{part: set[str]() for part in PARTS},
    "compile": {"features", "engines"},
    "export": {"features", "engines"},
    "processors": {"features", "items", "sources", "feature_store", "engines", "recall", "observe"},
    "server": {"wire", "processors", "observe"},
    "pyfg": {"features"},
    "client": {"wire"},
    "deploy": {"client"},
    "sdk": {"deploy", "client", "wire"},
    "console": {"deploy", "client"},
    # A test's own server: it starts `recserve serve` as a process, and talks to it as a client does.
    "testing": {"client"},
    "cli": PARTS | {"compile", "export", "processors", "server", "client", "deploy", "sdk", "console"},
    "__main__": {"cli"},
}

#: Inside the foundation: messages → columns → _core · config → errors · bundle → errors.
FOUNDATION_MAY_IMPORT = {
    "__init__": set[str](),
    "errors": set[str](),
    "allocator": {"cores"},
    "cores": set[str](),
    "_core": {"errors"},
    "columns": {"_core", "errors"},
    "messages": {"columns", "errors"},
    "config": {"errors"},
    "bundle": {"errors", "messages"},
    "source": {"errors"},
}

#: Libraries that not everybody installs → the one file per part that may import them.
EXTRAS = {
    "torch",
    "fbgemm_gpu",
    "google",
    "grpc",
    "grpc_health",
    "grpc_reflection",
    "opentelemetry",
    "tensorflow",
    "onnxruntime",
    "faiss",
    "adbc_driver_manager",
    "adbc_driver_postgresql",
    "duckdb",
    "fsspec",
    "psycopg",
    "redis",
    "yaml",
    "feast",
    "ray",
    "pyspark",
    "tokenizers",
    "sentencepiece",
    "opencc",
    "matplotlib",
    "kubernetes",
}

#: Feature types that a Python library computes (features/python_step.py): there is no kernel of their name.
PYTHON_STEPS = {"regex_replace", "text_normalizer", "tokenize"}

CPP_PARTS = {"columns", "wire", "features", "items", "sources", "recall", "engines"}


def part_of(path: Path) -> str:
    return path.relative_to(PYTHON).parts[0].removesuffix(".py")


def imports_of(path: Path) -> list[str]:
    """Every module that a file imports, wherever the import stands."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            assert node.module is not None
            if node.module == "recserve":
                names += [f"recserve.{alias.name}" for alias in node.names]
            else:
                names.append(node.module)
    return names


PYTHON_FILES = sorted(PYTHON.rglob("*.py"))
CPP_FILES = sorted([*CPP.rglob("*.h"), *CPP.rglob("*.cc")])


def allowed(part: str) -> set[str]:
    if part in FOUNDATION:
        return FOUNDATION_MAY_IMPORT[part] | {part, "__init__", "__version__"}
    assert part in MAY_IMPORT, (
        f"'{part}' is a new part: say in MAY_IMPORT and docs/architecture.md what it may import"
    )
    return MAY_IMPORT[part] | FOUNDATION | {part, "__version__"}


@pytest.mark.parametrize("path", PYTHON_FILES, ids=lambda p: str(p.relative_to(PYTHON)))
def test_python_imports_point_down(path: Path) -> None:
    part = part_of(path)
    imported = {name.split(".")[1] for name in imports_of(path) if name.startswith("recserve.")}

    assert imported <= allowed(part), f"{part} may not import {sorted(imported - allowed(part))}"


@pytest.mark.parametrize("path", CPP_FILES, ids=lambda p: str(p.relative_to(CPP)))
def test_cpp_includes_point_down(path: Path) -> None:
    part = path.relative_to(CPP).parts[0]
    included = {name.split("/")[0] for name in re.findall(r'#include "(\w+/[^"]+)"', path.read_text())}
    if part in CPP_PARTS:
        assert included <= {"columns", part}, f"{part} may not include {sorted(included - {'columns', part})}"
        assert "nanobind" not in path.read_text(), "only cpp/bind knows Python"
    else:
        assert part in {"bind", "tests"}, f"'{part}' is a new native part: name it in CPP_PARTS"


def test_each_extra_is_imported_in_one_file_per_part() -> None:
    users: dict[tuple[str, str], set[Path]] = {}
    for path in PYTHON_FILES:
        for name in imports_of(path):
            library = name.split(".")[0]
            if library in EXTRAS:
                users.setdefault((part_of(path), library), set()).add(path)

    assert {key: paths for key, paths in users.items() if len(paths) > 1} == {}


def test_one_file_reads_the_environment() -> None:
    readers = [path for path in PYTHON_FILES if re.search(r"os\.(environ|getenv)", path.read_text())]

    assert [path.relative_to(PYTHON) for path in readers] in ([], [Path("config/environment.py")])


def test_native_files_carry_the_stem_of_the_python_ones() -> None:
    """A feature type is a kernel of its name, or a Python step; custom is what its operators are."""
    types = PYTHON / "features" / "types"
    if types.is_dir():
        stems = {path.stem for path in types.glob("*.py")} - {"__init__"}
        native = {path.stem for path in (CPP / "features").glob("*.cc")}
        assert stems - {"feature_type", "custom"} <= native | PYTHON_STEPS
        assert not native & PYTHON_STEPS
