"""The native runner of compiled models, as Python sees it: `cpp/engines/torch_runner.h` by ctypes.

ctypes lets go of the interpreter's lock for every call, so requests compute beside one another. The library
is built against one torch by `recserve compile` and lies beside the model.
"""

from __future__ import annotations

import ctypes
import json
import math
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from recserve.engines.engine import DTYPES
from recserve.errors import BundleError, ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from recserve.engines.engine import TensorSpec

#: struct RecserveTensor; arrays of it are filled a column at a time.
TENSOR = np.dtype([("data", np.int64), ("type", np.int64), ("rank", np.int64), ("sizes", np.int64, (4,))])

_TENSOR = struct.Struct("7q")

#: torch's numbers of types.
TYPES = {
    "uint8": 0, "int8": 1, "int16": 2, "int32": 3, "int64": 4, "float16": 5, "float32": 6, "float64": 7,
    "bool": 11,
}  # fmt: skip
_TYPE_OF = {number: np.dtype(name) for name, number in TYPES.items()}


#: A type of `expected` that is not compared.
ANY = ""

#: Calls that may go on at once; a runner is small, the weights are shared.
LEAST_RUNNERS = 8

_NO_SIZES = (0,) * TENSOR["sizes"].shape[0]


class _Error(ctypes.Structure):
    _fields_ = (("text", ctypes.c_char * 1024),)


class TorchRunner:
    """One loaded package; any number of threads may run it at once."""

    def __init__(self, library: Path, package: Path, runners: int) -> None:
        self._functions = _functions(library)
        error = _Error()
        opened = self._functions.recserve_runner_open(str(package).encode(), runners, ctypes.byref(error))
        if not opened:
            raise BundleError(f"{package} does not load: {_first_line(error)}; run `recserve compile` again")
        self._runner = opened
        #: Names of the inputs in the order of the call, the dicts of the arguments one after the other.
        self.inputs = _keys(self._functions.recserve_runner_inputs(opened))
        #: Names of the outputs; none where the model does not answer a dict.
        self.outputs = _keys(self._functions.recserve_runner_outputs(opened))

    def expect(self, inputs: NDArray[Any]) -> None:
        """Say what inputs have to be: an array of TENSOR whose sizes may be -1 (any) or shared negatives."""
        self._functions.recserve_runner_expect(self._runner, inputs.ctypes.data, len(inputs))

    def run(self, inputs: NDArray[Any]) -> list[NDArray[Any]]:
        """Run on inputs as `expect` says; their memory has to stay until this returns."""
        error = _Error()
        found = self._functions.recserve_runner_run(
            self._runner, inputs.ctypes.data, len(inputs), ctypes.byref(error)
        )
        if not found:
            raise ModelError(f"the model failed: {_first_line(error)}")
        try:
            count = self._functions.recserve_outputs_count(found)
            address = self._functions.recserve_outputs_tensors(found)
            outputs = ctypes.string_at(address, count * _TENSOR.size)
            return [_copied(*tensor) for tensor in _TENSOR.iter_unpack(outputs)]
        finally:
            self._functions.recserve_outputs_free(found)

    def __del__(self) -> None:
        if hasattr(self, "_runner"):
            self._functions.recserve_runner_close(self._runner)


def expected(types: Sequence[str], shapes: Sequence[Sequence[int] | None]) -> NDArray[Any]:
    """An array of TENSOR for `TorchRunner.expect`; type ANY and shape None are any."""
    tensors = np.zeros(len(types), TENSOR)
    for tensor, type_, shape in zip(tensors, types, shapes, strict=True):
        tensor["type"] = TYPES.get(type_, -1)
        tensor["rank"] = -1 if shape is None else len(shape)
        tensor["sizes"][: len(shape or ())] = shape or ()
    return tensors


def filled(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """An array of TENSOR for `TorchRunner.run`; the arrays have to stay until it returns."""
    tensors = np.zeros(len(arrays), TENSOR)
    tensors["data"] = [array.__array_interface__["data"][0] for array in arrays]
    tensors["type"] = [TYPES[array.dtype.name] for array in arrays]
    tensors["rank"] = [array.ndim for array in arrays]
    tensors["sizes"] = [(*array.shape, *_NO_SIZES[array.ndim :]) for array in arrays]
    return tensors


def fitting(array: NDArray[Any], spec: TensorSpec) -> NDArray[Any]:
    """The array as native code takes it: int32 ids widened, one piece of memory that may be written to."""
    if array.dtype == np.int32 and spec.dtype == "int64":
        return array.astype(np.int64)
    if array.ndim == 0 and spec.rank == 1:
        array = array.reshape(1)  # batch_size comes either way
    return array if array.flags.writeable and array.flags.c_contiguous else array.copy()


def _functions(library: Path) -> Any:
    try:
        functions = ctypes.CDLL(str(library))
    except OSError as e:
        raise BundleError(
            f"{library} does not load: {str(e).splitlines()[0]}; run `recserve compile` again"
        ) from e
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int64
    for name, result, *arguments in (
        ("runner_open", pointer, text, number, pointer),
        ("runner_close", None, pointer),
        ("runner_inputs", text, pointer),
        ("runner_outputs", text, pointer),
        ("runner_expect", None, pointer, pointer, number),
        ("runner_run", pointer, pointer, pointer, number, pointer),
        ("outputs_count", number, pointer),
        ("outputs_tensors", pointer, pointer),
        ("outputs_free", None, pointer),
    ):
        function = getattr(functions, f"recserve_{name}")
        function.restype, function.argtypes = result, arguments
    return functions


def _copied(address: int, type_: int, rank: int, *sizes: int) -> NDArray[Any]:
    """An array of our own of an output, whose memory is about to go; half precision is widened to float32."""
    dtype = _TYPE_OF.get(type_)
    if dtype is None or (dtype.name not in DTYPES and dtype != np.float16):
        raise ModelError(
            f"the model failed: an output is {dtype or f'torch type {type_}'}, which cannot be sent; "
            "cast it in the model"
        )
    shape = sizes[:rank]
    size = math.prod(shape) * dtype.itemsize
    # A bytearray, because what is filled in for missing items is written into answers.
    array = np.frombuffer(bytearray(ctypes.string_at(address, size)), dtype).reshape(shape)
    return array.astype(np.float32) if dtype == np.float16 else array


def _keys(spec: bytes) -> list[str]:
    """Keys of all dicts in torch's JSON of nested containers, in its order."""
    _version, tree = json.loads(spec)
    return list(_keys_of(tree))


def _keys_of(tree: Any) -> list[str]:
    own = json.loads(tree["context"]) if tree["type"] == "builtins.dict" else []
    return [*own, *(key for child in tree["children_spec"] for key in _keys_of(child))]


def _first_line(error: _Error) -> str:
    lines: list[str] = error.text.decode(errors="replace").strip().splitlines()
    return lines[0] if lines else "no reason given"
