"""torch, and the way of arrays into it and out of it. The one file that imports torch and fbgemm_gpu.

Engines take `torch` from here: what it needs before its first import, and what it means when that fails, is
the same for all of them.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recserve.engines import torch_pair
from recserve.engines.engine import BATCH_SIZE, DTYPES
from recserve.errors import ConfigError, RequestError


def _load_operators() -> None:
    """Load the operators that exported models call.

    Not by importing fbgemm_gpu: its Python part is for those who make graphs (`know_sizes`), and takes half a
    second and 36 MB, most of them sympy's.
    """
    package = importlib.util.find_spec("fbgemm_gpu")
    if package is None or package.origin is None:
        raise ImportError("fbgemm_gpu is not there")
    load: Any = torch.ops.load_library
    for library in sorted(Path(package.origin).parent.glob("fbgemm_gpu_*.so")):
        load(library)


try:
    torch_pair.check_versions()  # a wrong pair can kill the process, so look before the import
    import torch.export.passes  # torch itself, and the one module that it does not import alone

    _load_operators()
except (ImportError, OSError) as e:
    raise torch_pair.import_failed(e) from e

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recserve.columns import ModelInputs

__all__ = ["array", "check_device", "device_of", "know_sizes", "reason", "share", "tensor", "torch"]


def know_sizes() -> None:
    """Register what fbgemm's operators say of the sizes of their results: to read, or make, a graph."""
    import fbgemm_gpu  # noqa: F401


def device_of(name: str) -> torch.device:
    """The device of that name; ConfigError if nobody knows it, or this machine lacks it."""
    try:
        device = torch.device(name)
    except RuntimeError as e:
        raise ConfigError(f"device '{name}' is unknown; use cpu or cuda:0") from e
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            f"device '{name}' is not there: torch {torch.__version__} sees no GPU; "
            "use cpu, or pip install 'recserve[torch-cuda]'"
        )
    return device


def check_device(name: str) -> str:
    """Say what a device is; ConfigError if this machine lacks it."""
    device = device_of(name)
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def share(inputs: ModelInputs, device: torch.device | None = None) -> dict[str, torch.Tensor]:
    """The model's tensors, which lie in the two buffers of `inputs`: nothing is copied on a CPU.

    To another device go the two buffers, and not each of some hundred tensors. `batch_size` stays, because
    models read its number, and every read of a GPU's memory waits for all that the GPU has to do.
    """
    ints, floats = torch.from_numpy(inputs.ints), inputs.floats
    if device is not None and device.type != "cpu":
        return _split(inputs, ints.to(device), torch.from_numpy(floats).to(device)) | _counts(inputs)
    tensors = dict(zip(inputs.int_names, torch.split_with_sizes(ints, inputs.int_sizes), strict=True))
    # The few floats are cut by numpy and not by torch, whose every operation lets other threads take over.
    start = 0
    for name, size, width in zip(inputs.float_names, inputs.float_sizes, inputs.float_widths, strict=True):
        values = floats[start : start + size]
        # width 0: weights, one per id
        tensors[name] = torch.from_numpy(values.reshape(-1, width) if width else values)
        start += size
    return tensors


def _split(inputs: ModelInputs, ints: torch.Tensor, floats: torch.Tensor) -> dict[str, torch.Tensor]:
    tensors = dict(zip(inputs.int_names, torch.split_with_sizes(ints, inputs.int_sizes), strict=True))
    parts = torch.split_with_sizes(floats, inputs.float_sizes)
    for name, part, width in zip(inputs.float_names, parts, inputs.float_widths, strict=True):
        tensors[name] = part.view(-1, width) if width else part
    return tensors


def _counts(inputs: ModelInputs) -> dict[str, torch.Tensor]:
    if BATCH_SIZE not in inputs.int_names:
        return {}
    position = inputs.int_names.index(BATCH_SIZE)
    start = sum(inputs.int_sizes[:position])
    return {BATCH_SIZE: torch.from_numpy(inputs.ints[start : start + inputs.int_sizes[position]])}


def tensor(name: str, array: NDArray[Any]) -> torch.Tensor:
    """A request's array for a model."""
    if array.dtype.kind not in "biuf":
        raise RequestError(f"input '{name}' is {array.dtype}; a torch model takes numbers")
    # A copy where the memory is the request's own: fbgemm writes into ids that are out of range.
    owned = array if array.flags.writeable and array.flags.c_contiguous else array.copy()
    return torch.from_numpy(owned)


def array(tensor: torch.Tensor) -> NDArray[Any]:
    """A model's answer; half precision, which clients lack, is widened."""
    if tensor.dtype in (torch.float16, torch.bfloat16):
        tensor = tensor.float()
    if tensor.device.type != "cpu" or not tensor.is_contiguous():
        tensor = tensor.cpu().contiguous()
    result: NDArray[Any] = tensor.numpy()
    if result.dtype.name not in DTYPES:
        raise TypeError(f"an output is {result.dtype}, which cannot be sent; cast it in the model")
    return result


def reason(error: Exception) -> str:
    """What went wrong, without the trace of the interpreter above it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].removeprefix("RuntimeError: ") if lines else type(error).__name__
