"""Tensors in JSON: the request and the answer of a service without feature generation (bypass).

    {"inputs": {"x": {"dtype": "float32", "shape": [2, 1], "values": [1.5, 2]},
                "n": [[1], [2]]},                       short: the dtype is what the model declares, else
     "output_filter": [0], "debug_level": 0}            float32 if any value has a point, else int64

    {"outputs": {"y": {"dtype": "float32", "shape": [2], "values": [3.0, 4.0]}}}

`values` may be nested or, with a `shape`, flat; `inputs` may be a list, by position, with null for a gap, and
is then answered with a list under "outputs_by_position" too. Nothing is cast silently: a number that its
dtype cannot hold is refused. Ours: all of it.
"""

from __future__ import annotations

import json
import math
from itertools import islice, zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np

from recserve.config.nearest import did_you_mean
from recserve.errors import RequestError
from recserve.messages import TensorRequest
from recserve.wire.json_scores import kind_of, numbers, parse_body

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from recserve.messages import TensorResponse

DTYPES = (
    "bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64",
    "float16", "float32", "float64",
)  # fmt: skip
_DECLARED = {
    "DT_FLOAT": "float32", "DT_DOUBLE": "float64", "DT_HALF": "float16", "DT_BOOL": "bool",
    "DT_UINT8": "uint8", "DT_UINT16": "uint16", "DT_UINT32": "uint32", "DT_UINT64": "uint64",
    "DT_INT8": "int8", "DT_INT16": "int16", "DT_INT32": "int32", "DT_INT64": "int64",
}  # fmt: skip
_KEYS = ("inputs", "output_filter", "debug_level")
_TENSOR_KEYS = ("dtype", "shape", "values")
#: Dimensions and values beyond these are somebody's mistake, or worse.
_MOST_DIMENSIONS = 32


def declared(inputs: Iterable[tuple[str, str]]) -> dict[str, str | None]:
    """The dtypes of a model's inputs, of pairs of name and type as a signature shows it: DT_FLOAT, …"""
    return {name: _DECLARED.get(kind) for name, kind in inputs}


def decode(body: bytes, dtypes: Mapping[str, str | None] | None = None) -> TensorRequest:
    """Read the body of a request; `dtypes` are those that the model declares, by input and in its order."""
    content = parse_body(body)
    for key in content:
        if key not in _KEYS:
            raise RequestError(
                f"unknown key '{key}' in a request{did_you_mean(key, _KEYS)}; known: {', '.join(_KEYS)}"
            )
    inputs = content.get("inputs", {})
    known = dict(dtypes or {})
    level = content.get("debug_level", 0)
    if not isinstance(level, int) or isinstance(level, bool):
        raise RequestError(f"'debug_level' is {kind_of(level)}; a whole number is expected")
    wanted = content.get("output_filter", [])
    if not isinstance(wanted, list) or not all(type(position) is int for position in wanted):
        raise RequestError("'output_filter' is a list of positions of outputs: [0, 1]")
    if isinstance(inputs, dict):
        named = {name: _tensor(f"input '{name}'", value, known.get(name)) for name, value in inputs.items()}
        return TensorRequest((), named, wanted, level)
    if isinstance(inputs, list):
        by_position = [
            None if value is None else _tensor(f"input {place}", value, dtype)
            for place, (value, dtype) in enumerate(zip_longest(inputs, islice(known.values(), len(inputs))))
        ]
        return TensorRequest(by_position, {}, wanted, level)
    raise RequestError(f"'inputs' is {kind_of(inputs)}; an object of tensors by name, or a list, is expected")


def encode(response: TensorResponse) -> bytes:
    """Write the body of an answer."""
    named = ", ".join(
        f"{json.dumps(name, ensure_ascii=False)}: {_described(values)}"
        for name, values in response.named_outputs.items()
    )
    positional = ", ".join(_described(values) for values in response.outputs)
    more = f', "outputs_by_position": [{positional}]' if response.outputs else ""
    return f'{{"outputs": {{{named}}}{more}}}'.encode()


def tensor(where: str, values: Any, dtype: str | None, shape: Any = None) -> NDArray[Any]:
    """An array of nested or flat values. Raises RequestError that begins with `where`."""
    try:
        found = np.array(values)
    except (ValueError, OverflowError, RecursionError) as error:
        raise RequestError(f"{where}: its lists differ in length, or it has too many dimensions") from error
    if not found.size:
        found = np.zeros(found.shape, np.dtype(dtype or "float32"))
    if found.dtype.kind not in "biuf":
        raise RequestError(f"{where}: a value is no number, or too large for 64 bits; null is none either")
    if dtype is None:
        dtype = "float32" if found.dtype.kind == "f" else "int64"
    made = _cast(where, found, dtype)
    return made if shape is None else shaped(where, made, shape)


def _tensor(where: str, value: Any, declared: str | None) -> NDArray[Any]:
    if not isinstance(value, dict):
        return tensor(where, value, declared)
    for key in value:
        if key not in _TENSOR_KEYS:
            raise RequestError(f"{where}: unknown key '{key}'; known: {', '.join(_TENSOR_KEYS)}")
    if "values" not in value:
        raise RequestError(f"{where}: 'values' is missing")
    dtype = value.get("dtype", declared)
    if dtype is not None and dtype not in DTYPES:
        raise RequestError(f"{where}: unknown dtype {dtype!r:.50}; known: {', '.join(DTYPES)}")
    return tensor(where, value["values"], dtype, value.get("shape"))


def _cast(where: str, found: NDArray[Any], dtype: str) -> NDArray[Any]:
    """The same values in another dtype, or an error."""
    wanted = np.dtype(dtype)
    if wanted.kind == found.dtype.kind == "b":
        return found
    if wanted.kind == "b" or (wanted.kind in "iu" and found.dtype.kind == "f"):
        raise RequestError(f"{where}: {dtype} holds no {'number' if wanted.kind == 'b' else 'fractions'}")
    if wanted.kind in "iu":
        limits = np.iinfo(wanted)
        if found.size and not limits.min <= int(found.min()) <= int(found.max()) <= limits.max:
            raise RequestError(f"{where}: a value does not fit {dtype}, {limits.min} to {limits.max}")
        return found.astype(wanted)
    with np.errstate(over="ignore"):
        made = found.astype(wanted)
    if not np.isfinite(made).all():
        raise RequestError(f"{where}: a value does not fit {dtype}")
    return made


def shaped(where: str, found: NDArray[Any], shape: Any) -> NDArray[Any]:
    """The same values in another shape, as a caller wrote it. Raises RequestError."""
    if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
        raise RequestError(f"{where}: 'shape' is a list of sizes: [2, 3]")
    if len(shape) > _MOST_DIMENSIONS:
        raise RequestError(f"{where}: {len(shape)} dimensions; {_MOST_DIMENSIONS} are the most")
    if math.prod(shape) != found.size:
        raise RequestError(f"{where}: {found.size} values for the shape {shape!s:.100}")
    try:
        return found.reshape(shape)
    except ValueError as error:  # sizes that only a 0 among them makes possible
        raise RequestError(f"{where}: the shape {shape!s:.100} is too large") from error


def _described(values: NDArray[Any]) -> str:
    shape = json.dumps(list(values.shape))
    return f'{{"dtype": "{values.dtype}", "shape": {shape}, "values": {numbers(values)}}}'
