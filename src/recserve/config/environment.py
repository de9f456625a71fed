"""Environment variables that change how a model is served. The one file that touches os.environ.

The service file's `processor_envs` win over the process's own variables. They are laid over a copy;
os.environ is written by `export`, for the variables that torch and OpenMP read themselves when imported, and
by `put`, for training code that asks for it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recserve.config.settings import CODE, PROCESSOR, read, setting

if TYPE_CHECKING:
    from collections.abc import Mapping

# Read by other libraries, not by us.
_NATIVE_PREFIXES = ("OMP_", "KMP_", "MKL_", "GOMP_", "PYTORCH_", "TORCH_", "CUDA_", "ATEN_", "OTEL_")


@dataclass(frozen=True, slots=True)
class Environment:
    """The variables that recserve itself reads, with the hosted product's names."""

    farm_hash: bool = setting(
        False,
        "Bucketize with FarmHash Fingerprint64 instead of MurmurHash64A; must be as in training.",
        key="USE_FARM_HASH_TO_BUCKETIZE",
        source=CODE,
    )
    input_tile: int = setting(
        0,
        "2: user features once per request; 3: user embeddings too. The bundle's model_acc.json wins.",
        key="INPUT_TILE",
        choices=(0, 1, 2, 3),
        source=PROCESSOR,
    )
    intra_op_threads: int = setting(
        1,
        "Threads of torch within one request; fewer requests are computed at a time, so that cores suffice.",
        key="OMP_NUM_THREADS",
        least=1,
        most=1024,
        source=CODE,
    )
    no_grad: bool = setting(
        True,
        "Accepted for compatibility: the model always runs without gradients.",
        key="NO_GRAD_GUARD",
        source=PROCESSOR,
    )
    tensorexpr_fallback: int = setting(
        0,
        "Handed to torch, which reads it itself: 2 runs graphs as they are, without compiling parts of them.",
        key="PYTORCH_TENSOREXPR_FALLBACK",
        choices=(0, 1, 2),
        source=PROCESSOR,
    )
    hash_node_id: bool = setting(
        False,
        "Tree recall with ids that are texts; no effect yet.",
        key="USE_HASH_NODE_ID",
        source=CODE,
        no_effect_yet="this process scores, it does not recall",
    )
    local_cache_dir: str = setting(
        "",
        "Accepted, no effect: the model is read where it is, nothing is copied into a cache.",
        key="LOCAL_CACHE_DIR",
        source=CODE,
    )


def process_environ() -> dict[str, str]:
    """A copy of the process's variables."""
    return dict(os.environ)


def environment(environ: Mapping[str, str], envs: Mapping[str, str]) -> Environment:
    """Read the variables, those of the service file (`envs`) first; an empty one counts as absent."""
    merged = {**environ, **envs}
    return read(Environment, {name: value for name, value in merged.items() if value != ""}, "environment")


def is_native(name: str) -> bool:
    """Whether native libraries read the variable themselves."""
    return name.startswith(_NATIVE_PREFIXES)


def export(envs: Mapping[str, str]) -> None:
    """Set what torch and OpenMP read themselves; call it before torch is imported."""
    for name, value in envs.items():
        if is_native(name):
            os.environ[name] = value


def put(name: str, value: str | None) -> None:
    """Set a variable of this process, or remove it (None)."""
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value
