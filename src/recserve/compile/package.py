"""A flat graph ──▶ machine code: AOTInductor's package, unpacked, and the native runner beside it."""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recserve.compile.export import for_all_sizes
from recserve.compile.ids_in_range import spelled_out
from recserve.engines.torch_arrays import torch
from recserve.errors import BundleError

if TYPE_CHECKING:
    from recserve.compile.export import Exported

#: How AOTInductor compiles. Requests run beside one another, so one thread computes each.
OPTIONS: dict[str, Any] = {"cpp.threads": 1}


def find_compiler() -> str:
    """The C++ compiler; BundleError says how to get one."""
    for name in ("g++", "clang++", "c++"):
        found = shutil.which(name)
        if found:
            return found
    raise BundleError(
        "no C++ compiler is installed, and `recserve compile` needs one: apt-get install g++ "
        "(servers do without)"
    )


def write_package(exported: Exported, folder: Path, *, packed: bool = False) -> None:
    """Compile into `folder`, which is made; takes from seconds to some minutes.

    `packed`: weights are laid out ahead for oneDNN, which computes the layers, where else it is the matrix
    library that torch itself calls. That pays for large products, and costs some microseconds for each.
    """
    archive = folder.with_suffix(".pt2")
    with for_all_sizes():
        try:
            # Our operator is spelled out: servers have none but torch's and fbgemm's.
            program = exported.program.run_decompositions(
                {torch.ops.recserve.ids_in_range.default: spelled_out}
            )
            _compile(program, archive, packed=packed)
        except Exception as e:  # of any kind: the compiler's, the linker's, torch's own
            lines = [line.strip() for line in str(e).splitlines() if line.strip()]
            why = lines[0][:500] if lines else type(e).__name__
            raise BundleError(f"AOTInductor cannot compile the model: {why}") from e
    _unpack(archive, folder)
    archive.unlink()


def _compile(program: torch.export.ExportedProgram, archive: Path, *, packed: bool) -> None:
    """Make machine code; without packed weights also where those do not go with the model's sizes.

    As it packs them, AOTInductor compares sizes to find sums that it could make part of a product, and fails
    over one that is a result of the graph: the most steps of all rows, say.
    """
    compile_: Any = torch._inductor.aoti_compile_and_package
    try:
        compile_(program, package_path=str(archive), inductor_configs={**OPTIONS, "freezing": packed})
    except Exception as e:  # one of its own, or that one in another
        if not packed or "data-dependent" not in str(e):
            raise
        compile_(program, package_path=str(archive), inductor_configs=OPTIONS)


def _unpack(archive: Path, folder: Path) -> None:
    """Loaded from a folder, a package leaves nothing behind in /tmp, and processes share its code."""
    with zipfile.ZipFile(archive) as opened:
        for entry in opened.infolist():
            inside = Path(*Path(entry.filename).parts[1:])  # behind the folder that is named like the file
            if inside.suffix == ".cpp":
                continue
            target = folder / inside
            target.parent.mkdir(parents=True, exist_ok=True)
            with opened.open(entry) as source, target.open("wb") as written:
                shutil.copyfileobj(source, written)


def build_runner(library: Path) -> None:
    """Build cpp/engines/torch_runner.cc against the torch that is installed."""
    source = Path(str(files("recserve.engines") / "torch_runner.cc"))
    torch_folder = Path(torch.__file__).parent
    include = torch_folder / "include"
    command = [
        find_compiler(), "-std=c++20", "-O2", "-fPIC", "-shared",
        f"-D_GLIBCXX_USE_CXX11_ABI={int(torch.compiled_with_cxx11_abi())}",
        f"-I{include}", f"-I{include / 'torch/csrc/api/include'}",
        str(source), "-o", str(library),
        # Found by name in the process, which has loaded them: no path of this machine goes into the file.
        f"-L{torch_folder / 'lib'}", "-ltorch_cpu", "-lc10",
    ]  # fmt: skip
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode != 0:
        errors = [line for line in built.stderr.splitlines() if "error" in line] or [
            built.stderr.strip()[-300:]
        ]
        raise BundleError(f"the runner does not compile against torch {torch.__version__}: {errors[0]}")
