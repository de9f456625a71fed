"""Tensors as the Open Inference Protocol (version 2, REST) writes them.

    {"id": "r1", "inputs": [{"name": "x", "shape": [2, 1], "datatype": "FP32", "data": [1.5, 2]}],
     "outputs": [{"name": "y"}]}
    {"model_name": "rank", "model_version": "1", "id": "r1",
     "outputs": [{"name": "y", "datatype": "FP32", "shape": [2], "data": [3.0, 4.0]}]}

With the *binary extension* the values of a tensor stand behind the JSON instead, in the order of the tensors,
little-endian, `parameters.binary_data_size` bytes each; the head of the message says how long the JSON is.
Asked for by `parameters.binary_data` of an output, or `binary_data_output` of the request.

| datatype                                         | numpy             |
|--------------------------------------------------|-------------------|
| BOOL, UINT8 … UINT64, INT8 … INT64               | the same          |
| FP16, FP32, FP64                                 | float16 … float64 |
| BF16, BYTES                                      | refused: numpy lacks it; models here take numbers |

Source: the protocol's document `open_inference_rest`, its extension "binary tensor data", and tritonclient.
Ours: FP16 may be written in JSON, a value that is not finite is null there; unknown keys are ignored.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from recserve.errors import RequestError
from recserve.messages import TensorRequest
from recserve.wire.json_scores import kind_of, numbers, parse_body
from recserve.wire.json_tensors import shaped, tensor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from recserve.messages import TensorResponse

#: Datatype of the protocol → numpy's.
DTYPES = {
    "BOOL": "bool", "UINT8": "uint8", "UINT16": "uint16", "UINT32": "uint32", "UINT64": "uint64",
    "INT8": "int8", "INT16": "int16", "INT32": "int32", "INT64": "int64",
    "FP16": "float16", "FP32": "float32", "FP64": "float64",
}  # fmt: skip
DATATYPES = {dtype: name for name, dtype in DTYPES.items()}


@dataclass(frozen=True, slots=True)
class InferRequest:
    """What was asked."""

    tensors: TensorRequest
    wanted: Mapping[str, bool]  # output → whether as binary data; none = all of them
    all_binary: bool  # what `wanted` does not say
    id: str


def decode(body: bytes, json_bytes: int | None = None) -> InferRequest:
    """Read the body of a request; `json_bytes` of it are JSON, None = all. Raises RequestError."""
    if json_bytes is not None and not 0 <= json_bytes <= len(body):
        raise RequestError(f"{json_bytes} bytes of JSON are announced, the body has {len(body)}")
    end = len(body) if json_bytes is None else json_bytes
    content = parse_body(body[:end])
    blob = _Blob(memoryview(body)[end:])
    inputs: dict[str, NDArray[Any]] = {}
    for place, entry in enumerate(_objects(content, "inputs")):
        name = _name(entry, f"inputs[{place}]")
        if name in inputs:
            raise RequestError(f"input '{name}' is sent twice")
        inputs[name] = _input(f"input '{name}'", entry, blob)
    blob.check_empty()
    parameters = _parameters(content, "the request")
    all_binary = _flag(parameters, "binary_data_output", False)
    wanted = {
        _name(entry, f"outputs[{place}]"): _flag(
            _parameters(entry, f"outputs[{place}]"), "binary_data", all_binary
        )
        for place, entry in enumerate(_objects(content, "outputs"))
    }
    request_id = content.get("id", "")
    if not isinstance(request_id, str):
        raise RequestError(f"'id' is {kind_of(request_id)}; a text is expected")
    return InferRequest(TensorRequest((), inputs), wanted, all_binary, request_id)


def encode(request: InferRequest, response: TensorResponse, *, model: str, version: str) -> tuple[bytes, int]:
    """The body of an answer, and how many bytes of it are JSON. Raises RequestError for an unknown output."""
    outputs = response.named_outputs
    unknown = request.wanted.keys() - outputs.keys()
    if unknown:
        raise RequestError(f"unknown output '{min(unknown)}'; the model has {', '.join(outputs)}")
    told, blobs = [], []
    for name in request.wanted or outputs:
        binary = request.wanted.get(name, request.all_binary)
        values = outputs[name]
        datatype = DATATYPES.get(values.dtype.name)
        assert datatype is not None, f"engines answer numbers, not {values.dtype}"
        head = f'{{"name": {_text(name)}, "datatype": "{datatype}", "shape": {list(values.shape)}'
        if binary:
            blobs.append(np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes())
            told.append(f'{head}, "parameters": {{"binary_data_size": {len(blobs[-1])}}}}}')
        else:
            told.append(f'{head}, "data": {numbers(values.ravel())}}}')
    identity = f', "id": {_text(request.id)}' if request.id else ""
    text = (
        f'{{"model_name": {_text(model)}, "model_version": {_text(version)}{identity}, '
        f'"outputs": [{", ".join(told)}]}}'
    ).encode()
    return b"".join((text, *blobs)), len(text)


class _Blob:
    """The bytes behind the JSON, taken from the front."""

    def __init__(self, left: memoryview) -> None:
        self._left = left

    def take(self, where: str, size: Any) -> bytes:
        if type(size) is not int or not 0 <= size <= len(self._left):
            raise RequestError(f"{where}: binary_data_size is {size!s:.50}, {len(self._left)} bytes are left")
        taken, self._left = self._left[:size], self._left[size:]
        return bytes(taken)

    def check_empty(self) -> None:
        if self._left:
            raise RequestError(f"{len(self._left)} bytes behind the JSON belong to no input")


def _input(where: str, entry: Mapping[str, Any], blob: _Blob) -> NDArray[Any]:
    datatype = entry.get("datatype")
    dtype = DTYPES.get(datatype) if isinstance(datatype, str) else None
    if dtype is None:
        raise RequestError(f"{where}: datatype {datatype!r:.50} is not taken; known: {', '.join(DTYPES)}")
    if "shape" not in entry:
        raise RequestError(f"{where}: 'shape' is missing")
    size = _parameters(entry, where).get("binary_data_size")
    if size is None:
        if "data" not in entry:
            raise RequestError(f"{where}: 'data' is missing")
        return tensor(where, entry["data"], dtype, entry["shape"])
    data, kind = blob.take(where, size), np.dtype(dtype)
    if len(data) % kind.itemsize:
        raise RequestError(f"{where}: {len(data)} bytes are no whole number of {datatype} values")
    if kind.kind == "b" and any(byte > 1 for byte in data):
        raise RequestError(f"{where}: a BOOL is a byte of 0 or 1")
    return shaped(where, np.frombuffer(data, kind.newbyteorder("<")).astype(kind), entry["shape"])


def _objects(content: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    entries = content.get(key, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise RequestError(f"'{key}' is a list of objects, one for each tensor")
    return entries


def _name(entry: Mapping[str, Any], where: str) -> str:
    name = entry.get("name")
    if not isinstance(name, str):
        raise RequestError(f"{where}: 'name' is {kind_of(name)}; a text is expected")
    return name


def _parameters(entry: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    parameters = entry.get("parameters", {})
    if not isinstance(parameters, dict):
        raise RequestError(f"{where}: 'parameters' is {kind_of(parameters)}; an object is expected")
    return parameters


def _flag(parameters: Mapping[str, Any], key: str, default: bool) -> bool:
    value = parameters.get(key, default)
    if not isinstance(value, bool):
        raise RequestError(f"'{key}' is {kind_of(value)}; true or false is expected")
    return value


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
